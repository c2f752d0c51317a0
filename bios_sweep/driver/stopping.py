"""How a run hears that it should end: a signal, or `bios-sweep stop` wherever the workspace is seen."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from bios_sweep.driver.pace import LOOK_SECONDS, Pace
from bios_sweep.records.workspace import Workspace

SAME_HANGUP_SECONDS = 2.0  # chosen: a terminal that goes is told by the shell, then by the kernel


class Stopped(KeyboardInterrupt):
    """The run ended before its sweep; the same again goes on from there. signal: decides the exit code.

    Raised where the run is, it ends there at once; what was measured is kept.
    """

    def __init__(self, number: int) -> None:
        super().__init__("stopped; the same call goes on from here")
        self.signal = number


def hangup() -> tuple[signal.Signals, ...]:
    """The signal of a terminal that goes away; none where it is ignored, as `nohup` has it."""
    return () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)


class Stop:
    """Whether to stop. The first signal, or `stop`, lets running trials reach their next measurement.

    A second signal, or `stop --now`, ends the run at once; not between a result and its line in the
    journal, though (`held`). signal: which one was heard, None so far. A terminal that goes away stops
    the run too, unless its signal was ignored when the run began, as `nohup` has it. Outside the main thread
    no signal is heard, and both requests stop gracefully.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._before: dict[int, Any] = {}
        self._main = threading.get_ident()
        self._over = threading.Event()
        self._held = False
        self._at_once: int | None = None
        self._pace = Pace()
        self._hung_up = -math.inf
        self.signal: int | None = None

    def __enter__(self) -> Stop:
        """From here on it listens; a request made since this driver took the workspace counts already."""
        if not self._meant_for_us():
            self._workspace.clear_stop()
        if threading.current_thread() is threading.main_thread():  # no other may have handlers
            for number in (signal.SIGINT, signal.SIGTERM, *hangup()):
                self._before[number] = signal.signal(number, self._heard)
        threading.Thread(target=self._watch, daemon=True, name="stop --now").start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Give the handlers back. Ray passes an interrupt on as a plain one: it gets its number back."""
        self._over.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._workspace.clear_stop()
        if self._at_once is not None and kind is KeyboardInterrupt:
            raise Stopped(self._at_once) from error

    def asked(self) -> bool:
        """Asked often; the disk is looked at twice a second."""
        if self.signal is None and self._pace.due() and self._workspace.stop_requested():
            self.signal = signal.SIGTERM
        return self.signal is not None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """What runs in here is finished first, whatever is heard."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._at_once is not None:
            raise Stopped(self._at_once)

    def _meant_for_us(self) -> bool:
        """Whether the request is younger than the driver's own file: both times are the same disk's."""
        try:
            asked, taken = (
                path.stat().st_mtime_ns for path in (self._workspace.stop_file, self._workspace.owner_file)
            )
        except OSError:
            return False
        return asked >= taken

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and self._same_hangup():
            return
        if self.signal is None:
            self.signal = number
            return
        self._at_once = number
        if not self._held:
            raise Stopped(number)

    def _same_hangup(self) -> bool:
        before, self._hung_up = self._hung_up, time.monotonic()
        return self._hung_up - before < SAME_HANGUP_SECONDS

    def _watch(self) -> None:
        """A thread, for the main one may be deep in a step; only a signal gets it out of there."""
        while not self._over.wait(LOOK_SECONDS):
            if self._workspace.stop_requested(now=True):
                self.signal = self.signal or signal.SIGTERM
                if self._before:
                    signal.pthread_kill(self._main, signal.SIGTERM)
                return
