"""Student's quantile in plain arithmetic: nearly every verdict asks for it, and for nothing else of scipy.

`scipy.special` takes a third of the processor time of a command that only reads a sweep. Its numbers are the
yardstick: the tests hold these to a relative difference of 1e-12.
"""

from __future__ import annotations

import math
from statistics import NormalDist

MANY = 20_000.0  # degrees of freedom from which the series around the normal is exact to the last digits
LARGE = 40.0  # half the degrees of freedom from which the ratio of gammas is a series
RAREST = 1e-20  # chance of an error up to which the steps below are sure to end; the tests go there
STEPS = 60  # far more than are needed: five, from the first guess
ROUNDING = 4e-16  # relative
NEAR = 3e-6  # relative; after a step below it the error, which each step cubes, is rounding
TINY = 1e-300
STANDARD = NormalDist()


def student_quantile(chance: float, freedom: float) -> float:
    """The number below which Student's t with so many degrees of freedom lies with this chance."""
    if not (0.0 < chance < 1.0 and freedom > 0.0):
        return math.inf * (chance - 0.5) if chance in (0.0, 1.0) and freedom > 0.0 else math.nan
    if chance < 0.5:
        return -_above(chance, freedom)
    return _above(1.0 - chance, freedom)  # exact: both are of one size


def _above(tail: float, freedom: float) -> float:
    """The number, at least 0, above which t lies with the chance `tail`, at most a half."""
    if tail == 0.5:
        return 0.0
    if tail < RAREST:
        from scipy import special  # which nobody waits for who asks for no such chance

        return -float(special.stdtrit(freedom, tail))
    normal = -STANDARD.inv_cdf(tail)
    if freedom >= MANY:
        return _around_normal(normal, freedom)
    low, high = 0.0, math.inf
    near = freedom > 2.0 * normal**2
    at = max(normal, _around_normal(normal, freedom)) if near else _of_tail(tail, freedom)
    for _ in range(STEPS):
        rest = _missing(at, tail, freedom)
        low, high = (at, high) if rest > 0.0 else (low, at)
        step = rest / _density(at, freedom)
        step *= 1.0 + step * at * (freedom + 1.0) / (2.0 * (at * at + freedom))
        if abs(step) <= NEAR * at:
            return at + step
        at += step
        if not low < at < high:  # too far: halfway on the scale on which a tail is straight
            at = math.sqrt(max(low, TINY) * high) if high < math.inf else 4.0 * low
    return at


def _around_normal(z: float, freedom: float) -> float:
    """The quantile from the normal's (Fisher and Cornish 1960)."""
    square = z * z
    first = (square + 1.0) / 4.0
    second = ((5.0 * square + 16.0) * square + 3.0) / 96.0
    third = (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0
    return z * (1.0 + (first + (second + third / freedom) / freedom) / freedom)


def _of_tail(tail: float, freedom: float) -> float:
    """A first guess for few degrees of freedom: the density far out is a power."""
    log_constant = math.log(_density(0.0, freedom)) + math.log(freedom) * (freedom + 1.0) / 2.0
    return math.exp((log_constant - math.log(tail * freedom)) / freedom)


def _density(at: float, freedom: float) -> float:
    half = freedom / 2.0
    height = _gamma_ratio(half) / math.sqrt(math.pi * freedom)
    return height * math.exp(-(half + 0.5) * math.log1p(at * at / freedom))


def _missing(at: float, tail: float, freedom: float) -> float:
    """The chance above a number, less `tail`; from the side on which the two do not cancel."""
    half, share = freedom / 2.0, at * at / (freedom + at * at)
    # both tails of t above and below `at` are the incomplete beta function at this share, or at what is left
    factor = _gamma_ratio(half) / math.sqrt(math.pi) * math.exp(-half * math.log1p(at * at / freedom))
    if share < 1.5 / (half + 2.5):
        inner = factor * math.sqrt(share) * _fraction(0.5, half, share)
        return (0.5 - tail) - inner
    return factor * math.sqrt(share) * _fraction(half, 0.5, 1.0 - share) / freedom - tail


def _gamma_ratio(half: float) -> float:
    """The gamma function half a unit further, divided by itself."""
    if half < LARGE:
        return math.gamma(half + 0.5) / math.gamma(half)
    x = 1.0 / half  # https://dlmf.nist.gov/5.11 (iii)
    series = 1.0 + x * (-1 / 8 + x * (1 / 128 + x * (5 / 1024 + x * (-21 / 32768 + x * (-399 / 262144)))))
    return math.sqrt(half) * (series + x**6 * 869 / 4194304)


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, https://dlmf.nist.gov/8.17.E22 (Lentz)."""
    c, d = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1.0))
    found, m = d, 0
    while True:
        m += 1
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0)),
        ):
            d = 1.0 / _not_zero(1.0 + term * d)
            c = _not_zero(1.0 + term / c)
            found *= c * d
        if abs(c * d - 1.0) < ROUNDING or m > 10_000:
            return found


def _not_zero(number: float) -> float:
    return number if abs(number) > TINY else TINY
