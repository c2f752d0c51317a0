"""What lies in a workspace and serves nothing any more, or little; each with how it is taken away.

Never among it: results, evaluations, journals, plans, reports, tuned files, the ledger. A trial that has an
outcome keeps all that a verdict could rest on.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bios_sweep.errors import StorageError
from bios_sweep.paths import files_below
from bios_sweep.records.reading import read_state
from bios_sweep.records.retention import discard_adapter, owners_of
from bios_sweep.records.workspace import CHECKPOINTS, REMOVED_MARK, Workspace
from bios_sweep.sealed import DamagedError
from bios_sweep.study.trials import ADAPTER_FOLDER

# what `atomic.write_atomically` and the fetch of a trial's files leave when they are killed
TEMPORARY = re.compile(r"\..+\.(\d+-\d+|[0-9a-f]{32})")
DAY_SECONDS = 86_400.0


class LeftoverKind(StrEnum):
    """Why something may go."""

    TEMPORARY = "temporary files"
    SLOTS = "slots folders"
    SESSION = "Ray sessions"
    CHECKPOINT = "checkpoints of finished trials"
    ATTEMPT = "attempts of finished trials"
    ADAPTER = "adapters that no sweep keeps"
    OLD_ADAPTER = "adapters of old sweeps"
    ORPHAN = "unfinished trials of no sweep"
    EXAMPLES = "examples of no sweep"
    PREPARED = "prepared data that nobody used"


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A file or folder that may go. size: bytes below it."""

    kind: LeftoverKind
    path: Path
    size: int

    def remove(self) -> None:
        """Free the disk."""
        if self.kind in (LeftoverKind.ADAPTER, LeftoverKind.OLD_ADAPTER):
            discard_adapter(self.path.parent, "clean")
        elif self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)


def leftover(kind: LeftoverKind, path: Path) -> Leftover:
    """With its size."""
    return Leftover(kind=kind, path=path, size=size_of(path))


def temporary_files(workspace: Workspace) -> Iterator[Leftover]:
    """Files that were being written when their process was killed; nobody may drive the workspace."""
    for path in files_below(workspace.root):
        if TEMPORARY.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            yield leftover(LeftoverKind.TEMPORARY, path)


def leftovers(workspace: Workspace, old_days: float) -> Iterator[Leftover]:
    """What is in the folders of trials and data. old_days: adapters of sweeps not worked on for longer go.

    A sweep whose plan or journal cannot be read, or is gone, may need anything, so then no trial and no data
    are of no sweep.
    """
    known = _known(workspace)
    old = _old_sweeps(workspace, old_days)
    folders = workspace.trials.iterdir() if workspace.trials.is_dir() else iter(())
    for folder in sorted(path for path in folders if path.is_dir() and not path.is_symlink()):
        yield from _of_trial(workspace, folder, known, old)
    if known is not None:
        kept = {workspace.data_file(fingerprint) for fingerprint in known.fingerprints}
        for path in sorted((workspace.root / "data").glob("[!.]*.jsonl")):
            if path not in kept:
                yield leftover(LeftoverKind.EXAMPLES, path)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Trials and data of all sweeps."""

    keys: Collection[str]
    fingerprints: Collection[str]


def _known(workspace: Workspace) -> _Known | None:
    """None where a sweep cannot say what it needs."""
    if workspace.lost_sweeps():
        return None
    keys: set[str] = set()
    fingerprints: set[str] = set()
    for sweep_id in workspace.sweeps():
        journal = workspace.journal_file(sweep_id)
        if not journal.exists():
            return None
        try:
            state = read_state(journal)
            data = workspace.read_plan(sweep_id)["study"]["scenario"]["data"]
        except (StorageError, KeyError, TypeError):
            return None
        keys |= set(state.trials)
        fingerprints.add(str(data["fingerprint"]))
    return _Known(keys=keys, fingerprints=fingerprints)


def _old_sweeps(workspace: Workspace, days: float) -> frozenset[str]:
    now = time.time()
    worked = {sweep_id: workspace.worked_on(sweep_id) for sweep_id in workspace.sweeps()}
    return frozenset(sweep_id for sweep_id, then in worked.items() if now - then > days * DAY_SECONDS)


def _of_trial(
    workspace: Workspace, folder: Path, known: _Known | None, old: Collection[str]
) -> Iterator[Leftover]:
    try:
        result = workspace.open_result(folder.name)[0]
    except DamagedError:
        return  # evidence that can be looked at; `run` trains the trial again
    if result is None or not result.finished:
        if known is not None and folder.name not in known.keys:
            yield leftover(LeftoverKind.ORPHAN, folder)
        return
    for name in CHECKPOINTS:
        if (folder / name).is_file():
            yield leftover(LeftoverKind.CHECKPOINT, folder / name)
    attempts = workspace.root / "attempts" / folder.name
    if attempts.is_dir():
        yield leftover(LeftoverKind.ATTEMPT, attempts)
    adapter = folder / ADAPTER_FOLDER
    if adapter.is_dir() and not adapter.is_symlink() and (kind := _spare(folder, known, old)):
        yield leftover(kind, adapter)


def _spare(folder: Path, known: _Known | None, old: Collection[str]) -> LeftoverKind | None:
    """Why an adapter may go; None where a sweep of now keeps it, or may."""
    try:
        owners = set(owners_of(folder))
    except DamagedError:
        return None
    if owners:
        return LeftoverKind.OLD_ADAPTER if owners <= set(old) else None
    unkept = known is not None and ((folder / REMOVED_MARK).exists() or folder.name not in known.keys)
    return LeftoverKind.ADAPTER if unkept else None


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what is gone meanwhile has none."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
        return sum(size_of(one) for one in path.iterdir())
    except OSError:
        return 0
