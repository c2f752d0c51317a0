"""Bounds of a whole study from its blocks alone: what contrasts, arm by arm, must agree with."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.table import Blocks


def gain_bounds(blocks: Blocks, alpha: float, variations: int | None = None) -> tuple[Bound, ...]:
    """Bounds of every variation, each at one-sided level `alpha` (already divided by the looks).

    Written as docs/statistics.md, items 3 and 5, say it: v of the arm's own differences, c the median of the
    non-zero v of the others, w = max((2 c + (S - 1) v) / (S + 1), v), S + 1 degrees of freedom; S - 1 where
    there is no c. Upper bounds uncorrected, lower ones at alpha over all that the study tried.

    Raises:
        ValueError: fewer than two seeds or no variation (no variance can be estimated).
    """
    gains = blocks.gains()
    k, seeds = gains.shape
    if k < 1 or seeds < 2:
        raise ValueError(f"bounds need at least 1 variation and 2 seeds, not {k} and {seeds}")
    tried = max(k, variations or 0)
    bounds = []
    for row, arm in enumerate(blocks.arms[1:]):
        mean, spread = float(gains[row].mean()), float(gains[row].var(ddof=1))
        others = [v for v in np.delete(gains, row, axis=0).var(axis=1, ddof=1) if v > 0]
        noise, nu = spread, seeds - 1
        if others:
            nu = seeds + 1
            noise = max((2 * float(np.median(others)) + (seeds - 1) * spread) / nu, spread)
        error = math.sqrt(noise / seeds)
        below, above = stats.t.ppf(1 - alpha / tried, nu), stats.t.ppf(1 - alpha, nu)
        bounds.append(
            Bound(
                arm=arm,
                gain=mean,
                lower=mean - float(below) * error,
                upper=mean + float(above) * error,
                standard_error=error,
                seeds=seeds,
                spread=spread,
                noise=noise,
            )
        )
    return tuple(bounds)
