"""A run that goes behind: in a session of its own, once nothing can refuse it any more."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bios_sweep.errors import StorageError
from bios_sweep.interpreter import python, with_package
from bios_sweep.ports import Listener, PreflightLine

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


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A process whose trials begin."""

    pid: int
    sweep_id: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A process that ended before a trial began. code: as a shell has it. killed: the signal's name or ''."""

    code: int
    killed: str = ""


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


def go_behind(words: Sequence[str], log: Path, answer: Path | None = None) -> Begun | Ended:
    """Run the words in a session of its own, and wait until its trials begin or it ends.

    log: takes what it prints. answer: takes its standard output, where that is to stand alone.
    """
    hears, tells = os.pipe()
    with ExitStack() as files:
        told = files.enter_context(log.open("ab"))
        child = subprocess.Popen(
            python("-m", "bios_sweep", *words),
            stdin=subprocess.DEVNULL,
            stdout=told if answer is None else files.enter_context(answer.open("ab")),
            stderr=told,
            start_new_session=True,
            pass_fds=(tells,),
            env={**with_package(), BEGUN: str(tells)},
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
        return Begun(pid=child.pid, sweep_id=str(json.loads(said)["sweep_id"]))
    return ended(child.wait())


def ended(status: int) -> Ended:
    """status: as `subprocess` tells it, negative for a signal."""
    if status >= 0:
        return Ended(code=status)
    return Ended(code=128 - status, killed=signal.Signals(-status).name)


def _first_word(child: subprocess.Popen[bytes], hears: int) -> bytes:
    while True:
        if select.select([hears], [], [], LOOK_SECONDS)[0]:
            return os.read(hears, 4096)
        if child.poll() is not None:
            return b""


class Announcing:
    """Passes on what another listener hears; whoever waits for a detached run hears that its trials begin.

    Until then every refusal is told there.
    """

    def __init__(self, listener: Listener, descriptor: int) -> None:
        self._listener = listener
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def warn(self, text: str) -> None:
        """As the other has it."""
        self._listener.warn(text)

    def say(self, text: str) -> None:
        """As the other has it."""
        self._listener.say(text)

    def preflight(self, lines: tuple[PreflightLine, ...]) -> None:
        """As the other has it."""
        self._listener.preflight(lines)

    def watch(self, **facts: Any) -> Any:
        """The other's view; trials run inside."""
        with suppress(OSError):  # who waited may be gone
            os.write(self._descriptor, json.dumps({"sweep_id": facts["title"]}).encode())
        os.close(self._descriptor)
        return self._listener.watch(**facts)


def announcing(listener: Listener) -> Listener:
    """The listener of a run; of a detached one, one that says when its trials begin."""
    number = os.environ.pop(BEGUN, "")
    return Announcing(listener, int(number)) if number.isdigit() else listener


def detached(begun: Begun, log: Path, workspace: Path) -> Detached:
    """What to type about a run that went behind."""
    place = shlex.quote(f"workspace={workspace}")
    return Detached(
        sweep_id=begun.sweep_id,
        pid=begun.pid,
        log=str(log),
        watch=f"bios-sweep status --watch {place}",
        stop=f"bios-sweep stop {place}",
        follow=f"tail -f {shlex.quote(str(log))}",
    )
