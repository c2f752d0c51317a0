"""One error for all arms of a family whose noise is alike, and Tukey's quantile for all their differences.

See docs/statistics.md, items 3 and 5.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import stats

from bios_sweep.decision.table import Floats

RATIO_LEVEL = 0.99  # docs/statistics.md, item 5: pooled unless the ratio exceeds its own 99 % point
SIMULATIONS = 50_000  # 99 % point within about 5 % (S = 3) and 2 % (S >= 5); the seed is fixed below


def pooled_error(values: Floats) -> float:
    """Standard error of a difference of two arms, s sqrt(2 / S), in the unit of the values, shape (A, S)."""
    arms, seeds = values.shape
    variance = float((_residuals(values) ** 2).sum()) / ((arms - 1) * (seeds - 1))
    return math.sqrt(2.0 * variance / seeds)


def alike(values: Floats) -> bool:
    """Whether the arms' residual sums of squares differ no more than with one noise in 99 % of studies.

    No arm plays a part of its own in it, so that a noisy default shows as any noisy level does.
    """
    arms, seeds = values.shape
    if arms < 3:
        return True  # the residuals of two arms mirror each other
    sums = (_residuals(values) ** 2).sum(axis=1)
    return bool(sums.max() <= ratio_point(arms, seeds) * sums.min())


def _residuals(values: Floats) -> Floats:
    """What mean of the arm and shift of the seed leave."""
    own = values - values[0]  # the same residuals; an equal arm leaves exactly 0
    return np.asarray(own - own.mean(axis=1, keepdims=True) - own.mean(axis=0) + own.mean(), dtype=np.float64)


@lru_cache(maxsize=256)
def ratio_point(arms: int, seeds: int) -> float:
    """99 % point of largest / smallest residual sum of squares of arms with one noise.

    Simulated with a fixed seed in the S - 1 dimensions that centring over seeds leaves.
    """
    random = np.random.default_rng(20240611)
    parts = 10 * math.ceil(arms * seeds / 200)  # in pieces, so that many arms need no gigabytes
    ratios = [_ratios(random, arms, seeds, SIMULATIONS // parts) for _ in range(parts)]
    return float(np.quantile(np.concatenate(ratios), RATIO_LEVEL))


def _ratios(random: np.random.Generator, arms: int, seeds: int, draws: int) -> Floats:
    values = random.standard_normal((draws, arms, seeds - 1))
    sums = ((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=2)
    return np.asarray(sums.max(axis=1) / sums.min(axis=1), dtype=np.float64)


@lru_cache(maxsize=256)
def tukey(alpha: float, arms: int, nu: int) -> float:
    """The (1 - alpha) quantile of the largest difference of `arms` t statistics, over sqrt(2).

    Times the standard error of one difference it bounds all differences at once (Tukey 1949; the
    studentized range of scipy).
    """
    return float(stats.studentized_range.ppf(1.0 - alpha, arms, nu) / np.sqrt(2.0))
