"""What a script says it has spent (steps, examples, tokens, epochs) up to the value that counts. Pure.

Only what a line names counts: a step that the reader of the metrics counts itself is nobody's word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bios_sweep.engines.scripted.readings import Reading
from bios_sweep.study.trials import SPENT

# What scripts call it beside `step`: ours, transformers', TRL's, Megatron's.
NAMES: Mapping[str, tuple[str, ...]] = {
    "steps": ("global_step",),
    "examples": ("examples", "examples_seen", "samples_seen", "consumed_samples"),
    "tokens": ("tokens", "num_input_tokens_seen", "num_tokens", "tokens_seen"),
    "epochs": ("epoch", "epochs"),
}


@dataclass
class Spent:
    """What was told so far. seen: name -> the most that was told, as of the last line with the metric.

    A last value whose line names nothing is taken with what the lines since the value before it named, or,
    where it is that value once more, with what belonged to that one.
    """

    seen: Mapping[str, float] = field(default_factory=dict)
    _most: dict[str, float] = field(default_factory=dict)
    _since: set[str] = field(default_factory=set)
    _value: float | None = None

    def take(self, reading: Reading, value: float | None) -> None:
        """One line. value: of the metric, None where the line has none."""
        named = _named(reading)
        for name, number in named.items():
            self._most[name] = max(number, self._most.get(name, 0.0))
        self._since |= named.keys()
        if value is None or (value == self._value and not self._since):
            return
        self.seen = {name: self._most[name] for name in SPENT if name in self._since}
        self._since, self._value = set(), value


def _named(reading: Reading) -> dict[str, float]:
    """What a line names, of what can be a count."""
    numbers = {
        what: next((reading.values[name] for name in names if name in reading.values), math.nan)
        for what, names in NAMES.items()
    }
    if reading.step is not None and reading.told:
        numbers["steps"] = float(reading.step)
    return {what: number for what, number in numbers.items() if math.isfinite(number) and number >= 0}
