"""Rows of a verdict: variations, a nuisance-aware factor's levels, memory, metrics beside it. Values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bios_sweep.jsonable import FLAT, OPTIONAL


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A variation's gain over the default in percent, its one-sided bounds (None: unbounded) and its error.

    pooled: whether the error is that of all arms together, as it was under version 1 of the rule.
    """

    gain: float | None
    lower: float | None
    upper: float | None
    standard_error: float | None
    pooled: bool


@dataclass(frozen=True, kw_only=True)
class LevelRow:
    """A variation on the shared seeds. status: compared, diverged or not compared, the latter unestimated.

    seeds: on how many the estimate rests; an arm that is excluded at a look runs no more.
    """

    arm: str
    level: Any
    label: str
    status: str
    seeds: int | None = field(default=None, metadata=OPTIONAL)
    estimate: Estimate | None = field(default=None, metadata=FLAT)


@dataclass(frozen=True, kw_only=True)
class RateRow:
    """A level at the baseline's nuisance value and at its own best: gains in percent, and what they conclude.

    differs: one of the two concludes that the level is better, the other does not.
    """

    level: Any
    label: str
    gain_same_rate: float | None
    gain_best_rate: float | None
    best_rate: float
    conclusion_same_rate: str
    conclusion_best_rate: str
    differs: bool


@dataclass(frozen=True, kw_only=True)
class MemoryRow:
    """Bytes that a trial of the level in question, and one of the default, took at most on its device.

    measured: by the device; else reckoned by the model of bytes.
    """

    bytes: int
    default_bytes: int
    measured: bool


@dataclass(frozen=True, kw_only=True)
class BesideRow:
    """What a variation does to a metric that does not decide, against the default.

    gain, lower, upper: in `unit` (%: percent of the default's value; points; empty: the metric's own),
    positive = better, None where it was not measured. may_lose: in the same unit. kept: whether a loss of
    that much is excluded. stage: screening, on the shared seeds, or confirmation, on fresh ones. clusters:
    those whose evaluation error is in the bounds.
    """

    metric: str
    direction: str
    arm: str
    stage: str
    seeds: int
    clusters: int
    gain: float | None
    lower: float | None
    upper: float | None
    unit: str
    may_lose: float
    kept: bool
