"""`verify`: a workspace, one of its sweeps, or an archive of a workspace, file by file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bios_sweep.driver.unpacked import is_archive, unpacked
from bios_sweep.engines.training.data import open_dataset
from bios_sweep.errors import DataError, InputError, StorageError
from bios_sweep.hub.pins import FILE as PINS
from bios_sweep.hub.pins import pins_of
from bios_sweep.mirror.cursor import require_whole_cursor
from bios_sweep.paths import expanded, files_below
from bios_sweep.records.checked import (
    WRITE_AGAIN,
    Checked,
    FileKind,
    check_rest,
    check_shared,
    check_sweep,
    check_trial,
    looked,
    missing_results,
)
from bios_sweep.records.reading import read_state
from bios_sweep.records.workspace import SWEEPS, Workspace
from bios_sweep.report.content.answers import DamagedFile, FilesOfKind, Verification
from bios_sweep.sealed import DamagedError

PARTS = (SWEEPS, "trials")  # a folder that has one of them is a workspace
NOT_NOW = (  # low byte of SQLite's codes: only who writes could tell
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED),
    sqlite3.SQLITE_READONLY,  # a writer was killed, and what it left undone is taken back by the next one
)
SYNC = "`bios-sweep sync` brings the sweeps over to another store; no number of ours is read from this one"


def verified(given: str | None, workspace: Workspace) -> Verification:
    """What is whole and what is not.

    given: a folder that is a workspace or a sweep's, an archive, or a sweep's name or id; None for all of the
    workspace.

    Raises:
        InputError: it is none of these, or an archive that cannot be unpacked.
    """
    if given is None:
        return _told(str(workspace.root), workspace, _require_workspace(workspace).sweeps())
    path = expanded(given)
    if is_archive(path):
        with unpacked(path) as folder:
            found = Workspace(_root_in(folder, path))
            return _in_archive(_told(str(path), found, _require_sweeps(found, path)), path, found.root)
    if path.is_dir() and path.absolute().parent.name == SWEEPS:
        return _told(str(path), Workspace(path.absolute().parents[1]), (path.name,), alone=True)
    if path.is_dir():
        found = _require_workspace(Workspace(path))
        return _told(str(path), found, found.sweeps())
    if path.exists():
        raise InputError(
            f"verify: {path} is no archive; give a workspace, a sweep, or a .tar.gz or .zip of one"
        )
    sweep_id = workspace.find_sweep(given)
    return _told(sweep_id, workspace, (sweep_id,), alone=True)


def _require_workspace(workspace: Workspace) -> Workspace:
    if not any((workspace.root / part).is_dir() for part in PARTS):
        raise InputError(
            f"verify: {workspace.root} is no workspace (it has no folder {' or '.join(PARTS)}); give one, a "
            "sweep's name, or an archive"
        )
    return workspace


def _require_sweeps(workspace: Workspace, archive: Path) -> tuple[str, ...]:
    if not (sweeps := workspace.sweeps()):
        raise InputError(
            f"{archive}: holds no sweep, so nothing tells what it should hold; copy or make it again"
        )
    return sweeps


def _root_in(folder: Path, archive: Path) -> Path:
    """The workspace in an archive: at its top, or below the folders that it was packed with."""
    places = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    found = [place for place in places if any((place / part).is_dir() for part in PARTS)]
    if not found:
        raise InputError(f"{archive}: holds no workspace (no folder {' or '.join(PARTS)})")
    return found[0]


def _told(what: str, workspace: Workspace, sweeps: tuple[str, ...], *, alone: bool = False) -> Verification:
    """alone: only what these sweeps stand on, and nothing else of the workspace."""
    checked = list(_checked(workspace, sweeps, _trials_of(workspace, sweeps if alone else None)))
    if not alone:
        checked += _of_the_workspace(workspace)
        known = {one.path for one in checked}
        checked += check_rest(sorted(files_below(workspace.root)), known)
    kinds = [_of_kind(kind, [one for one in checked if one.kind == kind]) for kind in FileKind]
    return Verification(
        what=what,
        sweeps=sweeps,
        kinds=tuple(kind for kind in kinds if kind.files or kind.damaged),
        damaged=tuple(
            DamagedFile(kind=one.kind, path=str(one.path), wrong=one.wrong, way_out=one.way_out)
            for one in checked
            if one.wrong
        ),
    )


def _of_kind(kind: FileKind, files: list[Checked]) -> FilesOfKind:
    return FilesOfKind(
        kind=kind,
        files=len(files),
        bytes=sum(one.size for one in files),
        unvouched=sum(not (one.vouched or one.wrong) for one in files),
        damaged=sum(bool(one.wrong) for one in files),
    )


def _in_archive(told: Verification, archive: Path, root: Path) -> Verification:
    """Paths as they stand in the archive."""
    damaged = (replace(one, path=one.path.replace(str(root), f"{archive}:", 1)) for one in told.damaged)
    return replace(told, damaged=tuple(damaged))


def _checked(workspace: Workspace, sweeps: tuple[str, ...], trials: tuple[str, ...]) -> Iterator[Checked]:
    for sweep_id in sweeps:
        yield from check_sweep(workspace, sweep_id)
        yield from missing_results(workspace, sweep_id)
        for path in sorted(workspace.sweep_dir(sweep_id).glob("mirror-*.json")):
            yield looked(FileKind.TRACKING, path, _cursor(sweep_id), "the next run or sync looks anew")
    for key in trials:
        yield from check_trial(workspace, key)


def _trials_of(workspace: Workspace, sweeps: tuple[str, ...] | None) -> tuple[str, ...]:
    """Keys of the trials of some sweeps, or of all trials that are there."""
    if sweeps is None:
        folders = workspace.trials.iterdir() if workspace.trials.is_dir() else iter(())
        return tuple(sorted(path.name for path in folders if path.is_dir()))
    keys: dict[str, None] = {}
    for sweep_id in sweeps:
        try:
            keys |= dict.fromkeys(read_state(workspace.journal_file(sweep_id)).trials)
        except StorageError:  # told where the journal is looked at; which trials it had is lost
            continue
    return tuple(keys)


def _of_the_workspace(workspace: Workspace) -> Iterator[Checked]:
    yield from check_shared(workspace)
    if (workspace.root / PINS).exists():
        way_out = "restore it, or delete it: models and data sets are then taken at their newest commits"
        yield looked(FileKind.MARK, workspace.root / PINS, lambda path: _pins(path.parent), way_out)
    for path in sorted((workspace.root / "data").glob("[!.]*.jsonl")):
        yield looked(FileKind.EXAMPLES, path, _examples, WRITE_AGAIN)
    if workspace.store.is_file():
        yield looked(FileKind.TRACKING, workspace.store, _database, SYNC)


def _pins(root: Path) -> bool:
    pins_of(root)
    return True


def _cursor(sweep_id: str) -> Callable[[Path], bool]:
    return lambda path: require_whole_cursor(path, sweep_id)


def _examples(path: Path) -> bool:
    """Whether the examples have the fingerprint that the file is named by."""
    try:
        file = open_dataset(path).verified()
    except DataError as error:
        raise DamagedError(str(error)) from error
    if not file.fingerprint.startswith(path.stem):
        raise DamagedError("does not hold the examples that it is named after")
    return True


def _database(path: Path) -> bool:
    """Whether MLflow's database is one; what its tables say is a copy of our journals, and not looked at."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as store:
            (found,) = store.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in NOT_NOW:
            return False
        raise DamagedError(f"cannot be read ({error})") from error
    except sqlite3.DatabaseError as error:
        raise DamagedError(f"cannot be read ({error})") from error
    if found != "ok":
        raise DamagedError(f"is damaged ({found})")
    return False
