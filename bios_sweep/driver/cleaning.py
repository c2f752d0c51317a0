"""`clean`: what a workspace could do without, shown or taken away; and what each start takes away itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bios_sweep.engines.training import kept
from bios_sweep.errors import InputError
from bios_sweep.execution.sessions import dead_sessions, dead_slots
from bios_sweep.records.leftovers import Leftover, LeftoverKind, leftover, leftovers, temporary_files
from bios_sweep.records.lock import DriverLock
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.answers import Cleaning, SpareFile

OLD_DAYS = 30.0  # chosen: whoever wants an adapter of a sweep has taken it by then, and MLflow has a copy


def shown(workspace: Workspace, old_days: float = OLD_DAYS) -> Cleaning:
    """What could go. Changes nothing; while a driver works, some of it may be its own.

    Raises:
        InputError: there is no workspace.
    """
    _require_there(workspace)
    return _told(workspace, list(_found(workspace, old_days)), removed=False)


def cleaned(workspace: Workspace, old_days: float = OLD_DAYS) -> Cleaning:
    """Take it away.

    Raises:
        InputError: there is no workspace.
        WorkspaceBusyError: a driver works in it.
    """
    _require_there(workspace)
    with DriverLock(workspace) as lock:
        found = list(_found(workspace, old_days))
        for one in found:
            _remove(one)
        for session in dead_sessions(_tunes(workspace)):
            session.remove()
        lock.tidied()
        return _told(workspace, found, removed=True)


def remove_dead(workspace: Workspace, *, killed: bool) -> None:
    """What earlier runs of ours left: Ray's sessions, Tune's folders, and files that were being written.

    Only the workspace's owner may. killed: the run before was, so that there may be such files.
    """
    for one in (*_of_runs(workspace), *(temporary_files(workspace) if killed else ())):
        one.remove()
    for session in dead_sessions(_tunes(workspace)):
        session.remove()


def _require_there(workspace: Workspace) -> None:
    if not workspace.root.is_dir():
        raise InputError(f"workspace {workspace.root}: is not there; name one with workspace=DIR")


def _found(workspace: Workspace, old_days: float) -> Iterator[Leftover]:
    yield from temporary_files(workspace)
    yield from _of_runs(workspace)
    for session in dead_sessions(_tunes(workspace)):
        yield leftover(LeftoverKind.SESSION, session.folder)
    yield from leftovers(workspace, old_days)
    for folder in kept.unused(old_days):
        yield leftover(LeftoverKind.PREPARED, folder)


def _remove(one: Leftover) -> None:
    """What lies in the user's cache may be held by a process of another workspace."""
    if one.kind == LeftoverKind.PREPARED:
        kept.remove(one.path)
    else:
        one.remove()


def _of_runs(workspace: Workspace) -> Iterator[Leftover]:
    for folder in dead_slots(_tunes(workspace)):
        yield leftover(LeftoverKind.SLOTS, folder)


def _tunes(workspace: Workspace) -> Path:
    """Where Tune keeps its files, and we the notes of sessions."""
    return workspace.ray_folder


def _told(workspace: Workspace, found: list[Leftover], *, removed: bool) -> Cleaning:
    kinds = {
        str(kind): sum(one.size for one in found if one.kind == kind)
        for kind in LeftoverKind
        if any(one.kind == kind for one in found)
    }
    return Cleaning(
        workspace=str(workspace.root),
        removed=removed,
        bytes=sum(kinds.values()),
        kinds=kinds,
        files=tuple(SpareFile(kind=one.kind, path=str(one.path), bytes=one.size) for one in found),
        left=tuple(str(one.path) for one in found if removed and one.path.exists()),
    )
