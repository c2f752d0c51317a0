"""The gain of an arm over the default trained for the same time (docs/statistics.md, item 13). Pure.

Duration is the dial that everybody already has: another batch size earns its place only by beating it.
"""

from __future__ import annotations

import math
from dataclasses import replace

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import Evidence
from bios_sweep.decision.finding import AS_LONG
from bios_sweep.reasons import Kind, Reason

NO_COST = Kind("the cost was not measured")
NO_DURATIONS = Kind("the default was not trained for other durations")
NO_SUCH_COST = Kind("{arm} costs {ratio:.2f} times the default and no duration of the default costs as much")
SAME_COST = 1.05  # costs this near the yardstick's end count as its end; chosen, below what matters (1.2)


def iso_cost_gain(arm: str, evidence: Evidence) -> Bound | Reason:
    """The gain of an arm over the default trained for the same time, or why it is not known."""
    weights = iso_weights(arm, evidence)
    if isinstance(weights, Reason):
        return weights
    return replace(evidence.contrasts.weighted(arm, weights), how=AS_LONG)


def iso_weights(arm: str, evidence: Evidence) -> dict[str, float] | Reason:
    """The contrast of an arm with the default trained for the same time, or why there is none.

    Per seed, between the default's own duration arms, linear in ln(cost); no extrapolation.
    """
    cost = evidence.costs.get(arm)
    if cost is None:
        return NO_COST()
    usable = {ratio: name for ratio, name in evidence.durations.items() if evidence.contrasts.has(name)}
    if not usable:
        return NO_DURATIONS()
    ratio = _nearest_inside(cost.ratio, min(usable), max(usable))
    if ratio is None:
        return NO_SUCH_COST(arm=arm, ratio=cost.ratio)
    low = max(known for known in usable if known <= ratio)
    high = min(known for known in usable if known >= ratio)
    share = 0.0 if low == high else math.log(ratio / low) / math.log(high / low)
    weights = {arm: 1.0}
    for name, weight in ((usable[low], 1.0 - share), (usable[high], share)):
        weights[name] = weights.get(name, 0.0) - weight
    return {name: weight for name, weight in weights.items() if weight}


def _nearest_inside(ratio: float, low: float, high: float) -> float | None:
    inside = min(max(ratio, low), high)
    return inside if max(ratio / inside, inside / ratio) <= SAME_COST else None
