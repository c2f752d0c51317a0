"""Quality against cost: which arms no other arm beats in both, with the uncertainty of each. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.costs import CostRatio


@dataclass(frozen=True, kw_only=True)
class Point:
    """One arm on the plane: gain over the default (percent) and time over the default's.

    steps, examples: the hardware-free cost, sequential optimizer steps and training examples.
    efficient: by the estimates no other arm is better at no more cost, or as good at less.
    """

    arm: str
    gain: Bound
    cost: CostRatio
    steps: int
    examples: int
    efficient: bool = False


def frontier(points: Sequence[Point]) -> tuple[Point, ...]:
    """All points, cheapest first, the efficient ones marked; equals are efficient together, NaN never is."""
    ordered = sorted(
        points, key=lambda point: (point.cost.ratio, math.isnan(point.gain.gain), -point.gain.gain)
    )
    return tuple(
        replace(
            point,
            efficient=not math.isnan(point.gain.gain) and not any(_beats(other, point) for other in points),
        )
        for point in ordered
    )


def _beats(one: Point, other: Point) -> bool:
    """At least as good at no more cost, and not its equal."""
    as_good = one.gain.gain >= other.gain.gain and one.cost.ratio <= other.cost.ratio
    return as_good and (one.gain.gain, one.cost.ratio) != (other.gain.gain, other.cost.ratio)
