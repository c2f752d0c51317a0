"""What one line or entry says of a script's metrics, as numbers by name. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.checks import is_number

TOKENS_OF_TRAINER = "num_input_tokens_seen"  # transformers, with include_num_input_tokens_seen
STEP_TOLD = "step_told"  # false on a line whose step is the one that was asked for: nobody has seen it
NAMED_NUMBERS = {
    f"{sign}{word}": -value if sign == "-" else value
    for word, value in {"nan": math.nan, "inf": math.inf, "infinity": math.inf}.items()
    for sign in ("", "+", "-")
}
NUMBER_TEXT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
# What scripts call the optimizer steps done: ours, transformers', Lightning's, its loggers', nanoGPT's.
STEP_NAMES = (
    *("step", "global_step", "trainer/global_step", "train/global_step"),
    *("iteration", "iter", "iter_num"),
)
DEEPEST = 5  # objects inside objects whose numbers have names of their own; chosen


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One line about metrics. step: optimizer steps done, None where the line does not say.

    told: whether the script itself said the step.
    """

    step: int | None
    told: bool = True
    values: Mapping[str, float] = field(default_factory=dict)


def reading_of(line: str) -> Reading | None:
    """A line of a file as a reading; None unless it is a JSON object with a number in it."""
    text = line.strip()
    if not text.startswith("{"):
        return None
    try:
        return reading_of_values(json.loads(text))
    except (ValueError, RecursionError):
        return None


def whole_of(value: float | None) -> int | None:
    """A number as a count; None where it is none."""
    return None if value is None or not math.isfinite(value) or value < 0 else int(value)


def reading_of_values(value: Any) -> Reading | None:
    """An object's numbers by name, those inside objects by `outer/inner`; None unless there is one.

    A number may be a text, as the Trainer of transformers prints them.
    """
    if not isinstance(value, Mapping):
        return None
    numbers = {name: number for name, item in _flat(value) if (number := _number(item)) is not None}
    if TOKENS_OF_TRAINER in numbers:
        numbers.setdefault("tokens", numbers[TOKENS_OF_TRAINER])
    step = next((found for name in STEP_NAMES if (found := whole_of(numbers.get(name))) is not None), None)
    numbers.pop("step", None)
    return Reading(step=step, told=value.get(STEP_TOLD) is not False, values=numbers) if numbers else None


def named(values: Mapping[str, float], wanted: Sequence[str]) -> dict[str, float]:
    """The numbers, those that are wanted by the names that are wanted: `eval/loss` is `eval_loss`."""
    found = dict(values)
    for name in wanted:
        if name not in found:
            alike = next((other for other in values if plain(other) == plain(name)), None)
            if alike is not None:
                found[name] = found.pop(alike, values[alike])
    return found


def plain(name: str) -> str:
    """A metric's name without the signs that set its words apart, which every logger chooses anew."""
    return "_".join(filter(None, re.split(r"[\W_]+", name))).casefold()


def _flat(values: Mapping[Any, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, item in values.items():
        if isinstance(item, Mapping):
            if depth < DEEPEST:
                yield from _flat(item, f"{before}{name}/", depth + 1)
        else:
            yield f"{before}{name}", item


def _number(value: Any) -> float | None:
    """None for what is no number, null included: it says that nothing was measured."""
    if isinstance(value, str):
        text = value.strip().lower()
        return float(text) if NUMBER_TEXT.fullmatch(text) else NAMED_NUMBERS.get(text)
    if not is_number(value):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf if value > 0 else -math.inf
