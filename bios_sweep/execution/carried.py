"""How a trial's files follow it from node to node: each attempt writes in a place of its own.

A node that was given up may wake and write on. Were there one place per trial, its late files would lie over
those of the attempt that has the trial now. So attempt n of a run pushes to `<key>.<run>-<n>`, the driver
notes in the workspace from which place to go on once something lies there, and fetches the files of the
attempt that ended. Nobody but its own attempt ever writes to a place.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import StorageError
from bios_sweep.execution.storage import TrialFiles

HELD_FILE = "held.json"
ATTEMPTS_FOLDER = "attempts"  # beside the trials folder, where no storage is named


class Carrier:
    """The driver's part: says where attempts fetch and push, and brings the files home.

    run: unique among all runs of all drivers. Only the driver writes below `trials_dir`.
    """

    def __init__(self, uri: str, trials_dir: Path, *, run: str) -> None:
        self._store = TrialFiles(uri)
        self._trials_dir = trials_dir
        self._run = run
        self._held: dict[str, str] = {}

    def places(self, key: str, attempt: int) -> dict[str, str]:
        """`fetch`: where the trial's last files lie, or ''; `push`: this attempt's own place."""
        return {"fetch": self._held.get(key) or self._noted(key), "push": self._place(key, attempt)}

    def reached(self, key: str, attempt: int) -> None:
        """The attempt measured, so its place holds a checkpoint: the next attempt goes on from there."""
        place = self._place(key, attempt)
        if self._held.get(key) != place:
            write_atomically(self._trials_dir / key / HELD_FILE, json.dumps({"place": place}) + "\n")
            self._held[key] = place

    def bring(self, key: str, attempt: int) -> None:
        """Bring the files of the attempt that ended into the workspace.

        Raises:
            StorageError: they cannot be brought; the trial is then not yet over, for they are its outcome.
        """
        self._store.fetch(self._place(key, attempt), self._trials_dir / key)

    def forget(self, key: str, attempt: int) -> None:
        """Free the storage: the trial is over, and its files are in the workspace."""
        for place in {self._place(key, number + 1) for number in range(attempt)} | {self._noted(key)}:
            if place:
                self._remove(place)
        (self._trials_dir / key / HELD_FILE).unlink(missing_ok=True)

    def _remove(self, place: str) -> None:
        with suppress(StorageError):  # what stays costs space, and no trial
            self._store.remove(place)
        folder = Path(self._store.uri) / place
        if Path(self._store.uri).is_absolute():
            shutil.rmtree(folder, ignore_errors=True)  # an emptied folder, which only local storage has

    def _place(self, key: str, attempt: int) -> str:
        return f"{key}.{self._run}-{attempt}"

    def _noted(self, key: str) -> str:
        """Of an earlier driver; what cannot be understood costs the trial its progress, nothing else."""
        try:
            note: Any = json.loads((self._trials_dir / key / HELD_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        place = note.get("place") if isinstance(note, Mapping) else None
        return place if isinstance(place, str) and place.startswith(f"{key}.") else ""


class AttemptFiles:
    """The worker's part: a folder on its own disk, filled from the storage and kept there."""

    def __init__(self, uri: str, key: str, *, fetch: str, push: str) -> None:
        """Fetch what an earlier attempt left.

        Raises:
            StorageError: the storage does not answer.
        """
        self._store, self._push = TrialFiles(uri), push
        self._kept: dict[str, tuple[int, int]] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="bios-sweep-"))
        self.directory = self._folder / key
        self.directory.mkdir()
        if fetch:
            self._store.fetch(fetch, self.directory)

    def keep(self) -> None:
        """Push the files; nothing while a resumed trial only repeats what it had measured.

        Raises:
            StorageError: the storage does not answer.
        """
        now = {
            str(path.relative_to(self.directory)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in self.directory.rglob("*")
            if path.is_file()
        }
        if now != self._kept:
            self._store.push(self._push, self.directory)
            self._kept = now

    def discard(self) -> None:
        """Free the disk."""
        shutil.rmtree(self._folder, ignore_errors=True)
