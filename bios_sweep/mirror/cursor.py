"""How far a sweep was mirrored, and where it lies in MLflow. Light: MLflow itself is not needed to ask.

A cursor saves work and tells nothing that counts: one that is damaged is as none, and the mirror looks anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.paths import read_regular
from bios_sweep.records.workspace import Workspace
from bios_sweep.sealed import DamagedError, opened_json, sealed_json
from bios_sweep.secrecy import masked

LABEL = "place of {} in a tracking store"


def uri_hash(uri: str) -> str:
    """A short name for a tracking store; without credentials, which may change."""
    return hashlib.sha256(masked(uri, {}).replace("***@", "").rstrip("/").encode()).hexdigest()[:12]


def cursor_file(workspace: Workspace, sweep_id: str, tracking_uri: str) -> Path:
    """The file that remembers the last entry brought over to a tracking store."""
    return workspace.sweep_dir(sweep_id) / f"mirror-{uri_hash(tracking_uri)}.json"


def read_cursor(workspace: Workspace, sweep_id: str, tracking_uri: str) -> dict[str, Any]:
    """`seq`, `experiment_id` and `run_id` of a sweep there; empty when it was never mirrored."""
    path = cursor_file(workspace, sweep_id, tracking_uri)
    try:
        return opened_json(read_regular(path), LABEL.format(sweep_id), indent=1)[0]
    except (OSError, DamagedError):
        return {}


def require_whole_cursor(path: Path, sweep_id: str) -> bool:
    """Whether a cursor has a checksum, which holds.

    Raises:
        DamagedError: it is not as it was written.
    """
    return opened_json(read_regular(path), LABEL.format(sweep_id), indent=1)[1]


def write_cursor(workspace: Workspace, sweep_id: str, tracking_uri: str, **place: Any) -> None:
    """Remember how far a sweep is there: `seq`, and where it lies."""
    cursor = {"tracking_uri": masked(tracking_uri), **place}
    path = cursor_file(workspace, sweep_id, tracking_uri)
    write_atomically(path, sealed_json(cursor, LABEL.format(sweep_id), indent=1))


def drop_cursors(workspace: Workspace, tracking_uri: str) -> None:
    """A store is new and empty: what was remembered of one before it leads nowhere."""
    for sweep_id in workspace.sweeps():
        if read_cursor(workspace, sweep_id, tracking_uri).get("seq") != 0:
            cursor_file(workspace, sweep_id, tracking_uri).unlink(missing_ok=True)


def await_all(workspace: Workspace, tracking_uri: str) -> None:
    """A store is about to be replaced: every sweep waits to be brought over, until it is."""
    for sweep_id in _with_journal(workspace):
        write_cursor(workspace, sweep_id, tracking_uri, seq=0)


def awaited(workspace: Workspace, tracking_uri: str) -> list[str]:
    """The sweeps that wait so, the oldest first: a run that several share belongs to the first of them."""
    known = reversed(tuple(_with_journal(workspace)))
    return [one for one in known if read_cursor(workspace, one, tracking_uri).get("seq") == 0]


def _with_journal(workspace: Workspace) -> Iterable[str]:
    return (one for one in workspace.sweeps() if workspace.journal_file(one).exists())
