"""Rows of a verdict: its variations, and a nuisance-aware factor's levels. Values."""

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
