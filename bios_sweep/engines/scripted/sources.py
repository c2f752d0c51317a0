"""Where a script's metric is read: its output by the best kind of line that has it, else what it left.

Only one source counts. JSON lines on the output are meant for us. Dicts and text are for people and rounded,
so a file with the same numbers goes before them; one with other numbers ends the trial, for nobody knows
which of the two is meant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bios_sweep.engines.scripted.child import Line
from bios_sweep.engines.scripted.lines import Kind, LineReader
from bios_sweep.engines.scripted.metric_files import LEFT_BEHIND, readings_in
from bios_sweep.engines.scripted.outcome import Output
from bios_sweep.engines.scripted.readings import Reading, named
from bios_sweep.paths import resolved
from bios_sweep.study.trials import Measurement

# How far a printed number may lie from the one it was rounded from: transformers prints four digits, tables
# four decimals. Chosen.
ROUNDED, SMALLEST = 1e-3, 1e-4


class Listener:
    """Takes the lines of one script's output; a better kind of line makes all before it count no more."""

    def __init__(self, told: Output, reader: LineReader) -> None:
        self._told, self._reader = told, reader
        self.kind: Kind | None = None  # of the lines that had the metric

    def take(self, line: Line, seconds: float) -> Iterator[Measurement]:
        """The measurement that a line is, if it is one. seconds: since the script started."""
        said = self._reader.read(line.text, error=line.error)
        if said is None:
            return
        if self._told.metric in named(said.reading.values, (self._told.metric,)):
            if self.kind is not None and said.kind > self.kind:
                return
            if self.kind is not None and said.kind < self.kind:
                self._told.forget()
            self.kind = said.kind
        point = self._told.take(said.reading, seconds)
        if point is not None:
            yield point


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a script left with its metric. words: for people. values: of the metric, in their order."""

    words: str
    path: Path
    readings: Sequence[Reading]
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class FromLeft:
    """What to take of what a script left. read: from where, in words; missing: why there is no metric."""

    readings: Sequence[Reading] = ()
    read: str = ""
    missing: str = ""


def from_left(folder: Path, told: Output, *, since_ns: int = 0) -> FromLeft:
    """Decide, once a script has ended well, between what it printed for people and what it left.

    Where its files count, or contradict what it printed, `told` is made to forget that.
    """
    found, others = left_behind(folder, told.metric, since_ns=since_ns)
    if not found:
        told.latest |= {name: math.nan for name in others if name not in told.latest}
        return FromLeft()
    printed = told.said
    found = [one for one in found if goes_before(one, printed) is not None] or found
    left, other = found[0], _unlike_the_first(found)
    if other is not None:
        told.forget()
        return FromLeft(missing=_two_left(left, other, folder, told.metric))
    first = goes_before(left, printed)
    if first is None:
        told.forget()
        return FromLeft(missing=contradiction(left, printed[-1], told.metric))
    if not first:
        return FromLeft()
    told.forget()
    return FromLeft(readings=left.readings, read=left.words)


def left_behind(folder: Path, metric: str, *, since_ns: int = 0) -> tuple[list[Left], list[str]]:
    """The files of the first kind in a script's folder that has the metric; all names that others have.

    The file that was written last comes first.

    since_ns: files last written before this time, in nanoseconds, are those of an earlier attempt.
    """
    others: dict[str, None] = {}
    for pattern, words in LEFT_BEHIND.items():
        lefts = []
        for path in _newest_first(folder, pattern, since_ns):
            try:
                readings = readings_in(path)
            except (OSError, ValueError):
                continue
            values = [found[metric] for one in readings if metric in (found := named(one.values, (metric,)))]
            if values:
                told = f"{path.relative_to(folder)}, {words}"
                lefts.append(Left(words=told, path=path, readings=readings, values=values))
            others |= dict.fromkeys(name for one in readings for name in one.values)
        if lefts:
            return lefts, list(others)
    return [], list(others)


def _unlike_the_first(found: Sequence[Left]) -> Left | None:
    """A file of another folder that tells other values: neither is the beginning of the other's.

    Checkpoints begin alike and end earlier. Event files of one folder are one run's.
    """
    first, *rest = found
    for other in rest:
        pairs = zip(map(repr, first.values), map(repr, other.values), strict=False)
        if other.path.parent != first.path.parent and any(one != two for one, two in pairs):
            return other
    return None


def _two_left(left: Left, other: Left, folder: Path, metric: str) -> str:
    """One sentence, and the way out."""
    one, two = (path.relative_to(folder) for path in (left.path, other.path))
    return (
        f"it left {metric} twice, {left.values[-1]:.6g} in {one} and {other.values[-1]:.6g} in {two}; choose "
        f"one: method.metrics_file={{trial_dir}}/{one}, or method.metrics_file={{trial_dir}}/{two}"
    )


def _newest_first(folder: Path, pattern: str, since_ns: int) -> list[Path]:
    home = resolved(folder)
    found = {}
    for path in folder.glob(pattern):
        if path.is_file() and resolved(path).is_relative_to(home):
            written_ns = path.stat().st_mtime_ns
            if written_ns >= since_ns:
                found[path] = written_ns
    return sorted(found, key=lambda path: (-found[path], str(path)))


def goes_before(left: Left, printed: Sequence[float]) -> bool | None:
    """Whether a file counts before what was printed for people; None where the two contradict each other.

    A file that ends before the last printed value, as a checkpoint's does, knows less and does not.
    """
    if not printed or alike(left.values[-1], printed[-1]):
        return len(left.values) >= len(printed)  # not the last number alone, for a whole curve
    if any(alike(left.values[-1], value) for value in printed):
        return False
    return True if any(alike(value, printed[-1]) for value in left.values) else None


def alike(exact: float, printed: float) -> bool:
    """Whether one may be the other, rounded."""
    if not (math.isfinite(exact) and math.isfinite(printed)):
        return exact == printed or (math.isnan(exact) and math.isnan(printed))
    return abs(exact - printed) <= max(ROUNDED * abs(exact), SMALLEST)


def contradiction(left: Left, printed: float, metric: str) -> str:
    """One sentence, and the ways out."""
    return (
        f"its output says {metric} {printed:.6g} and {left.path.name}, which it left, {left.values[-1]:.6g}; "
        f"choose one: method.metrics_file={{trial_dir}}/**/{left.path.name}, or print a JSON line, or "
        "method.pattern"
    )
