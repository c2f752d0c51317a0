"""What other processes ask of a driver beside its end: to hold, to stop an arm or take it up again.

Files of the workspace, as the request to stop is: they reach a driver on another machine too. What an arm was
asked stands in a file of its own until the driver has it in the journal, so that nothing asked is lost.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import StorageError
from bios_sweep.paths import read_regular
from bios_sweep.records.workspace import Workspace

PAUSE = "pause"
ARMS = "asked"
BROKEN = ".broken"  # how the name of a request ends that nobody understands
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ArmRequest:
    """An arm of a sweep that is to be stopped, or taken up again where `stopped` is false."""

    sweep_id: str
    arm: str
    stopped: bool

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ArmRequest:
        """What `request_arm` wrote.

        Raises:
            TypeError: it is something else.
        """
        request = cls(**values)
        if [type(value) for value in (request.sweep_id, request.arm, request.stopped)] != [str, str, bool]:
            raise TypeError("sweep_id and arm are texts, stopped is true or false")
        return request


def request_pause(workspace: Workspace) -> None:
    """Ask the driver to start nothing for now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_atomically(workspace.root / PAUSE, f"{now}\n")


def pause_requested(workspace: Workspace) -> str:
    """Since when the driver is asked to hold, UTC, ISO 8601; '' where it is not."""
    try:
        return (workspace.root / PAUSE).read_text(encoding="utf-8").strip() or "a while ago"
    except FileNotFoundError:
        return ""


def end_pause(workspace: Workspace) -> None:
    """Ask the driver to go on."""
    (workspace.root / PAUSE).unlink(missing_ok=True)


def request_arm(workspace: Workspace, request: ArmRequest) -> None:
    """Leave a request about an arm where the driver looks for it."""
    text = json.dumps({"sweep_id": request.sweep_id, "arm": request.arm, "stopped": request.stopped})
    write_atomically(workspace.root / ARMS / f"{time.time_ns()}-{os.getpid()}.json", text + "\n")


def arm_requests(workspace: Workspace) -> Iterator[tuple[Path, ArmRequest]]:
    """Requests that nobody has taken in yet, in the order in which they were made.

    One that cannot be understood asks nothing of anybody: it is set aside, with a warning.

    Raises:
        StorageError: it cannot be set aside.
    """
    folder = workspace.root / ARMS
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            request = ArmRequest.from_dict(json.loads(read_regular(path)))
        except FileNotFoundError:  # its driver has just taken it in
            continue
        except (OSError, ValueError, TypeError) as error:
            _set_aside(path, error)
            continue
        yield path, request


def drop_arm_requests(workspace: Workspace, request: ArmRequest) -> None:
    """Take away what was asked of an arm before this, and nobody has taken in."""
    for path, older in arm_requests(workspace):
        if (older.sweep_id, older.arm) == (request.sweep_id, request.arm):
            path.unlink(missing_ok=True)


def _set_aside(path: Path, error: Exception) -> None:
    aside = path.with_suffix(BROKEN)
    try:
        path.replace(aside)
    except OSError as trouble:
        raise StorageError(
            f"{path}: is no request about an arm, and cannot be moved ({trouble})"
        ) from trouble
    _log.warning("%s: is no request about an arm (%s); it is set aside, ask again", aside, error)
