"""A script as a child process: its lines as they come, its end, and its certain death."""

from __future__ import annotations

import math
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from bios_sweep.engines.scripted.output_log import OutputLog
from bios_sweep.study.trials import STDERR, STDOUT

GUARD = Path(__file__).with_name("guard.py")
GRACE_SECONDS = 5.0  # chosen: between the request to end (SIGTERM) and the end (SIGKILL)
LOOK_SECONDS = 0.5  # chosen: how often a script is looked at
DRAIN_SECONDS = 1.0  # chosen: for what an ended script left in its streams, which strangers may write on
CHUNK = 65_536  # bytes


class OutOfTimeError(Exception):
    """The script ran longer than it may."""


class Line(NamedTuple):
    """A line that a script wrote. error: on standard error."""

    text: str
    error: bool = False


class Child:
    """One run of a script. Its output is kept in `folder`; leaving the context ends it and all it started.

    output, errors: what it wrote on standard output and on standard error.
    """

    def __init__(
        self, words: Sequence[str], *, cwd: Path, folder: Path, environ: Mapping[str, str], told: bytes = b""
    ) -> None:
        """Start it. words: program and arguments, no shell. told: what it can read on standard input.

        Raises:
            OSError: the folder cannot be written, or the working directory is not there.
        """
        self.output, self.errors = OutputLog(folder / STDOUT), OutputLog(folder / STDERR)
        held, self._pipe = os.pipe()
        try:
            with _input(told) as given:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(GUARD), str(held), *words],
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=cwd,
                    env=dict(environ),
                    pass_fds=[held],
                    start_new_session=True,  # Ctrl-C is the driver's; it decides when the script ends
                )
        except BaseException:
            os.close(self._pipe)
            self.output.close()
            self.errors.close()
            raise
        finally:
            os.close(held)
        self._started = time.monotonic()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        """End it and everything it started: asked first, then killed by its guard."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)  # the guard passes it on to all
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
        os.close(self._pipe)
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr, self.output, self.errors):
            assert pipe is not None  # both were asked for
            pipe.close()

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self._started

    def lines(self, limit_seconds: float | None) -> Iterator[Line | None]:
        """Its lines as they come, until the script has ended; None at each look at it.

        Raises:
            OutOfTimeError: it still runs after so many seconds.
        """
        with selectors.DefaultSelector() as waiting:
            for pipe, kept in ((self._process.stdout, self.output), (self._process.stderr, self.errors)):
                assert pipe is not None  # both were asked for
                waiting.register(pipe, selectors.EVENT_READ, kept)
            latest, look = math.inf, LOOK_SECONDS  # when to read on no longer, when to look
            while waiting.get_map() and self.seconds < latest:
                ended = self._process.poll() is not None  # asked first: its last words are then there to read
                ready = waiting.select(0 if ended else self._left(limit_seconds, most=LOOK_SECONDS))
                if ended:
                    if not ready:
                        return  # what it left behind may hold the streams open for ever
                    latest = min(latest, self.seconds + DRAIN_SECONDS)
                elif limit_seconds is not None and self.seconds >= limit_seconds:
                    raise OutOfTimeError
                for key, _ in ready:
                    yield from self._read(key, waiting)
                if self.seconds >= look:
                    look = self.seconds + LOOK_SECONDS
                    yield None

    def status(self, limit_seconds: float | None) -> int:
        """The exit status, waited for; negative where a signal ended it.

        Raises:
            OutOfTimeError: it closed its output and still runs after so many seconds.
        """
        try:
            return self._process.wait(self._left(limit_seconds))
        except subprocess.TimeoutExpired:
            raise OutOfTimeError from None

    def _read(self, key: selectors.SelectorKey, waiting: selectors.BaseSelector) -> list[Line]:
        chunk = os.read(key.fd, CHUNK)
        if not chunk:
            waiting.unregister(key.fileobj)
        return [Line(text, error=key.data is self.errors) for text in key.data.feed(chunk)]

    def _left(self, limit_seconds: float | None, most: float = threading.TIMEOUT_MAX) -> float:
        return most if limit_seconds is None else min(most, max(0.0, limit_seconds - self.seconds))


@contextmanager
def _input(told: bytes) -> Iterator[IO[bytes] | int]:
    """Standard input without a writer: nothing, or a file that no folder lists, for nobody else to read."""
    if not told:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(told)
        file.seek(0)
        yield file
