"""The distributions that bounds rest on, from scipy.special: loaded when first asked, not with the package.

`scipy.stats` takes half a second of processor time to load, `scipy.special` a third of that; a command that
asks for none of these pays neither. Student's, which nearly all ask for, is a module of its own. The
studentized range, which `scipy.special` lacks, is integrated here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np

from bios_sweep.decision.table import Floats

NODES = 128  # of every quadrature
REACH = 8.5  # standard deviations; beyond lies 1e-17
LONGEST = 14.0  # range of normals: of 100, beyond lies 1e-18
FEW = (
    30.0  # degrees of freedom below which the mean is taken over the range of normals, above over their error
)
NEVER = 1e-18  # chance of an error that the outer quadrature leaves out
FARTHEST = 700.0  # of a gamma variable: beyond lies 1e-250, and exp still answers
PRECISION = 1e-13  # of the chance and, relative, of the quantile

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@cache
def _special() -> Any:
    from scipy import special

    return special


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

    By Gauss quadratures, without the import of scipy.stats: of two arms Student's within 1e-8, for chances of
    an error down to 1e-6, from one degree of freedom to a thousand.
    """
    range_chance = (_over_ranges if freedom < FEW else _over_errors)(arms, freedom)
    low, high = 0.0, 2.0
    while range_chance(high) < chance:
        low, high = high, 2.0 * high
    return where_chance_is(chance, range_chance, low, high)


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


def _over_ranges(arms: int, freedom: float) -> Callable[[float], float]:
    """The chance that the range of so many t statistics is at most a number.

    The mean over the range of normals, r, of the chance that their common error is at least r over the
    number: smooth in r for few degrees of freedom however large the number, a step for many.
    """
    half, below = freedom / 2.0, _gamma_chance(freedom)
    ranges, weights = _ranges(arms)

    def chance(number: float) -> float:
        with np.errstate(divide="ignore", over="ignore"):  # nothing lies below 0
            return 1.0 - float(weights @ below(half * (ranges / number) ** 2))

    return chance


def _gamma_chance(freedom: float) -> Callable[[Floats], Floats]:
    """The chance that a gamma variable of the shape `freedom / 2` is at most each number.

    Of a whole number of degrees of freedom, as nearly always, by the closed form (https://dlmf.nist.gov/8.4):
    with it a sweep is read without the import of scipy.
    """
    if freedom != int(freedom):
        return partial(_special().gammainc, freedom / 2.0)
    begins = 0.5 if int(freedom) % 2 else 0.0
    powers = [begins + place for place in range(int(freedom / 2.0 - begins))]

    def below(at: Floats) -> Floats:
        held = np.minimum(at, FARTHEST)
        above = np.exp(-held) * sum(held**power / math.gamma(power + 1.0) for power in powers)
        return _erf(np.sqrt(held)) - above if begins else 1.0 - above

    return below


@lru_cache(maxsize=64)
def _ranges(arms: int) -> tuple[Floats, Floats]:
    """Nodes over the range of so many standard normals, and their weights times its density.

    The density is an integral over the middle, y, between the largest and the smallest, all others
    between them.
    """
    points, weights = np.polynomial.legendre.leggauss(NODES)
    roots = (points + 1.0) / 2.0  # nodes in the root of the range lie closer to 0, where small numbers look
    ranges, y = LONGEST * roots[:, None] ** 2, REACH * points
    beyond = 0.5 * _erfc((y + ranges / 2.0) / math.sqrt(2.0))  # the largest; the smallest by symmetry
    between = (1.0 - beyond - beyond[:, ::-1]) ** (arms - 2)
    ends = np.exp(-(y**2) - ranges**2 / 4.0) / (2.0 * math.pi)
    density = arms * (arms - 1) * (between * ends) @ (REACH * weights)
    return ranges[:, 0], density * weights * LONGEST * roots


def _over_errors(arms: int, freedom: float) -> Callable[[float], float]:
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
