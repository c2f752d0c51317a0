"""Quality against cost: which arms no other arm beats in both, with the uncertainty of each. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class FrontierPoint:
    """An arm's gain in percent and its time over the baseline's, each with bounds (None: unbounded).

    steps, examples: of a whole training, the cost that holds on any hardware. on_frontier: by the estimates
    no other arm is better at no more cost, or as good at less.
    """

    arm: str
    gain: float
    lower: float | None
    upper: float | None
    cost_ratio: float
    cost_lower: float
    cost_upper: float
    steps: int
    examples: int
    on_frontier: bool = False


def frontier(points: Sequence[FrontierPoint]) -> tuple[FrontierPoint, ...]:
    """All points, cheapest first, those on it marked; equals are on it together, NaN never is."""
    ordered = sorted(points, key=lambda point: (point.cost_ratio, math.isnan(point.gain), -point.gain))
    return tuple(
        replace(point, on_frontier=not (math.isnan(point.gain) or any(_beats(one, point) for one in points)))
        for point in ordered
    )


def _beats(one: FrontierPoint, other: FrontierPoint) -> bool:
    """At least as good at no more cost, and not its equal."""
    as_good = one.gain >= other.gain and one.cost_ratio <= other.cost_ratio
    return as_good and (one.gain, one.cost_ratio) != (other.gain, other.cost_ratio)
