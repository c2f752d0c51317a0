"""Further metrics of a planted trial, for guardrails: each with its own truth and noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.engines.simulation.shapes import Curve, curve_of, require_mapping
from bios_sweep.errors import ConfigError
from bios_sweep.settings import OR_MORE, POSITIVE

OWN_METRICS = ("eval_loss", "eval_bits_per_byte", "train_loss")


@dataclass(frozen=True, kw_only=True)
class PlantedMetric:
    """A further final metric: its value at the best settings, its curves, its noise in percent of `value`."""

    value: float
    curves: Mapping[str, Curve]
    noise_percent: float
    seed_noise_percent: float


def metric_of(name: str, values: Any) -> PlantedMetric:
    """The metric that plain values describe.

    Raises:
        ConfigError: a name that trials measure already, or options it does not have.
    """
    path = f"metrics.{name}"
    allowed = ("value", "truth", "noise_percent", "seed_noise_percent")
    if name in OWN_METRICS:
        raise ConfigError(f"{path}: is measured already; give another name")
    unknown = sorted(set(require_mapping(path, values)) - set(allowed))
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
