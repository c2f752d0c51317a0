"""A metrics file while its script runs: what can be taken of it already, and what is left for the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bios_sweep.engines.scripted.readings import Reading, found_file, readings_of_file, readings_so_far


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What a file says at the end. anew: it does not go on from what was taken, so all of it counts alone.

    missing: why nothing could be read, empty where it could.
    """

    readings: Sequence[Reading]
    anew: bool
    missing: str = ""


class WatchedFile:
    """The file that a pattern names, looked at again and again.

    What was taken is a measurement that others have seen and cannot be withdrawn. So nothing is taken
    that the rest of the file may change, and nothing that names no step (a file that holds the latest value
    alone looks so). A file goes on from what was taken if it begins with it, whatever its name: a Trainer's
    state lies in each checkpoint's folder.
    """

    def __init__(self, pattern: str, *, inside: Path, since_ns: int = 0) -> None:
        """As for `readings.found_file`."""
        self._pattern, self._inside, self._since_ns = pattern, inside, since_ns
        self._seen: tuple[Path, int, int] | None = None
        self._taken: list[str] = []  # as text, for NaN does not equal itself

    def news(self) -> Sequence[Reading]:
        """Readings since the last look; none where the end must decide."""
        try:
            path = self._found()
            stamp = None if path is None else (path, path.stat().st_mtime_ns, path.stat().st_size)
            if path is None or stamp == self._seen:
                return ()
            self._seen = stamp
            readings = readings_so_far(path)
        except (OSError, ValueError):  # it is being written, or replaced
            return ()
        if not self._continued(readings) or any(reading.step is None for reading in readings):
            return ()
        new = readings[len(self._taken) :]
        self._taken += map(repr, new)
        return new

    def rest(self) -> Rest:
        """What to take once the script has ended well; the whole file decides."""
        path = self._found()
        if path is None:
            return Rest(readings=(), anew=True, missing=self._nothing())
        try:
            readings = readings_of_file(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return Rest(readings=(), anew=True, missing=f"its file {path} cannot be read ({reason})")
        if not self._continued(readings):
            return Rest(readings=readings, anew=True)
        return Rest(readings=readings[len(self._taken) :], anew=False)

    def _nothing(self) -> str:
        old = found_file(self._pattern, inside=self._inside)
        if old is None:
            return f"it left no file {self._pattern}"
        return f"its file {old} is an earlier attempt's; a script that goes on writes its metrics anew"

    def _found(self) -> Path | None:
        return found_file(self._pattern, inside=self._inside, since_ns=self._since_ns)

    def _continued(self, readings: Sequence[Reading]) -> bool:
        return [repr(reading) for reading in readings[: len(self._taken)]] == self._taken
