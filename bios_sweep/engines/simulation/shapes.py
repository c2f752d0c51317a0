"""What can be planted: curves over one setting, what moves them, and metrics with curves of their own.

A curve says by how many percent a value is worse than the best one. There are three shapes, each told by its
two numbers. `log2` distances, because defaults are judged by factors of two:

- valley `{optimum, curvature}`: `curvature` percent per squared doubling away from `optimum`, either way;
- floor `{knee, gain}`: `gain` percent per halving below `knee`, nothing above: from `knee` on it is enough;
- ceiling `{critical, cost}`: `cost` percent per doubling above `critical`, nothing below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.checks import Range, not_allowed
from bios_sweep.errors import ConfigError
from bios_sweep.settings import KNOWN, OR_MORE, POSITIVE, RANGES, TrainingSettings
from bios_sweep.study.trials import OWN_METRICS

EXAMPLES = "examples"  # training examples seen: max_steps x batch_size
KINDS = {("optimum", "curvature"): "valley", ("knee", "gain"): "floor", ("critical", "cost"): "ceiling"}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One planted curve. kind: valley, floor or ceiling. place: where it lies. strength: percent."""

    kind: str
    place: float
    strength: float

    def percent(self, value: float, moved: float = 1.0) -> float:
        """Percent worse than the best value. moved: the factor by which other settings move `place`."""
        distance = math.log2(value / (self.place * moved))
        if self.kind == "valley":
            return self.strength * distance**2
        return self.strength * max(0.0, distance if self.kind == "ceiling" else -distance)


@dataclass(frozen=True, kw_only=True)
class Move:
    """A setting that moves the place of another one's curve: by (value / at) ^ power, 1 at `at`."""

    setting: str
    power: float
    at: float

    def factor(self, settings: TrainingSettings) -> float:
        """What the place is multiplied by; 1 where the setting has no value."""
        value = quantity(settings, self.setting)
        return 1.0 if value is None else float((value / self.at) ** self.power)


@dataclass(frozen=True, kw_only=True)
class PlantedMetric:
    """A further final metric: its value at the best settings, its curves, its noise in percent of `value`."""

    value: float
    curves: Mapping[str, Curve]
    noise_percent: float
    seed_noise_percent: float


def quantity(settings: TrainingSettings, name: str) -> float | None:
    """The value of a setting or of `examples`; None where it has none (all training examples, say)."""
    if name == EXAMPLES:
        return settings.max_steps * settings.batch_size
    value: float | None = getattr(settings, name)
    return value


def curve_of(path: str, name: str, shape: Any) -> Curve:
    """The curve that plain values describe.

    Raises:
        ConfigError: no setting above 0 is called `name`, or the values describe none of the three shapes.
    """
    require_place(path, name)
    keys = tuple(shape) if isinstance(shape, Mapping) else ()
    for (place, strength), kind in KINDS.items():
        if set(keys) == {place, strength}:
            return Curve(
                kind=kind,
                place=POSITIVE.require(f"{path}.{name}.{place}", shape[place]),
                strength=Range().require(f"{path}.{name}.{strength}", shape[strength]),
            )
    allowed = ", ".join(f"{{{place}, {strength}}}" for place, strength in KINDS)
    raise not_allowed(f"{path}.{name}", shape, f"give one of {allowed}")


def move_of(path: str, name: str, values: Any) -> Move:
    """The move that plain values `{power, at}` describe.

    Raises:
        ConfigError: no setting above 0 is called `name`, or the values are others.
    """
    require_place(path, name)
    if not isinstance(values, Mapping) or set(values) != {"power", "at"}:
        raise not_allowed(f"{path}.{name}", values, "give {power, at}")
    return Move(
        setting=name,
        power=Range().require(f"{path}.{name}.power", values["power"]),
        at=POSITIVE.require(f"{path}.{name}.at", values["at"]),
    )


def metric_of(name: str, values: Any) -> PlantedMetric:
    """The metric that plain values describe.

    Raises:
        ConfigError: a name that trials measure already, or options it does not have.
    """
    path = f"metrics.{name}"
    allowed = ("value", "truth", "noise_percent", "seed_noise_percent")
    if name in OWN_METRICS:
        raise ConfigError(f"{path}: is measured already; give another name")
    unknown = sorted(set(require_mapping(path, values, "{value: 0.1, noise_percent: 1}")) - set(allowed))
    if unknown:
        raise ConfigError(f"{path}: unknown option {unknown[0]!r}; allowed: {', '.join(allowed)}")
    truth = require_mapping(f"{path}.truth", values.get("truth", {}))
    return PlantedMetric(
        value=POSITIVE.require(f"{path}.value", values.get("value")),
        curves={setting: curve_of(f"{path}.truth", setting, shape) for setting, shape in truth.items()},
        noise_percent=OR_MORE.require(f"{path}.noise_percent", values.get("noise_percent", 0.0)),
        seed_noise_percent=OR_MORE.require(
            f"{path}.seed_noise_percent", values.get("seed_noise_percent", 0.0)
        ),
    )


def require_place(path: str, name: str) -> None:
    """Refuse a name that is no setting, or one whose values have no logarithm."""
    if name != EXAMPLES and name not in KNOWN:
        raise ConfigError(f"{path}: {name!r} is no setting; choose from {', '.join([*KNOWN, EXAMPLES])}")
    if name != EXAMPLES and (name not in RANGES or RANGES[name].holds(0)):
        raise ConfigError(
            f"{path}.{name}: has no log2 distance; plant it in a setting that is always above 0"
        )


def require_mapping(path: str, value: Any, example: str = "{a: 1}") -> Mapping[str, Any]:
    """Names with their values, or a sentence that says so."""
    if not isinstance(value, Mapping):
        raise not_allowed(path, value, f"give names with their values, such as {example}")
    return value
