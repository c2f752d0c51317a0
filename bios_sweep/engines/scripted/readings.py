"""What a script says of its metrics: JSON lines on its output, a file of them, or a Trainer's state."""

from __future__ import annotations

import glob
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bios_sweep.checks import is_number

LONGEST_FILE = 100_000_000  # bytes; a larger one is no list of metrics
LONGEST_WATCHED = 5_000_000  # bytes; chosen: a larger one is read at the end alone, not at each change
STATE_FILE = "trainer_state.json"  # transformers.TrainerState, with `log_history`
TOKENS_OF_TRAINER = "num_input_tokens_seen"  # transformers, with include_num_input_tokens_seen
STEP_TOLD = "step_told"  # false on a line whose step is the one that was asked for: nobody has seen it
NAMED_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "infinity": math.inf}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One line about metrics. step: optimizer steps done, None where the line does not say.

    told: whether the script itself said the step.
    """

    step: int | None
    told: bool = True
    values: Mapping[str, float] = field(default_factory=dict)


def reading_of(line: str) -> Reading | None:
    """A line of output as a reading; None unless it is a JSON object with a number in it."""
    text = line.strip()
    if not text.startswith("{"):
        return None
    try:
        return _reading(json.loads(text))
    except ValueError:
        return None


def whole_of(value: float | None) -> int | None:
    """A number as a count; None where it is none."""
    return None if value is None or not math.isfinite(value) or value < 0 else int(value)


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What a file says at the end. anew: it does not go on from what was taken, so all of it counts alone.

    missing: why nothing could be read, empty where it could.
    """

    readings: Sequence[Reading]
    anew: bool
    missing: str = ""


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
            readings = _readings_of(path, growing=True)
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
            readings = _readings_of(path, growing=False)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return Rest(readings=(), anew=True, missing=f"its file {path} cannot be read ({reason})")
        anew = not self._continued(readings)
        return Rest(readings=readings if anew else readings[len(self._taken) :], anew=anew)

    def _found(self, since_ns: int) -> Path | None:
        home = self._inside.resolve()
        found: dict[Path, int] = {}
        for path in map(Path, glob.glob(self._pattern, recursive=True)):  # noqa: PTH207
            if path.is_file() and path.resolve().is_relative_to(home):
                found[path] = path.stat().st_mtime_ns
        new = [path for path, written_ns in found.items() if written_ns >= since_ns]
        return max(new, key=lambda path: (found[path], str(path)), default=None)

    def _continued(self, readings: Sequence[Reading]) -> bool:
        return [repr(reading) for reading in readings[: len(self._taken)]] == self._taken


def _readings_of(path: Path, *, growing: bool) -> list[Reading]:
    """The readings of a metrics file: JSON lines, one object, a list of objects, or a Trainer's state.

    growing: it is still written, and only what its rest cannot change is wanted.

    Raises:
        ValueError: it is too large for a list of metrics, or to be read so often; growing, it is half a list
            or half an object, or no JSON at all.
        OSError: it cannot be read.
    """
    most = LONGEST_WATCHED if growing else LONGEST_FILE
    if path.stat().st_size > most:
        raise ValueError(f"{path.name} has more than {most} bytes")
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        whole: Any = json.loads(text)
    except ValueError:
        if not growing:
            return list(filter(None, map(reading_of, text.splitlines())))
        lines = text[: text.rfind("\n") + 1].splitlines()
        return list(filter(None, (_reading(json.loads(line)) for line in lines if line.strip())))
    if isinstance(whole, Mapping) and isinstance(whole.get("log_history"), list):
        whole = whole["log_history"]
    return list(filter(None, map(_reading, whole if isinstance(whole, list) else [whole])))


def _reading(value: Any) -> Reading | None:
    if not isinstance(value, Mapping):
        return None
    numbers = {str(name): number for name, item in value.items() if (number := _number(item)) is not None}
    if TOKENS_OF_TRAINER in numbers:
        numbers.setdefault("tokens", numbers[TOKENS_OF_TRAINER])
    step = whole_of(numbers.pop("step", None))
    return Reading(step=step, told=value.get(STEP_TOLD) is not False, values=numbers) if numbers else None


def _number(value: Any) -> float | None:
    """None for what is no number, null included: it says that nothing was measured."""
    if isinstance(value, str):
        return NAMED_NUMBERS.get(value.strip().lower())
    if not is_number(value):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf if value > 0 else -math.inf
