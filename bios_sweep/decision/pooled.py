"""One error for all arms of a family whose noise is alike, and Tukey's quantile for all their differences.

See docs/statistics.md, items 3 and 5.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from bios_sweep.decision.quantiles import studentized_range_quantile
from bios_sweep.decision.table import Floats

RATIO_LEVEL = 0.99  # docs/statistics.md, item 5: pooled unless the ratio exceeds its own 99 % point
SIMULATIONS = 20_000  # the share beyond the point is then known within 0.07 %; the seed is fixed below
MANY_SEEDS = 100  # chosen: from here on drawing every value of 20 arms takes seconds


def pooled_error(values: Floats) -> float:
    """Standard error of a difference of two arms, s sqrt(2 / S), in the unit of the values, shape (A, S)."""
    arms, seeds = values.shape
    own = values - values[0]  # the same residuals; an equal arm leaves exactly 0
    residuals = own - own.mean(axis=1, keepdims=True) - own.mean(axis=0) + own.mean()
    variance = float((residuals**2).sum()) / ((arms - 1) * (seeds - 1))
    return math.sqrt(2.0 * variance / seeds)


def alike(values: Floats) -> bool:
    """Whether the arms' noise differs no more than one noise shows in 99 % of studies.

    Of each arm the median variance of its differences from the others: one noisy arm makes its own large and
    leaves those of the others, the default's no less than a level's. values: of shape (A, S).
    """
    arms, seeds = values.shape
    if arms < 3:
        return True  # two arms have one difference
    return bool(_ratios(values[None])[0] <= ratio_point(arms, seeds))


@lru_cache(maxsize=256)
def ratio_point(arms: int, seeds: int) -> float:
    """99 % point of the largest over the smallest such median, of arms with one noise.

    Simulated with a fixed seed, in pieces, so that many arms need no gigabytes.
    """
    random = np.random.default_rng(20240611)
    parts = 10 * math.ceil(arms / 20)
    studies = SIMULATIONS // parts
    if seeds > max(MANY_SEEDS, arms):
        drawn = [_drawn_ratios(random, studies, arms, seeds) for _ in range(parts)]
    else:
        drawn = [_ratios(random.standard_normal((studies, arms, seeds))) for _ in range(parts)]
    return float(np.quantile(np.concatenate(drawn), RATIO_LEVEL))


def _drawn_ratios(random: np.random.Generator, studies: int, arms: int, seeds: int) -> Floats:
    """`_ratios` of normal values, whose products over seeds are drawn themselves (Bartlett 1933).

    L L' of a lower triangle, normal and on its diagonal chi, is as centred values times themselves.
    """
    lower = np.tril(random.standard_normal((studies, arms, arms)), k=-1)
    places = np.arange(arms)
    lower[:, places, places] = np.sqrt(random.chisquare(seeds - 1 - places, size=(studies, arms)))
    products = lower @ lower.transpose(0, 2, 1)
    return _ratios_of(products[:, places, places], products)


def _ratios(values: Floats) -> Floats:
    """Largest over smallest median squared difference over seeds, for every study of (studies, A, S).

    Infinite where an arm equals most others and another differs; 1 where all are equal.
    """
    centred = values - values[:, :1]  # equal arms leave exactly 0
    centred = centred - centred.mean(axis=2, keepdims=True)
    return _ratios_of((centred**2).sum(axis=2), centred @ centred.transpose(0, 2, 1))


def _ratios_of(sizes: Floats, products: Floats) -> Floats:
    """sizes: sums of squares over seeds, shape (studies, A). products: of every two arms, (studies, A, A)."""
    arms = sizes.shape[1]
    squares = sizes[:, :, None] + sizes[:, None, :] - 2.0 * products
    # sorted, the first of a row is the arm itself; of an even number the lower median
    medians = np.sort(squares, axis=2)[:, :, 1 + (arms - 2) // 2]
    largest, smallest = medians.max(axis=1), np.maximum(medians.min(axis=1), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(largest > 0, largest / smallest, 1.0)


@lru_cache(maxsize=256)
def tukey(alpha: float, arms: int, nu: float) -> float:
    """The (1 - alpha) quantile of the largest difference of `arms` t statistics, over sqrt(2).

    Times the standard error of one difference it bounds all differences at once (Tukey 1949).
    """
    return studentized_range_quantile(1.0 - alpha, arms, nu) / math.sqrt(2.0)
