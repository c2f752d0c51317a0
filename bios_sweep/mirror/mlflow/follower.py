"""One sweep's runs in MLflow, brought to what its journal says: a run per trial, and the sweep's own."""

from __future__ import annotations

import logging
from pathlib import Path

from bios_sweep.mirror.content import (
    RunContent,
    RunStatus,
    as_guest,
    child_content,
    experiment_note,
    has_run,
    parent_content,
    shared_view,
    sweep_tag,
)
from bios_sweep.mirror.cursor import read_cursor, write_cursor
from bios_sweep.mirror.mlflow.addresses import is_web, sqlite_file
from bios_sweep.mirror.mlflow.schema import is_current
from bios_sweep.mirror.mlflow.store import KnownRun, MlflowStore, folder_files
from bios_sweep.records.journal import JournalTail
from bios_sweep.records.replay import Entry, advance
from bios_sweep.records.sweep_state import RUNNING, SweepState, TrialState
from bios_sweep.records.workspace import Workspace
from bios_sweep.sealed import unlike
from bios_sweep.study.trials import short_hash

_log = logging.getLogger(__name__)


class SweepFollower:
    """Where the mirror stands: the journal read so far, the runs known, the trials still to be brought over.

    The cursor file only saves looking at what an earlier process brought over; the truth of what is in
    MLflow are the tags there.
    """

    def __init__(self, workspace: Workspace, sweep_id: str, uri: str, experiment_name: str = "") -> None:
        self._workspace = workspace
        self._sweep_id = sweep_id
        self._uri = uri
        self._experiment_name = experiment_name
        self._tail = JournalTail(workspace.journal_file(sweep_id))
        self._state = SweepState()
        self._due: dict[str, None] = {}
        self._done = self._read_cursor()
        self._connection: tuple[MlflowStore, KnownRun, dict[str, KnownRun]] | None = None
        self._doubtful = False

    def recheck(self) -> None:
        """Trust no cursor: everything is due again."""
        self._done = 0
        self._due = dict.fromkeys(self._state.trials)

    def forget(self) -> None:
        """After an error nothing is known of the other side; look again before writing."""
        self._connection = None
        self._doubtful = True  # what was asked then may still be done over there, late

    def catch_up(self, *, alive: bool) -> None:
        """Bring over what is new; touch nothing, not even the connection, when nothing is."""
        for entry in self._tail.read():
            self._take(entry)
        state = self._state
        if not state.facts or state.seq <= self._done:
            return
        store, parent, children = self._connect(alive=alive)
        for key in list(self._due):
            if has_run(state.trials[key]):
                self._push_trial(store, parent, children, state.trials[key], alive=alive)
            del self._due[key]
        self._push_sweep(store, parent, alive=alive)
        if self._doubtful and state.closed:
            store.find_sweep(self._sweep_id)  # a look removes doubles
            store.trials_of(sweep_tag(self._sweep_id))
            self._doubtful = False
        self._done = state.seq
        self._write_cursor(store, parent)

    def _take(self, entry: Entry) -> None:
        if entry.kind == "closed":
            touched = [key for key, trial in self._state.trials.items() if trial.status == RUNNING]
        else:
            touched = [entry.fields["key"]] if "key" in entry.fields else []
        self._state = advance(self._state, entry)
        if entry.seq > self._done:
            self._due.update(dict.fromkeys(touched))

    def _connect(self, *, alive: bool) -> tuple[MlflowStore, KnownRun, dict[str, KnownRun]]:
        """The store, the sweep's run (made if missing) and the runs already tagged as this sweep's."""
        if self._connection is None:
            name = self._experiment_name or self._state.facts["scenario"]
            store = MlflowStore(self._uri, name, _artifact_location(self._uri))
            parent = store.find_sweep(self._sweep_id)
            if parent is None:
                self._due = dict.fromkeys(self._state.trials)  # the store was emptied, or never seen
                parent = store.create(parent_content(self._state, alive=alive))
            self._connection = store, parent, store.trials_of(sweep_tag(self._sweep_id))
        return self._connection

    def _push_trial(
        self,
        store: MlflowStore,
        parent: KnownRun,
        children: dict[str, KnownRun],
        trial: TrialState,
        *,
        alive: bool,
    ) -> None:
        key = trial.spec.key
        content = child_content(self._state, trial, parent.run_id, alive=alive)
        known = children.get(key) or store.find_trial(key)
        if known is None:
            known = store.create(content)
        children[key] = known
        store.push(known, _allowed(known, content, self._sweep_id))
        folder = self._workspace.root / trial.kept
        if trial.kept and folder.is_dir() and self._is_whole(folder, trial):
            files, digest = folder_files(folder, "adapter")
            store.upload(known, files, tag="adapter", digest=digest)

    def _is_whole(self, folder: Path, trial: TrialState) -> bool:
        """Whether an adapter is as its worker wrote it; a damaged one is named and not handed on."""
        files = {} if trial.result is None else trial.result.files
        ours = {name: digest for name, digest in files.items() if name.startswith(f"{folder.name}/")}
        wrong = unlike(folder.parent, ours)
        if wrong is not None:
            _log.warning("%s: %s; it is not uploaded", folder.parent / wrong[0], wrong[1])
        return wrong is None

    def _push_sweep(self, store: MlflowStore, parent: KnownRun, *, alive: bool) -> None:
        """The sweep's run last, so that it is FINISHED only when all below it is there."""
        state = self._state
        folder = self._workspace.sweep_dir(self._sweep_id)
        files = {name: folder / name for name in state.report if (folder / name).is_file()}
        if files:
            store.upload(parent, files, tag="report", digest=short_hash(dict(state.report)))
        store.push(parent, parent_content(state, alive=alive))
        store.note_experiment(experiment_note(state), state.verdicts[-1].time if state.verdicts else 0)
        store.save_view(*shared_view(self._sweep_id, state.started, state.facts["metric"]))

    def _read_cursor(self) -> int:
        """The last entry brought over by an earlier process; 0 when unknown or the store is not ready."""
        if not is_web(self._uri) and not is_current(sqlite_file(self._uri)):
            return 0
        seq = read_cursor(self._workspace, self._sweep_id, self._uri).get("seq")
        return seq if isinstance(seq, int) else 0

    def _write_cursor(self, store: MlflowStore, parent: KnownRun) -> None:
        place = {"experiment_id": store.experiment_id, "run_id": parent.run_id, "seq": self._done}
        write_cursor(self._workspace, self._sweep_id, self._uri, **place)


def _allowed(known: KnownRun, content: RunContent, sweep_id: str) -> RunContent:
    """What this sweep may say on a run: all on its own, unless another sweep has finished it meanwhile."""
    finished = known.status == RunStatus.FINISHED
    if known.creator != sweep_id or (finished and not content.settled):
        return as_guest(content, sweep_id, finished=finished)
    return content


def _artifact_location(uri: str) -> str | None:
    """Beside an SQLite store, for MLflow would use the working directory; a server knows its own place."""
    return None if is_web(uri) else (sqlite_file(uri).parent / "mlartifacts").as_uri()
