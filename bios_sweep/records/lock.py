"""One driver per workspace, by a lock that the kernel gives back when its owner dies."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import fields
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import StorageError, WorkspaceBusyError
from bios_sweep.jsonable import to_json
from bios_sweep.paths import read_regular
from bios_sweep.records.workspace import Owner, Workspace

PATIENCE_SECONDS = 0.3  # chosen, not measured: a probe holds the lock for microseconds, a driver for minutes


class DriverLock:
    """Held by the one driver of a workspace; `driver.json` beside it says who that is.

    The lock, not the file, decides: after kill -9 the kernel frees it and the next driver takes over.
    took_over: whether a driver before was killed, and what it may have left has not been taken away since.
    sweep_id: '' for one who drives no sweep.
    """

    took_over = False

    def __init__(self, workspace: Workspace, sweep_id: str = "") -> None:
        self._workspace = workspace
        self._sweep_id = sweep_id
        self._lock = FileLock(workspace.lock_file, thread_local=False)

    def __enter__(self) -> DriverLock:
        """Take the workspace.

        Raises:
            WorkspaceBusyError: a live driver has it; the message names process, host, sweep and way out.
        """
        try:
            self._workspace.root.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=PATIENCE_SECONDS, poll_interval=0.02)
        except Timeout:
            raise WorkspaceBusyError(_busy(self._workspace)) from None
        except OSError as error:
            raise StorageError(
                f"workspace {self._workspace.root}: cannot be written ({error.strerror})"
            ) from error
        self.took_over = self._workspace.owner_file.exists()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        me = Owner(pid=os.getpid(), host=socket.gethostname(), sweep_id=self._sweep_id, started=now)
        try:
            write_atomically(self._workspace.owner_file, json.dumps(to_json(me)) + "\n")
        except StorageError:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Give the workspace back; the trace of a killed driver stays until what it left is taken away."""
        if not self.took_over:
            self._workspace.owner_file.unlink(missing_ok=True)
        self._lock.release()

    def tidied(self) -> None:
        """What killed drivers left has been taken away."""
        self.took_over = False


def live_owner(workspace: Workspace) -> Owner | None:
    """Who drives the workspace now; None when nobody does.

    A dead driver leaves its file behind but not the lock, so the lock is tried for an instant; drivers
    wait longer than that and are not disturbed.
    """
    if not workspace.owner_file.exists():
        return None
    probe = FileLock(workspace.lock_file, thread_local=False)
    try:
        probe.acquire(timeout=PATIENCE_SECONDS / 3, poll_interval=0.02)
    except (Timeout, OSError):  # OSError: someone else's workspace, where only the file can be asked
        return _owner(workspace)
    probe.release()
    return None


def require_free(workspace: Workspace) -> None:
    """Refuse a workspace that a live driver has, before anything is started for it.

    Raises:
        WorkspaceBusyError: as `DriverLock`, which decides in the end.
    """
    if live_owner(workspace) is not None:
        raise WorkspaceBusyError(_busy(workspace))


def _owner(workspace: Workspace) -> Owner:
    try:
        found = dict(json.loads(read_regular(workspace.owner_file)))
    except (OSError, ValueError, TypeError):
        return Owner()
    return Owner(**{field.name: found[field.name] for field in fields(Owner) if field.name in found})


def _busy(workspace: Workspace) -> str:
    owner = _owner(workspace)
    root = workspace.root
    who = f"workspace {root} is in use by process {owner.pid} on {owner.host}, which has"
    if not owner.sweep_id:
        return f"{who} cleaned it since {owner.started}; try again later, or choose another workspace="
    return (
        f"{who} run sweep {owner.sweep_id} since {owner.started}; see it with `bios-sweep status "
        f"workspace={root}`, end it with `bios-sweep stop workspace={root}`, or choose another workspace="
    )
