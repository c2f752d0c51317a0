"""How a trial's files follow it from node to node: each attempt writes in a place of its own.

A node that was given up may wake and write on. Were there one place per trial, its late files would lie over
those of the attempt that has the trial now. So attempt n of a run pushes to `<key>.<run>-<n>`, the driver
notes in the workspace from which place to go on once something lies there, and fetches the files of the
attempt that ended. Nobody but its own attempt ever writes to a place.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import StorageError
from bios_sweep.execution.sessions import lives
from bios_sweep.execution.transfer.storage import TrialFiles, files_below
from bios_sweep.sealed import DamagedError, opened_json, sealed_json
from bios_sweep.study.trials import Measurement, TrialResult

_log = logging.getLogger(__name__)

PLACES_FILE = "held.json"
LEFTOVER = "bios-sweep-attempt-"  # and host, process, and letters of `tempfile`
Items = Generator[Measurement | TrialResult]  # of an attempt
FIRST_SHARE, LONGEST_SHARE = 1 / 60, 1 / 4  # of the patience: 1 s and 15 s of a minute; chosen, not measured
ATTEMPTS_FOLDER = "attempts"  # beside the trials folder, where no storage is named


@dataclass(frozen=True, kw_only=True)
class Places:
    """What is noted of a trial. place: where its last files lie, or ''. given: all places of its attempts."""

    place: str = ""
    given: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A result whose files are waited for. error: what the storage said last, None where they have come."""

    slot: int
    key: str
    attempt: int
    item: dict[str, Any]
    error: Exception | None = None


class FileTransfer:
    """The driver's part: says where attempts fetch and push, and brings the files home.

    run: unique among all runs of all drivers. Only the driver writes below `trials_dir`.
    """

    def __init__(self, uri: str, trials_dir: Path, *, run: str) -> None:
        self._store = TrialFiles(uri)
        self._trials_dir = trials_dir
        self._run = run
        self._known_places: dict[str, Places] = {}
        self._arrived: queue.SimpleQueue[Ended] = queue.SimpleQueue()

    def places(self, key: str, attempt: int) -> dict[str, str]:
        """`fetch`: where the trial's last files lie, or ''; `push`: this attempt's own place.

        The place is noted before anybody can write there, so that whichever driver ends the trial clears it.
        """
        places, push = self._noted(key), self._place(key, attempt)
        self._note(key, replace(places, given=(*places.given, push)))
        return {"fetch": places.place, "push": push}

    def reached(self, key: str, attempt: int) -> None:
        """The attempt measured, so its place holds a checkpoint: the next attempt goes on from there."""
        places, place = self._noted(key), self._place(key, attempt)
        if places.place != place:
            self._note(key, replace(places, place=place))

    def bring(self, key: str, attempt: int, wanted: Callable[[], bool] = lambda: True) -> None:
        """Bring the files of the attempt that ended into the workspace.

        wanted: asked before any file there is replaced; a later attempt may have the trial by then.

        Raises:
            StorageError: they cannot be brought; the trial is then not yet over, for they are its outcome.
        """
        place = self._place(key, attempt)
        if not self._store.fetch(place, self._trials_dir / key, wanted):
            raise StorageError(f"cluster.storage: {self._store.uri}/{place}: its files are gone or damaged")

    def bring_later(self, ended: Ended, wanted: Callable[[], bool], patience_seconds: float) -> None:
        """As `bring`, again and again for the time of the patience, in a thread beside Tune's loop.

        A storage that restarts or throttles is away for seconds. Its error must not end the run, and waiting
        for it must not stand in the way of the other workers, whose reports the driver's thread takes in.
        """
        arguments, name = (ended, wanted, patience_seconds), f"files of {ended.key}"
        threading.Thread(target=self._bring_later, args=arguments, daemon=True, name=name).start()

    def arrived(self) -> list[Ended]:
        """Those whose waiting ended since the last call, well or not."""
        return [self._arrived.get() for _ in range(self._arrived.qsize())]

    def forget(self, key: str) -> None:
        """Free the storage: the trial is over, and its files are in the workspace."""
        places = self._noted(key)
        for place in dict.fromkeys((*places.given, places.place)):
            if place:
                with suppress(StorageError):  # what stays costs space, and no trial
                    self._store.remove(place)
        self._known_places.pop(key, None)
        (self._trials_dir / key / PLACES_FILE).unlink(missing_ok=True)

    def _bring_later(self, ended: Ended, wanted: Callable[[], bool], patience: float) -> None:
        pause, latest = FIRST_SHARE * patience, time.monotonic() + patience
        while True:
            time.sleep(pause)
            if not wanted():
                return
            try:
                self.bring(ended.key, ended.attempt, wanted)
                self._arrived.put(ended)
                return
            except Exception as error:  # noqa: BLE001 - the driver's thread decides what it means
                if time.monotonic() >= latest:
                    self._arrived.put(replace(ended, error=error))
                    return
            pause = min(2 * pause, LONGEST_SHARE * patience, max(0.0, latest - time.monotonic()))

    def _place(self, key: str, attempt: int) -> str:
        return f"{key}.{self._run}-{attempt}"

    def _note(self, key: str, places: Places) -> None:
        note = sealed_json({"place": places.place, "given": list(places.given)}, _label(key))
        write_atomically(self._trials_dir / key / PLACES_FILE, note)
        self._known_places[key] = places

    def _noted(self, key: str) -> Places:
        """An earlier driver's, at first; a damaged one costs the trial its progress only."""
        if key in self._known_places:
            return self._known_places[key]
        path = self._trials_dir / key / PLACES_FILE
        try:
            note: Mapping[str, Any] = opened_json(path.read_bytes(), _label(key))[0] if path.exists() else {}
        except (OSError, DamagedError) as error:
            _log.warning("%s: %s; the trial starts afresh", path, error)
            return Places()
        given = note.get("given")
        places = [note.get("place"), *(given if isinstance(given, list) else [])]
        place, *earlier = [_own(place, key) for place in places]
        return Places(place=place, given=tuple(filter(None, earlier)))


