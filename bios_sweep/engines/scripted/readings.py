"""What a script says of its metrics: JSON lines on its output, a file of them, or a Trainer's state."""

from __future__ import annotations

import glob
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bios_sweep.checks import is_number
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import OWN_METRICS, Measurement

LONGEST_FILE = 100_000_000  # bytes; a larger one is no list of metrics
LONGEST_WATCHED = 5_000_000  # bytes; chosen: a larger one is read at the end alone, not at each change
STATE_FILE = "trainer_state.json"  # transformers.TrainerState, with `log_history`
TOKENS_OF_TRAINER = "num_input_tokens_seen"  # transformers, with include_num_input_tokens_seen
NAMED_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "infinity": math.inf}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One line about metrics. step: optimizer steps done, None where the line does not say."""

    step: int | None
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


def readings_of_file(path: Path) -> list[Reading]:
    """The readings of a metrics file: JSON lines, one object, a list of objects, or a Trainer's state.

    Raises:
        ValueError: it is larger than a list of metrics would be.
        OSError: it cannot be read.
    """
    text = _text_of(path, LONGEST_FILE)
    try:
        return _of_whole(text)
    except ValueError:
        return list(_present(reading_of(line) for line in text.splitlines()))


def readings_so_far(path: Path) -> list[Reading]:
    """As `readings_of_file`, of a file that is still written: only what its rest cannot change.

    Raises:
        ValueError: it is half a list or half an object, no JSON at all, or too large to be read so often.
        OSError: it cannot be read.
    """
    text = _text_of(path, LONGEST_WATCHED)
    try:
        return _of_whole(text)
    except ValueError:
        lines = text[: text.rfind("\n") + 1].splitlines()
        return list(_present(_reading(json.loads(line)) for line in lines if line.strip()))


def found_file(pattern: str, *, inside: Path, since_ns: int = 0) -> Path | None:
    """The file that a pattern (absolute; `*`, `?`, `**`) names; of several the newest.

    inside: the folder it really lies in, links followed: nothing outside of it is the trial's own.
    since_ns: files last written before this time, in nanoseconds, are those of an earlier attempt.
    """
    home = inside.resolve()
    found: dict[Path, int] = {}
    for path in map(Path, glob.glob(pattern, recursive=True)):  # noqa: PTH207
        if path.is_file() and path.resolve().is_relative_to(home):
            found[path] = path.stat().st_mtime_ns
    new = [path for path, written_ns in found.items() if written_ns >= since_ns]
    return max(new, key=lambda path: (found[path], str(path)), default=None)


def measurement_of(
    reading: Reading,
    settings: TrainingSettings,
    *,
    watched: Sequence[str],
    number: int,
    wall_seconds: float,
) -> Measurement:
    """A reading as a measurement.

    watched: names that are kept beside the three of our own; a script also prints its speed and the like,
    and charts slow down with many. number: of readings so far, where this one names no step.
    """
    step = number if reading.step is None else reading.step
    values = reading.values
    own = {name: values[name] for name in OWN_METRICS if name in values}
    return Measurement(
        step=step,
        fraction=min(1.0, step / settings.max_steps),
        examples=step * settings.batch_size,
        tokens=_whole(values.get("tokens")) or 0,
        eval_loss=own.get("eval_loss", math.nan),
        eval_bits_per_byte=own.get("eval_bits_per_byte"),
        train_loss=own.get("train_loss"),
        wall_seconds=wall_seconds,
        metrics={name: values[name] for name in watched if name in values and name not in OWN_METRICS},
    )


def _text_of(path: Path, most: int) -> str:
    if path.stat().st_size > most:
        raise ValueError(f"{path.name} has more than {most} bytes")
    return path.read_text(encoding="utf-8", errors="replace")


def _of_whole(text: str) -> list[Reading]:
    """Of one JSON value; a ValueError where it is none."""
    whole: Any = json.loads(text)
    if isinstance(whole, Mapping) and isinstance(whole.get("log_history"), list):
        whole = whole["log_history"]
    return list(_present(_reading(item) for item in (whole if isinstance(whole, list) else [whole])))


def _reading(value: Any) -> Reading | None:
    if not isinstance(value, Mapping):
        return None
    numbers = {str(name): number for name, item in value.items() if (number := _number(item)) is not None}
    if TOKENS_OF_TRAINER in numbers:
        numbers.setdefault("tokens", numbers[TOKENS_OF_TRAINER])
    step = _whole(numbers.pop("step", None))
    if not numbers:
        return None
    return Reading(step=step, values=numbers)


def _number(value: Any) -> float | None:
    """None for what is no number, null included: it says that nothing was measured."""
    if isinstance(value, str):
        return NAMED_NUMBERS.get(value.strip().lower())
    if not is_number(value):
        return None
    return float(value) if abs(value) < math.inf or isinstance(value, float) else math.inf


def _whole(value: float | None) -> int | None:
    if value is None or not math.isfinite(value) or value < 0:
        return None
    return int(value)


def _present(readings: Iterable[Reading | None]) -> Iterator[Reading]:
    return (reading for reading in readings if reading is not None)
