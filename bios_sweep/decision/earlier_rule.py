"""Version 1 of the rule, for sweeps that began under it: one error pooled over the study, Dunnett below.

A sweep that has begun is finished under its own rule (docs/statistics.md, item 10). No new plan has it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from bios_sweep.decision.bounds import Bound, student
from bios_sweep.decision.clusters import ClusterTable
from bios_sweep.decision.contrasts import Contrasts
from bios_sweep.decision.ladder import NuisanceLadder
from bios_sweep.decision.pooled import pooled_error, tukey
from bios_sweep.decision.quantiles import chi_square_quantile, normal_chance, where_chance_is
from bios_sweep.decision.table import Floats
from bios_sweep.reasons import Kind, Reason

LADDER_ENDS = Kind("the default level's best {setting} ends its ladder: the best may lie beyond")
SIMULATIONS = 200_000  # of the ratio of variances at its 99 % point
NODES = 128  # quadrature nodes; d agrees with 256 nodes within 4e-5 for nu >= 2


def ladder_ends(ladder: NuisanceLadder, level: Any, best: str) -> tuple[Reason, ...]:
    """That the default level's best rung ends its ladder, which was told beside any word."""
    return (LADDER_ENDS(setting=ladder.setting),) if ladder.end(level, best) else ()


class PooledContrasts(Contrasts):
    """Contrasts with the residual variance of all arms of the table, unless the paired ones differ too much.

    Each contrast then has its own paired t. What runs no more tells nothing here.
    """

    def weighted(self, name: str, weights: Mapping[str, float], ways: int = 1) -> Bound:
        """As `Contrasts.weighted`, told as pooled."""
        return replace(super().weighted(name, weights, ways), pooled=self._pooled)

    def among(self, arm: str, other: str, family: Collection[str], arms: int) -> Bound:
        """As `Contrasts.among`, pooled over the table instead of the family."""
        plain = self.over(arm, other)
        if arm == other or len(self.blocks.seeds) < 2:
            return plain
        weights = {arm: 1.0, other: -1.0}
        noise, freedom = self._noise(arm, self.per_seed(weights), weights)
        error, nu = self._with_clusters(noise / len(self.blocks.seeds), freedom, arm, weights)
        pairs = arms * (arms - 1)
        width = error * (tukey(self.alpha, arms, nu) if self._pooled else student(self.alpha / pairs, nu))
        return replace(plain, lower=plain.gain - width, upper=plain.gain + width)

    def _over_clusters(
        self, clusters: ClusterTable, name: str, weights: Mapping[str, float]
    ) -> tuple[float, float]:
        return clusters.variance(weights), clusters.freedom

    def _noise(self, name: str, gains: Floats, weights: Mapping[str, float]) -> tuple[float, float]:
        seeds = len(self.blocks.seeds)
        if not self._pooled:
            return float(gains.var(ddof=1)), seeds - 1
        size = sum(weight**2 for weight in weights.values()) / 2.0
        return size * seeds * self._error**2, (len(self.blocks.arms) - 1) * (seeds - 1)

    def _below(self, nu: float, of_clusters: float) -> float:
        return dunnett(self.alpha, self.tried, nu) if self._pooled else student(self.alpha / self.tried, nu)

    @cached_property
    def _pooled(self) -> bool:
        return len(self.blocks.seeds) > 1 and not unequal_variances(self.blocks.gains())

    @cached_property
    def _error(self) -> float:
        return pooled_error(self._quality)


def unequal_variances(gains: Floats) -> bool:
    """Whether the paired variances differ more than equal ones would in 99 % of studies."""
    k, seeds = gains.shape
    if k < 2:
        return False
    variances = gains.var(axis=1, ddof=1)
    return float(variances.max()) > variance_ratio_point(k, seeds) * float(variances.min())


@lru_cache(maxsize=256)
def variance_ratio_point(k: int, seeds: int) -> float:
    """99 % point of largest / smallest variance of k paired contrasts under equal variances.

    Simulated with a fixed seed: contrasts share the baseline, so they correlate at 0.5. Given the length of
    the baseline's noise in the S - 1 dimensions left by centring, the variances are independent noncentral
    chi-squares.
    """
    random = np.random.default_rng(20240611)
    parts = 10 * math.ceil(k / 100)  # in pieces, so that a thousand contrasts need no gigabytes
    ratios = np.concatenate([_ratios(random, k, seeds, SIMULATIONS // parts) for _ in range(parts)])
    return float(np.quantile(ratios, 0.99))


def _ratios(random: np.random.Generator, k: int, seeds: int, draws: int) -> Floats:
    shared = random.chisquare(seeds - 1, (draws, 1))
    variances = (random.standard_normal((len(shared), k)) + np.sqrt(shared)) ** 2
    if seeds > 2:
        variances += random.chisquare(seeds - 2, variances.shape)
    return np.asarray(variances.max(axis=1) / variances.min(axis=1), dtype=np.float64)


@lru_cache(maxsize=1024)
def dunnett(alpha: float, k: int, nu: float) -> float:
    """The one-sided (1 - alpha) quantile of the largest of k t statistics that share a control.

    Equal sizes, so every pair correlates at 0.5. P(max T <= d) is the mean over the control's
    normal z and the pooled standard deviation u of Phi(z + sqrt(2) d u)^k (Dunnett 1955), by
    Gauss quadrature.
    """
    low, high = student(alpha, nu), student(alpha / k, nu)
    if k == 1:
        return low
    return where_chance_is(1.0 - alpha, lambda d: _chance(d, k, nu), low, high)


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Floats, Floats, Floats, Floats]:
    """Nodes and weights for a standard normal, and for an interval from -1 to 1."""
    z, weights = np.polynomial.hermite_e.hermegauss(NODES)
    points, point_weights = np.polynomial.legendre.leggauss(NODES)
    return z, weights / np.sqrt(2.0 * np.pi), points, point_weights


def _chance(d: float, k: int, nu: float) -> float:
    z, z_weights, points, point_weights = _quadrature()
    share = 0.5 * (points + 1.0)
    u = np.sqrt(chi_square_quantile(share, nu) / nu)
    inner = normal_chance(z[None, :] + np.sqrt(2.0) * d * u[:, None]) ** k @ z_weights
    return float(0.5 * point_weights @ inner)
