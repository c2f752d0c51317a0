"""Any difference of arms with its one-sided bounds, from one table of complete seed blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bios_sweep.decision.bounds import (
    Bound,
    dunnett,
    paired_bound,
    pooled_error,
    student,
    tukey,
    unequal_variances,
)
from bios_sweep.decision.clusters import ClusterTable, combined
from bios_sweep.decision.table import Blocks, Floats


@dataclass(frozen=True, kw_only=True)
class Contrasts:
    """What a decision asks of a table: gains of one arm over another, and weighted sums of arms.

    blocks: baseline first, finite arms only. alpha: one-sided, already divided by the planned looks.
    tried: variations that the whole study tried. Lower bounds carry Dunnett's correction for them,
    upper bounds none. One seed has no bounds: they are infinite. clusters: where given, bounds hold for
    data like the evaluation set, not for this set alone.
    """

    blocks: Blocks
    alpha: float
    tried: int
    clusters: ClusterTable | None = None

    def has(self, arm: str) -> bool:
        """Whether the arm is in the table (it never diverged)."""
        return arm in self.blocks.arms

    def over(self, arm: str, other: str, ways: int = 1) -> Bound:
        """The gain of `arm` over `other`, percent of the baseline's mean; positive = `arm` is better."""
        if arm == other:
            same = Bound(arm=arm, gain=0.0, lower=0.0, upper=0.0, standard_error=0.0, pooled=self._pooled)
            return replace(same, over=self.rival(other))
        return replace(self.weighted(arm, {arm: 1.0, other: -1.0}, ways), over=self.rival(other))

    def rival(self, arm: str) -> str:
        """What a gain is over, as `Bound.over` has it: empty for the baseline."""
        return "" if arm == self.blocks.arms[0] else arm

    def weighted(self, name: str, weights: Mapping[str, float], ways: int = 1) -> Bound:
        """The gain of a contrast: the sum of weight times quality over arms, in percent.

        weights: arm -> weight, summing to 0. With equal variances the standard error is
        s sqrt(sum of squared weights / S), s pooled over the study; else the contrast's own. ways: in how
        many ways the upper bound may come out below its limit; they share alpha (Bonferroni).
        """
        gains = self.per_seed(weights)
        seeds, mean = gains.shape[0], float(gains.mean())
        if seeds < 2:
            return Bound(
                arm=name, gain=mean, lower=-np.inf, upper=np.inf, standard_error=np.inf, pooled=False
            )
        error, nu = self._error(gains, weights)
        return Bound(
            arm=name,
            gain=mean,
            lower=mean - self._below(nu) * error,
            upper=mean + student(self.alpha / ways, nu) * error,
            standard_error=error,
            pooled=self._pooled,
            clusters=self.clusters.count if self.clusters else 0,
        )

    def among(self, arm: str, other: str, arms: int) -> Bound:
        """The gain of one of `arms` arms over another, its bounds holding for all their differences at once.

        Tukey with the pooled variance, else the pair's own t with Bonferroni's correction; both with the
        degrees of freedom of the pair's standard error.
        """
        plain = self.over(arm, other)
        if arm == other or len(self.blocks.seeds) < 2:
            return plain
        weights = {arm: 1.0, other: -1.0}
        error, nu = self._error(self.per_seed(weights), weights)
        pairs = arms * (arms - 1)  # both ends of every pair
        width = error * (tukey(self.alpha, arms, nu) if self._pooled else student(self.alpha / pairs, nu))
        return replace(plain, lower=plain.gain - width, upper=plain.gain + width)

    def own(self, name: str, gains: Floats) -> Bound:
        """The bound of any quantity per seed, shape (S,), from its own spread; for one planned question."""
        return paired_bound(name, gains, self.alpha)

    def per_seed(self, weights: Mapping[str, float]) -> Floats:
        """The contrast at every seed, shape (S,), percent of the baseline's mean.

        Raises:
            ValueError: the weights do not sum to 0, so that the contrast would not be a difference.
        """
        total = sum(weights.values())
        if abs(total) > 1e-9:
            raise ValueError(f"the weights of a contrast sum to 0, not {total:g}")
        baseline = self.blocks.values[0]
        scale = 100.0 * self.blocks.metric.sign / abs(float(baseline.mean()))
        rows = [weight * (self._row(arm) - baseline) for arm, weight in weights.items()]
        return np.asarray(scale * np.sum(rows, axis=0), dtype=np.float64)

    def _row(self, arm: str) -> Floats:
        return np.asarray(self.blocks.values[self.blocks.arms.index(arm)], dtype=np.float64)

    def _error(self, gains: Floats, weights: Mapping[str, float]) -> tuple[float, int]:
        """Standard error and its degrees of freedom."""
        seeds = gains.shape[0]
        if self._pooled:
            nu = (len(self.blocks.arms) - 1) * (seeds - 1)
            size = float(np.sqrt(sum(weight**2 for weight in weights.values()) / 2.0))
            error = size * self._difference_error
        else:
            nu, error = seeds - 1, float(gains.std(ddof=1) / np.sqrt(seeds))
        if self.clusters is None:
            return error, nu
        return combined(error**2, nu, self.clusters.variance(weights), self.clusters.freedom)

    def _below(self, nu: int) -> float:
        """The quantile of the lower bound: Dunnett's, or Bonferroni's where variances differ."""
        return dunnett(self.alpha, self.tried, nu) if self._pooled else student(self.alpha / self.tried, nu)

    @cached_property
    def _pooled(self) -> bool:
        return not unequal_variances(self.blocks.gains())

    @cached_property
    def _difference_error(self) -> float:
        return pooled_error(self.blocks)
