"""The file with a script's metrics that a pattern names: watched while it runs, read whole at its end."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bios_sweep.engines.scripted.metric_files import readings_in
from bios_sweep.engines.scripted.readings import Reading
from bios_sweep.paths import resolved


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What a file says at the end. anew: it does not go on from what was taken, so all of it counts alone.

    missing: why nothing could be read, empty where it could. read: which file it was, for people.
    """

    readings: Sequence[Reading]
    anew: bool
    missing: str = ""
    read: str = ""


class WatchedFile:
    """The file with metrics that a pattern names, looked at again and again while its script runs.

    What was taken is a measurement that others have seen and cannot be withdrawn. So nothing is taken
    that the rest of the file may change, and nothing that names no step (a file that holds the latest value
    alone looks so). A file goes on from what was taken if it begins with it, whatever its name: a Trainer's
    state lies in each checkpoint's folder.
    """

    def __init__(self, pattern: str, *, inside: Path, since_ns: int = 0) -> None:
        """pattern: absolute, with `*`, `?` and `**`; of several files the newest is meant.

        inside: the folder it really lies in, links followed: nothing outside of it is the trial's own.
        since_ns: files last written before this time, in nanoseconds, are those of an earlier attempt.
        """
        self._pattern, self._inside, self._since_ns = pattern, inside, since_ns
        self._seen: tuple[Path, int, int] | None = None
        self._taken: list[str] = []  # as text, for NaN does not equal itself

    def news(self) -> Sequence[Reading]:
        """Readings since the last look; none where the end must decide."""
        try:
            path = self._found(self._since_ns)
            stamp = None if path is None else (path, path.stat().st_mtime_ns, path.stat().st_size)
            if path is None or stamp == self._seen:
                return ()
            self._seen = stamp
            readings = readings_in(path, growing=True)
        except (OSError, ValueError):  # it is being written, or replaced
            return ()
        if not self._continued(readings) or any(reading.step is None for reading in readings):
            return ()
        new = readings[len(self._taken) :]
        self._taken += map(repr, new)
        return new

    def rest(self) -> Rest:
        """What to take once the script has ended well; the whole file decides."""
        path = self._found(self._since_ns)
        if path is None:
            old = self._found(0)
            why = f"its file {old} is an earlier attempt's; a script that goes on writes its metrics anew"
            missing = f"it left no file {self._pattern}" if old is None else why
            return Rest(readings=(), anew=True, missing=missing)
        try:
            readings = readings_in(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return Rest(readings=(), anew=True, missing=f"its file {path} cannot be read ({reason})")
        anew = not self._continued(readings)
        news = readings if anew else readings[len(self._taken) :]
        return Rest(readings=news, anew=anew, read=f"its file {path.name}")

    def _found(self, since_ns: int) -> Path | None:
        home = resolved(self._inside)
        found: dict[Path, int] = {}
        for path in map(Path, glob.glob(self._pattern, recursive=True)):  # noqa: PTH207
            if path.is_file() and resolved(path).is_relative_to(home):
                found[path] = path.stat().st_mtime_ns
        new = [path for path, written_ns in found.items() if written_ns >= since_ns]
        return max(new, key=lambda path: (found[path], str(path)), default=None)

    def _continued(self, readings: Sequence[Reading]) -> bool:
        return [repr(reading) for reading in readings[: len(self._taken)]] == self._taken
