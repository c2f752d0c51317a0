"""What other processes ask of a driver beside its end: to hold, to stop an arm or take it up again.

Files of the workspace, as the request to stop is: they reach a driver on another machine too. What an arm was
asked stands in a file of its own until the driver has it in the journal, so that nothing asked is lost.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import StorageError
from bios_sweep.records.workspace import Workspace

PAUSE = "pause"
ARMS = "asked"


@dataclass(frozen=True, kw_only=True)
class ArmRequest:
    """An arm of a sweep that is to be stopped, or taken up again where `stopped` is false."""

    sweep_id: str
    arm: str
    stopped: bool


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

    Raises:
        StorageError: one cannot be understood, with its file.
    """
    folder = workspace.root / ARMS
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            yield path, ArmRequest(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(
                f"{path}: is no request about an arm ({error}); remove the file and ask again"
            ) from error
