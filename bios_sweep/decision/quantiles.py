"""The distributions that bounds rest on, from scipy.special: loaded when first asked, not with the package.

`scipy.stats` takes half a second of processor time to load, `scipy.special` a third of that; a command that
judges nothing pays neither. The studentized range, which `scipy.special` lacks, is integrated here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from bios_sweep.decision.table import Floats

NODES = 128  # of both quadratures; 96 differ by 2e-7 at 30 arms and one degree of freedom, elsewhere by 1e-9
REACH = 8.5  # standard deviations; beyond lies 1e-17
NEVER = 1e-18  # chance of an error that the outer quadrature leaves out
PRECISION = 1e-13  # of the chance and, relative, of the quantile


@cache
def _special() -> Any:
    from scipy import special

    return special


def student_quantile(chance: float, freedom: float) -> float:
    """The number below which Student's t with so many degrees of freedom lies with this chance."""
    return float(_special().stdtrit(freedom, chance))


def normal_quantile(chance: float) -> float:
    """The number below which a standard normal lies with this chance."""
    return float(_special().ndtri(chance))


def chi_square_quantile(chance: Any, freedom: float) -> Any:
    """The number, or the array of numbers, below which a chi-square lies with this chance."""
    return 2.0 * _special().gammaincinv(freedom / 2.0, chance)


def beta_quantile(chance: float, first: float, second: float) -> float:
    """The number below which a beta variable of these two shapes lies with this chance."""
    return float(_special().betaincinv(first, second, chance))


def normal_chance(at: Floats) -> Floats:
    """The chance that a standard normal lies below each number."""
    return np.asarray(_special().ndtr(at), dtype=np.float64)


def at_least(count: int, expected: float) -> float:
    """The chance that a Poisson count with this mean is `count` or more; count: at least 1."""
    return float(_special().gammainc(count, expected))


def studentized_range_quantile(chance: float, arms: int, freedom: float) -> float:
    """The number below which the range of so many t statistics lies with this chance (Tukey 1949).

    By Gauss quadratures: as scipy.stats within 1e-8, without its import.
    """
    range_chance = _range_chance(arms, freedom)
    high = 2.0
    while range_chance(high) < chance:
        high *= 2.0
    return where_chance_is(chance, range_chance, 0.0, high)


def where_chance_is(chance: float, distribution: Callable[[float], float], low: float, high: float) -> float:
    """The number between two at which a rising distribution has this chance, by regula falsi (Illinois)."""
    below, above, side = distribution(low) - chance, distribution(high) - chance, 0
    while high - low > PRECISION * high:
        at = high - above * (high - low) / (above - below)
        here = distribution(at) - chance
        if abs(here) < PRECISION:
            return at
        if here < 0:
            low, below, above, side = at, here, above / 2.0 if side < 0 else above, -1
        else:
            high, above, below, side = at, here, below / 2.0 if side > 0 else below, 1
    return high


def _range_chance(arms: int, freedom: float) -> Callable[[float], float]:
    """The chance that the range of so many t statistics is at most a number.

    The mean over the common error s (chi over the root of its freedom) of the chance that the range of `arms`
    standard normals is at most s times the number: that the others lie no further below the largest, z.
    """
    special = _special()
    points, weights = np.polynomial.legendre.leggauss(NODES)
    half = freedom / 2.0
    low = math.sqrt(special.gammaincinv(half, NEVER) / half)
    high = math.sqrt(special.gammainccinv(half, NEVER) / half)
    s = low + (high - low) * (points + 1.0) / 2.0
    log_density = math.log(2.0) + half * math.log(half) - special.gammaln(half) + (freedom - 1.0) * np.log(s)
    of_error = np.exp(log_density - half * s**2) * weights * (high - low) / 2.0
    z = REACH * points
    of_largest = arms * REACH * weights * np.exp(-(z**2) / 2.0) / math.sqrt(2.0 * math.pi)
    below = special.ndtr(z)[:, None]

    def chance(number: float) -> float:
        near = below - special.ndtr(z[:, None] - number * s[None, :])
        return float(of_largest @ near ** (arms - 1) @ of_error)

    return chance