def _label(key: str) -> str:
    return f"places of trial {key}"


def _own(place: Any, key: str) -> str:
    """A noted place if it is one of this trial's, else ''."""
    own = isinstance(place, str) and place.startswith(f"{key}.") and "/" not in place
    return place if own else ""


class AttemptFiles:
    """The worker's part: a folder on its own disk, filled with what an earlier attempt left, and kept there.

    Whatever asks the storage raises `StorageError` when it does not answer.
    """

    def __init__(self, uri: str, key: str, *, fetch: str, push: str) -> None:
        self._store, self._push = TrialFiles(uri), push
        self._kept: dict[str, tuple[int, int]] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_leftovers_here()}{os.getpid()}-"))
        self.directory = self._folder / key
        try:
            self.directory.mkdir()
            if fetch:
                self._store.fetch(fetch, self.directory)
        except BaseException:
            self.discard()
            raise

    def kept(self, items: Items, *, always: bool) -> Items:
        """An attempt's items, each after its files are in the storage; not `always`: only the last."""
        with closing(items):
            for item in items:
                if always or isinstance(item, TrialResult):
                    self.keep()
                yield item

    def keep(self) -> None:
        """Push the files; nothing while a resumed trial only repeats what it had measured."""
        files, now = files_below(self.directory), {}
        for name, path in files.items():
            with suppress(FileNotFoundError):  # a script's, which works on meanwhile
                now[name] = (path.stat().st_size, path.stat().st_mtime_ns)
        if now != self._kept:
            self._store.push(self._push, files)
            self._kept = now

    def discard(self) -> None:
        """Free the disk."""
        shutil.rmtree(self._folder, ignore_errors=True)


def remove_leftovers() -> None:
    """Free the disk of what killed workers of this host left in the folder for temporary files."""
    mine = re.compile(rf"{re.escape(_leftovers_here())}(\d+)-[^-]+")
    for folder in Path(tempfile.gettempdir()).glob(f"{LEFTOVER}*"):
        found = mine.fullmatch(folder.name)
        if found and not lives(int(found[1])):
            shutil.rmtree(folder, ignore_errors=True)  # another user's stays


def _leftovers_here() -> str:
    return f"{LEFTOVER}{socket.gethostname()}-"
