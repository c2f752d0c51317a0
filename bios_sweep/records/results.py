"""What the workspace still holds of finished trials: a result is taken only while its files are whole.

The result file is sealed and lists digests of the evidence beside it (`eval.npz`, the adapter), made where
each was written. What is not as it was written is named, and its trial counts as not run: training once more
costs less than a word that rests on damage. Versions before wrote no seals; what they left is taken as it is
and sealed then, so that later damage shows, unless the sweep's journal tells that it has changed already.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bios_sweep.decision.clusters import ClusterSums, cluster_sums
from bios_sweep.decision.table import Floats
from bios_sweep.ports import TrialEvent
from bios_sweep.records.sweep_state import PLANNED, SweepState
from bios_sweep.records.workspace import RESULT_FILE, Workspace
from bios_sweep.sealed import DamagedError, digests_of, unlike
from bios_sweep.study.trials import EVALUATION_FILE, EVIDENCE, PREFERENCE_FILE, SCORE_FILE, TrialResult
from bios_sweep.vocabulary import Failure, Status

_log = logging.getLogger(__name__)

NOTHING: Mapping[str, TrialResult] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """What is left of a trial. result: None where none can be taken. damage: why, a sentence, or ''.

    file: the one that is damaged. unsealed: an earlier version wrote it. note: what else is to be told of it,
    a sentence, or ''.
    """

    result: TrialResult | None = None
    damage: str = ""
    file: Path | None = None
    unsealed: bool = False
    note: str = ""


class StoredResults:
    """The finished trials of a workspace, each checked when it is asked for.

    copies: the results in the journal of the sweep that asks. A whole, sealed result counts against its copy
    (it was trained again since, by another sweep); one without a seal does not. The copy is never taken.
    """

    def __init__(self, workspace: Workspace, copies: Mapping[str, TrialResult] = NOTHING) -> None:
        self._workspace = workspace
        self._copies = {key: result for key, result in copies.items() if result.finished}

    def __call__(self, key: str) -> TrialResult | None:
        """A trial's result, or None; for `procedure.recall`."""
        return self.look(key).result

    def look(self, key: str) -> StoredResult:
        """What is left of a trial."""
        path = self._workspace.trial_dir(key) / RESULT_FILE
        try:
            result, sealed = self._workspace.open_result(key)
        except DamagedError as error:
            return _damaged(path, str(error), key)
        if result is None:
            if key not in self._copies or not self._workspace.trials.is_dir():
                return StoredResult()
            return _damaged(path, "is gone, though the journal has its result", key)
        wrong = self._wrong_evidence(result, sealed=sealed)
        if wrong is not None:
            return _damaged(path.parent / wrong[0], wrong[1], key)
        copy = self._copies.get(key)
        if copy is None or copy.says_the_same(result):
            return StoredResult(result=result, unsealed=not sealed)
        if not sealed:
            return _damaged(path, "has no checksum and differs from the copy in the journal", key)
        return StoredResult(
            result=result, note=f"{path}: differs from its copy in the journal, and counts: it is sealed"
        )

    def seal(self, result: TrialResult) -> TrialResult:
        """Seal what an earlier version left, as it is now; only the owner of the workspace may."""
        folder = self._workspace.trial_dir(result.key)
        files = digests_of(folder, EVIDENCE) if result.status == Status.COMPLETED else {}
        sealed = replace(result, files=files)
        self._workspace.write_result(sealed)
        return sealed

    def _wrong_evidence(self, result: TrialResult, *, sealed: bool) -> tuple[str, str] | None:
        folder = self._workspace.trial_dir(result.key)
        if sealed:
            return unlike(folder, self._workspace.files_due(result))
        if result.status != Status.COMPLETED:
            return None
        path = folder / EVALUATION_FILE
        if path.is_file():
            return None if _read_sums(path) is not None else (EVALUATION_FILE, "cannot be read")
        if self._others_have_evaluations:
            return EVALUATION_FILE, "is gone, and other trials of the sweep have theirs"
        return None

    @cached_property
    def _others_have_evaluations(self) -> bool:
        """Whether trials of this sweep leave an evaluation at all: all completed ones do, or none."""
        folders = map(self._workspace.trial_dir, self._copies)
        return any((folder / EVALUATION_FILE).is_file() for folder in folders)


def without_damage(journal: SweepState, workspace: Workspace) -> tuple[SweepState, tuple[str, ...]]:
    """A sweep's state for readers: without trials that are damaged on the disk, which are named.

    Where the sealed result differs from the journal's copy it counts, and that is told too. Where the whole
    folder of trials is gone (a sweep that was put away), the journal stands alone.
    """
    trials, told = journal.trials, []
    if not workspace.trials.is_dir():
        return journal, ()
    stored_results = StoredResults(workspace, journal.results)
    for key, result in journal.results.items():
        kept = stored_results.look(key) if result.finished else StoredResult()
        if kept.damage:
            told.append(kept.damage)
            trials = trials.now(replace(trials[key], status=PLANNED, result=None, curve=(), times=()))
        elif kept.note and kept.result is not None:
            told.append(kept.note)
            found = kept.result
            trials = trials.now(replace(trials[key], status=found.status, result=found))
    return (replace(journal, trials=trials) if told else journal), tuple(told)


def as_arrived(event: TrialEvent, workspace: Workspace) -> TrialEvent:
    """The event; where files are not here as their worker wrote them, a failure: no outcome yet."""
    if event.result is None or not event.result.files:
        return event
    folder = workspace.trial_dir(event.key)
    wrong = unlike(folder, event.result.files)
    if wrong is None:
        return event
    cause = f"{folder / wrong[0]}: {wrong[1]}, made where it was written; run again to train it again"
    failed = replace(
        event.result, status=Status.FAILED, failure=Failure.STORAGE, cause=cause, final={}, files={}
    )
    _log.warning("%s", cause)
    return replace(event, result=failed)


def _damaged(path: Path, what: str, key: str) -> StoredResult:
    told = f"{path}: {what}; trial {key} counts as not run, and `bios-sweep run` trains it again"
    return StoredResult(damage=told, file=path)


class ClusterReader:
    """Trial key and file of its folder -> its evaluation summed by cluster, or None where there is none."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[tuple[str, str], ClusterSums] = {}

    def __call__(self, key: str, file: str) -> ClusterSums | None:
        """The sums of a trial that has ended; a file that cannot be read counts as absent."""
        found = self._known.get((key, file)) or _read_sums(self._workspace.trial_dir(key) / file)
        if found is not None:
            self._known[key, file] = found
        return found


def item_scores(workspace: Workspace, key: str) -> Floats | None:
    """The score of every item that a trial answered, shape (items,); None where they cannot be read."""
    try:
        with np.load(workspace.trial_dir(key) / SCORE_FILE, allow_pickle=False) as file:
            return np.asarray(file["score"], dtype=np.float64)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _read_sums(path: Path) -> ClusterSums | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            if path.name in (SCORE_FILE, PREFERENCE_FILE):  # a mean over items, each of which weighs the same
                return cluster_sums(
                    file["score"], np.ones(len(file["score"]), dtype=np.int64), file["cluster"]
                )
            return cluster_sums(file["nats"], file["tokens"], file["cluster"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
