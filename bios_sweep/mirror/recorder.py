"""Following a sweep's journal into a tracker, whichever it is, while it grows or afterwards.

A recorder follows the journal's file and nothing else, in a thread of its own, so a slow or dead server
never holds up a trial. Each pass compares what should be there with what is: the live mirror, `sync` and
the repair after a crash are the same code.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from filelock import FileLock, Timeout

from bios_sweep.errors import BiosSweepError, StorageError, TrackingError, WorkspaceBusyError
from bios_sweep.mirror.cursor import uri_hash
from bios_sweep.records.lock import live_owner
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked
from bios_sweep.trouble import Trouble

POLL_SECONDS = 0.5  # chosen, not measured: people look at charts, not at milliseconds
FIRST_DELAY_SECONDS = 0.5  # chosen: back-off doubles from here ...
LONGEST_DELAY_SECONDS = 15.0  # ... to here, so that a server back after a break is soon caught up with
SYNC_TRIES = 3
LOCK_SECONDS = 60.0  # chosen: another `sync` of a full sweep takes less

_log = logging.getLogger(__name__)


class Follower(Protocol):
    """A tracker's own side of one sweep: what is compared and brought over, without threads, tries and locks.

    shown: the address without secrets.
    """

    shown: str

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What its other side may raise, to be tried again."""

    @property
    def more(self) -> bool:
        """Whether another pass is due at once, since something else waits to be brought over too."""

    def catch_up(self, *, alive: bool) -> None:
        """Bring over what is new; touch nothing when nothing is. alive: a driver runs the sweep."""

    def recheck(self) -> None:
        """Trust nothing that an earlier process brought over: everything is due again."""

    def forget(self) -> None:
        """After an error nothing is known of the other side; look again before writing."""

    def trouble(self, error: Exception) -> Trouble:
        """What an error means: the state of the other side, in words, and whether it may end by itself."""


class JournalRecorder:
    """A `ports.Recorder` over any tracker: a `Follower`, made to follow in a thread, tried again and locked.

    trouble: why the other side does not follow at the moment; None when it does. What does not pass by
    itself is tried once more, at the end: somebody may have lent a hand meanwhile.
    """

    def __init__(self, workspace: Workspace, sweep_id: str, uri: str, follower: Follower) -> None:
        self._workspace = workspace
        self._sweep_id = sweep_id
        self._follower = follower
        self._lock_file = workspace.root / f"mirror-{uri_hash(uri)}.lock"
        self._finishing = threading.Event()
        self._given_up = threading.Event()
        self._caught_up = False
        self._thread = threading.Thread(target=self._follow, name="mirror", daemon=True)
        self.trouble: Trouble | None = None

    def start(self) -> None:
        """Begin to follow the journal in the background."""
        self._thread.start()

    @property
    def problem(self) -> str:
        """The trouble in a sentence, without secrets; empty where there is none."""
        return "" if self.trouble is None else self.trouble.sentence

    def finish(self, timeout_seconds: float) -> bool:
        """Catch up with the journal and end; False when the other side did not follow in time.

        Nothing is lost then: the journal has it, and `sync` brings it over later.
        """
        self._finishing.set()
        self._thread.join(timeout_seconds)
        self._given_up.set()
        return self._caught_up

    def sync(self) -> None:
        """Compare everything with the tracker, here and now, and bring over what is missing.

        Trials in flight without a live driver become KILLED, until a run takes them up again.

        Raises:
            WorkspaceBusyError: a live driver is mirroring to the same place.
            TrackingError: the other side does not answer, or not as it should; nothing is lost.
            TroubleError: the store cannot be used before somebody has been at it.
        """
        owner = live_owner(self._workspace)
        try:
            with self._locked(0.0 if owner else LOCK_SECONDS):
                self._bring_over(alive=owner is not None and owner.sweep_id == self._sweep_id)
        except Timeout:
            raise WorkspaceBusyError(
                f"workspace {self._workspace.root}: {owner or 'another process'} is mirroring to the same "
                "tracking store; it catches up by itself, or run `bios-sweep sync` when it has ended"
            ) from None

    def _bring_over(self, *, alive: bool) -> None:
        self._follower.recheck()
        for attempt in range(1, SYNC_TRIES + 1):
            try:
                self._follower.catch_up(alive=alive)
                while self._follower.more:
                    self._follower.catch_up(alive=alive)
            except self._follower.errors as error:
                trouble = self._failed(error)
                if attempt == SYNC_TRIES or not trouble.passes:
                    raise TrackingError(trouble.later("bios-sweep sync")) from error
                self._given_up.wait(FIRST_DELAY_SECONDS * attempt)
            else:
                return

    def _follow(self) -> None:
        try:
            with self._locked(-1.0):
                self._loop()
        except (Timeout, OSError, BiosSweepError) as error:
            _log.warning("the mirror stopped: %s", masked(str(error)))

    def _loop(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while not self._given_up.is_set():
            last = self._finishing.is_set()
            if self._pass(alive=not last):
                delay = FIRST_DELAY_SECONDS
                if self._follower.more:
                    continue
                self._caught_up = last
                if last:
                    return
                self._finishing.wait(POLL_SECONDS)
            elif self.trouble is not None and not self.trouble.passes:
                if last:
                    return
                self._finishing.wait()
            else:
                (self._given_up if last else self._finishing).wait(min(delay, 1.0) if last else delay)
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)

    def _pass(self, *, alive: bool) -> bool:
        """One try; what goes wrong over there, whatever it is, must not end the mirror."""
        try:
            self._follower.catch_up(alive=alive)
        except StorageError:  # of the journal itself, which stays as it is
            raise
        except Exception as error:  # noqa: BLE001 - stores and plugins raise errors of their own
            self._failed(error)
            return False
        self.trouble = None
        return True

    def _failed(self, error: Exception) -> Trouble:
        self._follower.forget()
        before, self.trouble = self.trouble, self._follower.trouble(error)
        if self.trouble != before:
            _log.warning(_told(self._follower.shown, self.trouble))
        return self.trouble

    @contextmanager
    def _locked(self, timeout: float) -> Iterator[None]:
        """Alone towards this store: two that look for a missing run at once would both make it."""
        self._workspace.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock_file, thread_local=False)
        with lock.acquire(timeout=timeout, poll_interval=0.05, cancel_check=self._given_up.is_set):
            yield


def _told(shown: str, trouble: Trouble) -> str:
    """While trials run: they go on whatever the other side does."""
    if trouble.passes:
        return f"{shown} does not follow, tried again: it {trouble.what}"
    return (
        f"{shown} does not follow; trials go on, and it is tried once more at their end: {trouble.sentence}"
    )
