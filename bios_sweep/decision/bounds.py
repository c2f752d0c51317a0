"""One-sided bounds on each variation's gain: Dunnett below, Student above, from the blocked model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, special, stats

from bios_sweep.decision.table import Blocks, Floats

VARIANCE_RATIO_LEVEL = 0.99  # docs/statistics.md, item 3: pooled unless the ratio exceeds its own 99 % point
SIMULATIONS = 200_000  # 99 % point within about 3 % (S = 3) and 1 % (S >= 5), seed fixed below
NODES = 128  # quadrature nodes; d agrees with 256 nodes within 4e-5 for nu >= 2


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One variation's gain in percent of the baseline, with one-sided bounds at the same level.

    pooled: whether the variance is the study's; else the arm's own paired variance. clusters: those whose
    evaluation error is included, 0 for a statement about this evaluation set only. over: the arm that the
    gain is over; empty: the baseline. how: what of that arm it is over, where not its own quality, such as
    `{} trained as long`.
    """

    arm: str
    gain: float
    lower: float
    upper: float
    standard_error: float
    pooled: bool
    clusters: int = 0
    over: str = ""
    how: str = ""


def paired_bound(arm: str, gains: Floats, alpha: float) -> Bound:
    """One paired one-sided t on fresh seeds: gains of one arm over the baseline, shape (S,), percent."""
    seeds = gains.shape[0]
    mean, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(seeds))
    width = student(alpha, seeds - 1) * error
    return Bound(
        arm=arm, gain=mean, lower=mean - width, upper=mean + width, standard_error=error, pooled=False
    )


def pooled_error(blocks: Blocks) -> float:
    """Standard error of a difference of two arms: s sqrt(2 / S), percent of the baseline's mean."""
    values = blocks.values - blocks.values[0]  # same residuals; an equal arm leaves exactly 0
    arms, seeds = values.shape
    residuals = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    variance = float((residuals**2).sum()) / ((arms - 1) * (seeds - 1))
    percent = 100.0 / abs(float(blocks.values[0].mean()))
    return percent * float(np.sqrt(2.0 * variance / seeds))


def unequal_variances(gains: Floats) -> bool:
    """Whether the paired variances differ more than equal ones would in 99 % of studies."""
    k, seeds = gains.shape
    if k < 2:
        return False
    variances = gains.var(axis=1, ddof=1)
    largest, smallest = float(variances.max()), float(variances.min())
    return largest > variance_ratio_point(k, seeds) * smallest


@lru_cache(maxsize=256)
def variance_ratio_point(k: int, seeds: int) -> float:
    """99 % point of largest / smallest variance of k paired contrasts under equal variances.

    Simulated with a fixed seed: contrasts share the baseline, so they correlate at 0.5. Given the length of
    the baseline's noise in the S - 1 dimensions left by centring, the variances are independent noncentral
    chi-squares; drawing those instead of every trial makes 39 contrasts of 25 seeds 12 times as fast.
    For k = 4 it is about 540 / 36 / 11 and for k = 11 about 2300 / 81 / 19 at 3 / 5 / 8 seeds.
    """
    random = np.random.default_rng(20240611)
    parts = 10 * math.ceil(k / 100)  # in pieces, so that a thousand contrasts need no gigabytes
    ratios = np.concatenate([_ratios(random, k, seeds, SIMULATIONS // parts) for _ in range(parts)])
    return float(np.quantile(ratios, VARIANCE_RATIO_LEVEL))


def _ratios(random: np.random.Generator, k: int, seeds: int, draws: int) -> Floats:
    shared = random.chisquare(seeds - 1, (draws, 1))
    variances = (random.standard_normal((len(shared), k)) + np.sqrt(shared)) ** 2
    if seeds > 2:
        variances += random.chisquare(seeds - 2, variances.shape)
    return np.asarray(variances.max(axis=1) / variances.min(axis=1), dtype=np.float64)


@lru_cache(maxsize=1024)
def student(alpha: float, nu: int) -> float:
    """The one-sided (1 - alpha) quantile of Student's t."""
    return float(stats.t.ppf(1.0 - alpha, nu))


@lru_cache(maxsize=256)
def tukey(alpha: float, arms: int, nu: int) -> float:
    """The (1 - alpha) quantile of the largest difference of `arms` t statistics, over sqrt(2).

    Times the standard error of one difference it bounds all differences at once (Tukey 1949; the
    studentized range of scipy).
    """
    return float(stats.studentized_range.ppf(1.0 - alpha, arms, nu) / np.sqrt(2.0))


@lru_cache(maxsize=1024)
def dunnett(alpha: float, k: int, nu: int) -> float:
    """The one-sided (1 - alpha) quantile of the largest of k t statistics that share a control.

    Equal sizes, so every pair correlates at 0.5. P(max T <= d) is the mean over the control's
    normal z and the pooled standard deviation u of Phi(z + sqrt(2) d u)^k (Dunnett 1955), by
    Gauss quadrature; deterministic, unlike the quasi-Monte-Carlo in scipy.stats.dunnett.
    """
    low, high = student(alpha, nu), student(alpha / k, nu)
    if k == 1:
        return low
    return float(optimize.brentq(lambda d: _below(d, k, nu) - (1.0 - alpha), low, high, xtol=1e-9))


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Floats, Floats, Floats, Floats]:
    """Nodes and weights for a standard normal, and for an interval from -1 to 1."""
    z, weights = np.polynomial.hermite_e.hermegauss(NODES)
    points, point_weights = np.polynomial.legendre.leggauss(NODES)
    return z, weights / np.sqrt(2.0 * np.pi), points, point_weights


def _below(d: float, k: int, nu: int) -> float:
    z, z_weights, points, point_weights = _quadrature()
    share = 0.5 * (points + 1.0)
    u = np.sqrt(stats.chi2.ppf(share, nu) / nu)
    inner = special.ndtr(z[None, :] + np.sqrt(2.0) * d * u[:, None]) ** k @ z_weights
    return float(0.5 * point_weights @ inner)
