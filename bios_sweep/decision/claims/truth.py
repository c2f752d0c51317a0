"""What is true of the levels of a factor in a world that is known: what a verdict is held against. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.claims import Claim
from bios_sweep.study.design import DecisionRule


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The true gains and costs of one factor's levels (docs/statistics.md, item 13).

    default: its own level. gains: level -> percent over the default. costs: level -> time over the default's.
    iso: level -> true gain over the default trained for the same time. margin: percent. gained: what the
    default gains over the untouched model, percent.
    """

    claim: Claim
    default: Any
    gains: Mapping[Any, float]
    costs: Mapping[Any, float]
    iso: Callable[[Any], float]
    margin: float
    gained: float
    rule: DecisionRule

    @property
    def claimed(self) -> Any:
        """The level that the claim is about."""
        return self.claim.claimed(self.default)

    def share(self, level: Any) -> float:
        """What a level gains over the untouched model, as a share of what the default does."""
        return (self.gained + self.gains[level]) / self.gained

    def fast_enough(self, level: Any) -> bool:
        """Whether a level saves time that matters and loses less than speed may cost."""
        saves = self.costs[level] < 1.0 / self.rule.cost_ratio
        return saves and self.gains[level] > -self.rule.speed_loss_percent
