"""What a line of a script's output says of its metrics, however the script writes: a reading and its kind.

A JSON line is meant to be read, a Python dict is what trainers print for people, a name with a number is
what is left. So a better kind, once it has the metric, makes the others count no more. Pure.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from bios_sweep.engines.scripted.in_text import (
    LONGEST_TOLD,
    STEP_TEXT,
    finder,
    number_in,
    readable,
)
from bios_sweep.engines.scripted.looking_back import Counts, Headings, looks_back, of_settings
from bios_sweep.engines.scripted.readings import NAMED_NUMBERS, Reading, named, reading_of_values
from bios_sweep.engines.scripted.spread import Spread
from bios_sweep.engines.scripted.tracebacks import COLOUR, plain
from bios_sweep.errors import ConfigError

PATTERN_KEY = "method.pattern"
VALUE, STEP = "value", "step"  # groups of a pattern
# What `torchrun --tee` and `mpirun --tag-output` put before each line; ranks but the first are passed over.
RANKED = re.compile(r"\[(?:[A-Za-z_]+(\d+)\]:|\d+,(\d+)\]<std(?:out|err)>:) ?")


class Kind(IntEnum):
    """How a reading was written; the smaller counts before the larger."""

    JSON = 0
    DICT = 1
    TEXT = 2
    LOOKING_BACK = 3  # `Best: val_loss=2.5` behind the lines of every epoch

    @property
    def words(self) -> str:
        """For people, behind `read from`."""
        return ("JSON lines on its output", "the dicts that it prints", *["the text that it prints"] * 2)[
            self
        ]


PATTERN_WORDS = "lines of its output, by method.pattern"


@dataclass(frozen=True, kw_only=True)
class Told:
    """A reading of one line, and how the line was written."""

    kind: Kind
    reading: Reading


def pattern_of(text: str, metric: str) -> re.Pattern[str]:
    """A person's regular expression for the lines with the metric.

    The number is the group `value`, or one called like the metric, or the only group; `step` is the step, and
    any other named group another number of the line.

    Raises:
        ConfigError: it is none, or nothing says which group is the metric's.
    """
    try:
        found = re.compile(text)
    except re.error as error:
        raise ConfigError(f"{PATTERN_KEY}: {text!r} is no regular expression: {error}") from error
    if _value_group(found, metric) is None:
        raise ConfigError(
            f"{PATTERN_KEY}: {text!r} does not say which part is the metric; put it into a group, such as "
            r"'val loss (?P<value>[\d.]+)', and the step, where there is one, into (?P<step>\d+)"
        )
    return found


def _value_group(pattern: re.Pattern[str], metric: str) -> str | int | None:
    named = [name for name in (VALUE, metric) if name in pattern.groupindex]
    if named:
        return named[0]
    unnamed = set(range(1, pattern.groups + 1)) - set(pattern.groupindex.values())
    if len(unnamed) == 1:
        return unnamed.pop()
    others = [name for name in pattern.groupindex if name != STEP]
    return others[0] if not unnamed and len(others) == 1 else None


class LineReader:
    """Reads the lines of one script.

    metric: what it is judged on. watched: other metrics whose names are looked for in text. pattern: read
    what it matches, and nothing else. only_json: a function reports so, and all else is its own affair.
    """

    def __init__(
        self,
        metric: str,
        watched: Sequence[str] = (),
        pattern: str | None = None,
        *,
        only_json: bool = False,
    ) -> None:
        self._metric, self._only_json = metric, only_json
        self._pattern = None if pattern is None else pattern_of(pattern, metric)
        self.unread: str | None = ""  # what the pattern found last that is no number
        self._spread = {error: Spread() for error in (False, True)}
        self._headings = {error: Headings() for error in (False, True)}
        self._counts = Counts()
        self._text_has_it = False  # so that an object laid out behind it is one of its lines
        self._names = {name: finder(name) for name in (metric, *watched)}

    def read(self, line: str, *, error: bool = False) -> Told | None:
        """None where the line says nothing. error: of standard error, where no JSON is meant for us."""
        if self._only_json:
            reading = None if error else _of_json(line.strip())
            return None if reading is None else Told(kind=Kind.JSON, reading=reading)
        text = COLOUR.sub("", line) if "\x1b" in line else line
        ranked = RANKED.match(text)
        if ranked:
            if int(ranked[1] or ranked[2]):
                return None
            text = text[ranked.end() :]
        if self._pattern is not None:
            return self._matched(self._pattern, text[:LONGEST_TOLD])
        said = self._of_line(text, self._spread[error], below=self._headings[error].above(text))
        return replace(said, kind=max(said.kind, Kind.DICT)) if said and error else said

    def _of_line(self, text: str, spread: Spread, *, below: bool) -> Told | None:
        """below: it stands under a heading such as `Best:`."""
        earlier = self._counts.heard(text)
        whole = spread.take(text)
        if whole and (said := _of_object(whole.strip())):
            among = self._text_has_it and self._has_metric(said.reading)
            return replace(said, kind=max(said.kind, Kind.TEXT if among else Kind.DICT))
        inside = text[:1].isspace()  # a brace that is never closed must not hide what follows
        opened = spread.opened_behind if inside else ""
        if of_settings(opened):
            return None
        said = _of_object(text.strip()) or self._of_text(text)
        if said and (below or looks_back(opened) or self._counts.goes_back(text, earlier=earlier)):
            return replace(said, kind=Kind.LOOKING_BACK)
        self._text_has_it |= said is not None and said.kind is Kind.TEXT
        return said

    def _has_metric(self, reading: Reading) -> bool:
        return self._metric in named(reading.values, (self._metric,))

    def _matched(self, pattern: re.Pattern[str], text: str) -> Told | None:
        match = pattern.search(text)
        value = None if match is None else number_in(match[_value_group(pattern, self._metric) or 0])
        if match is None or value is None:
            self.unread = self.unread if match is None else match[_value_group(pattern, self._metric) or 0]
            return None
        named = {name: number_in(part) for name, part in match.groupdict().items() if name != VALUE}
        values = {**named, self._metric: value}
        return Told(kind=Kind.TEXT, reading=_plain_reading(values))

    def _of_text(self, line: str) -> Told | None:
        """`eval_loss = 2.31`, `val loss: 4.2`, `accuracy 0.8`, each by its whole name; never of a bar."""
        if len(line) > LONGEST_TOLD:
            return None
        text = readable(line)
        found = {name: match for name, find in self._names.items() if (match := find(text))}
        if self._metric not in found:
            return None
        before = text[: found[self._metric].start()]
        if "{" in before and of_settings(before[: before.index("{")]):
            return None
        step = STEP_TEXT.search(text)
        values: dict[str, float | None] = {name: number_in(match[1]) for name, match in found.items()}
        reading = _plain_reading({**values, STEP: number_in(step[1]) if step else None})
        kind = Kind.LOOKING_BACK if looks_back(before) else Kind.TEXT
        return Told(kind=kind, reading=reading)


def _plain_reading(values: Mapping[str, float | None]) -> Reading:
    step = values.get(STEP)
    numbers = {name: value for name, value in values.items() if value is not None and name != STEP}
    whole = step is not None and math.isfinite(step) and step >= 0
    return Reading(step=int(step) if whole and step is not None else None, values=numbers)


def _of_object(text: str) -> Told | None:
    """A JSON object that is the line, or an object of either kind behind a logger's words or a bar."""
    if text.startswith("{"):
        reading = _of_json(text)
        if reading is not None:
            return Told(kind=Kind.JSON, reading=reading)
    begin, end = text.find("{"), text.rfind("}")
    if not 0 <= begin < end or end - begin > LONGEST_TOLD or ":" not in text:
        return None
    if of_settings(text[:begin]):
        return None
    inner = text[begin : end + 1]
    reading = (_of_json(inner) if begin or end + 1 < len(text) else None) or _of_dict(inner)
    kind = Kind.LOOKING_BACK if looks_back(plain(text[:begin])) else Kind.DICT
    return None if reading is None else Told(kind=kind, reading=reading)


def _of_json(text: str) -> Reading | None:
    if not text.startswith("{"):
        return None
    try:
        return reading_of_values(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _of_dict(text: str) -> Reading | None:
    """A dict as Python prints it; nothing of it is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in texts that are nobody's source
            tree = ast.parse(text, mode="eval").body
        return reading_of_values(_value(tree)) if isinstance(tree, ast.Dict) else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Any:
    """A literal; of `tensor(2.3, device='cuda:0')`, `np.float64(2.3)` and `array(2.3)` the number inside."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Dict(keys=keys, values=values):
            return dict(_pairs(keys, values))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _value(operand)
            return -inner if isinstance(inner, int | float) else None
        case ast.Name(id=name):
            return NAMED_NUMBERS.get(name.lower())
        case ast.Call(args=[first, *_]):
            return _value(first)
    return None


def _pairs(keys: Sequence[ast.expr | None], values: Sequence[ast.expr]) -> Iterator[tuple[str, Any]]:
    for key, value in zip(keys, values, strict=True):
        if isinstance(key, ast.Constant):
            yield str(key.value), _value(value)
