"""`run --detach`: a sweep goes on in a session of its own, once nothing can refuse it any more."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bios_sweep.errors import StorageError
from bios_sweep.report.text.listener import ConsoleListener

BEGUN = "BIOS_SWEEP_BEGUN"  # the descriptor on which a detached run says that its trials begin
LOOK_SECONDS = 0.2  # chosen: between two looks at whether it has ended instead
LOGS = "logs"


@dataclass(frozen=True, kw_only=True)
class Detached:
    """A run that went behind. log: what it prints. watch, stop, logs: commands that can be typed."""

    sweep_id: str
    pid: int
    log: str
    watch: str
    stop: str
    follow: str


def new_log(workspace: Path) -> Path:
    """A file of its own for what a run prints.

    Raises:
        StorageError: the workspace cannot be written.
    """
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    log = workspace / LOGS / f"run-{now}-{os.getpid()}.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"workspace {workspace}: cannot be written ({error.strerror})") from error
    return log


def go_behind(words: Sequence[str], log: Path) -> tuple[int, dict[str, Any] | None]:
    """Run the words in a session of its own, and wait until its trials begin or it ends.

    Returns the exit code of one that ended, or its process with what it said of itself.
    """
    hears, tells = os.pipe()
    with log.open("ab") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "bios_sweep", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(tells,),
            env={**os.environ, BEGUN: str(tells)},
        )
    os.close(tells)
    try:
        said = _first_word(child, hears)
    except KeyboardInterrupt:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        raise
    finally:
        os.close(hears)
    if said:
        return child.pid, dict(json.loads(said))
    return child.wait(), None


def _first_word(child: subprocess.Popen[bytes], hears: int) -> bytes:
    while True:
        if select.select([hears], [], [], LOOK_SECONDS)[0]:
            return os.read(hears, 4096)
        if child.poll() is not None:
            return b""


def telling(listener: ConsoleListener) -> None:
    """Have a detached run say when its trials begin; until then whoever started it hears every refusal."""
    number = os.environ.pop(BEGUN, "")
    if not number.isdigit():
        return
    descriptor, watch = int(number), listener.watch
    os.set_inheritable(descriptor, False)

    def told(**facts: Any) -> Any:
        with suppress(OSError):  # who waited may be gone
            os.write(descriptor, json.dumps({"sweep_id": facts["title"]}).encode())
        os.close(descriptor)
        return watch(**facts)

    listener.watch = told  # type: ignore[assignment]


def detached(pid: int, sweep_id: str, log: Path, workspace: Path) -> Detached:
    """What to type about a run that went behind."""
    place = shlex.quote(f"workspace={workspace}")
    return Detached(
        sweep_id=sweep_id,
        pid=pid,
        log=str(log),
        watch=f"bios-sweep status --watch {place}",
        stop=f"bios-sweep stop {place}",
        follow=f"tail -f {shlex.quote(str(log))}",
    )
