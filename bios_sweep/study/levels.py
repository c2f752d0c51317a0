"""The settings of a level: the baseline's with a factor's value, and another method with its own defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bios_sweep.defaults.rules import setting_heuristic
from bios_sweep.settings import LORA_SETTINGS, TrainingSettings

METHOD = "method"


def at_level(baseline: TrainingSettings, changes: Mapping[str, Any]) -> TrainingSettings:
    """The baseline with other values; one of another method at the learning rate that is that method's own.

    The rates of methods stand in one ratio whatever the model (`heuristics.json`), so that a baseline's own
    rate is taken along. Full fine-tuning has none of an adapter's settings, and passes over changes of these.

    Raises:
        ConfigError: a value is not allowed.
    """
    method = changes.get(METHOD, baseline.method)
    times = setting_heuristic("learning_rate")["rule"]["multipliers"]
    if method == baseline.method or method not in times:
        return baseline.changed(changes)
    own = baseline.changed({METHOD: method})
    rate = baseline.learning_rate * times[method] / times[baseline.method]
    left = set(LORA_SETTINGS) if own.lora_rank is None else set()
    kept = {name: value for name, value in changes.items() if name not in left}
    return own.changed({"learning_rate": float(f"{rate:.12g}"), **kept})
