"""How many evaluation examples a margin needs, by the losses of trials that were run. Pure.

Two arms are compared on the same examples, so what counts is how their difference varies from one cluster of
examples to the next (docs/statistics.md, item 3), and not how the losses do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bios_sweep.decision.clusters import ClusterSums

HALF_WIDTH = 1.645  # standard errors of a one-sided bound of 95 %
# Of the margin, what the examples' own error may take of a bound. Chosen: half; the rest is the seeds'.
RESERVED = 0.5


def needed_examples(
    pairs: Sequence[tuple[ClusterSums, ClusterSums]], examples: int, margin_percent: float
) -> int | None:
    """Examples with which the evaluation's error of a gain takes `RESERVED` of the margin, no more.

    Args:
        pairs: the same evaluation examples under the default and under another arm, of the same seed.
        examples: how many those are.
        margin_percent: the smallest effect that matters, percent of the default's loss.

    Returns:
        None where nothing tells: no pair of two clusters or more, or no difference at all.
    """
    errors = [error for error in (_error_percent(*pair) for pair in pairs) if error > 0.0]
    if not errors or margin_percent <= 0.0:
        return None
    variance = sum(error**2 for error in errors) / len(errors)
    return math.ceil(examples * variance * (HALF_WIDTH / (RESERVED * margin_percent)) ** 2)


def _error_percent(default: ClusterSums, other: ClusterSums) -> float:
    """Standard error of the gain over clusters, percent of the default's loss."""
    clusters, tokens, nats = len(default.tokens), float(default.tokens.sum()), float(default.nats.sum())
    if clusters < 2 or len(other.nats) != clusters or not nats:
        return 0.0
    gained = default.nats - other.nats
    left = gained - gained.sum() / tokens * default.tokens
    return float(100.0 * math.sqrt(clusters / (clusters - 1) * (left**2).sum()) / abs(nats))
