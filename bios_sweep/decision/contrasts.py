"""Any difference of arms with its one-sided bounds, from one table of complete seed blocks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from bios_sweep.decision.bounds import Bound, moderated, paired_bound, student, unbounded
from bios_sweep.decision.clusters import ClusterTable, combined
from bios_sweep.decision.pooled import alike, pooled_error, tukey
from bios_sweep.decision.table import Blocks, Floats

LOOKS_OF_CLUSTERS = 3.0  # chosen: as many as a study plans by default (docs/statistics.md, item 5)


@dataclass(frozen=True, kw_only=True)
class Contrasts:
    """What a decision asks of a table: gains of one arm over another, and weighted sums of arms.

    blocks: baseline first, finite arms only. alpha: one-sided, already divided by the planned looks.
    tried: variations that the whole study tried. Lower bounds share alpha over them (Bonferroni), upper
    bounds are not corrected. One seed has no bounds: they are infinite. clusters: where given, bounds hold
    for data like the evaluation set, not for this set alone. looks: by how many alpha was divided. before:
    arm -> its gain over the baseline at its last look, of arms that run no more; their spread still tells of
    the noise.
    """

    blocks: Blocks
    alpha: float
    tried: int
    clusters: ClusterTable | None = None
    looks: int = 1
    before: Mapping[str, Bound] = field(default_factory=dict)

    def has(self, arm: str) -> bool:
        """Whether the arm is in the table (it never diverged)."""
        return arm in self.blocks.arms

    def over(self, arm: str, other: str, ways: int = 1) -> Bound:
        """The gain of `arm` over `other`, percent of the baseline's mean; positive = `arm` is better."""
        known = self._known.get((arm, other, ways))
        if known is None:
            known = self._known[arm, other, ways] = self._over(arm, other, ways)
        return known

    def _over(self, arm: str, other: str, ways: int) -> Bound:
        if arm == other:
            same = Bound(arm=arm, gain=0.0, lower=0.0, upper=0.0, standard_error=0.0)
            return replace(same, over=self.rival(other), seeds=len(self.blocks.seeds))
        return replace(self.weighted(arm, {arm: 1.0, other: -1.0}, ways), over=self.rival(other))

    def rival(self, arm: str) -> str:
        """What a gain is over, as `Bound.over` has it: empty for the baseline."""
        return "" if arm == self.blocks.arms[0] else arm

    def weighted(self, name: str, weights: Mapping[str, float], ways: int = 1) -> Bound:
        """The gain of an arm over a reference, which may be a weighted mean of arms, in percent.

        weights: arm -> weight, summing to 0; `name` has weight 1, the others are its reference. ways: in how
        many ways the upper bound may come out below its limit; they share alpha (Bonferroni).
        """
        gains = self.per_seed(weights)
        seeds, mean = gains.shape[0], float(gains.mean())
        if seeds < 2:
            return unbounded(name, mean)
        noise, freedom = self._noise(name, gains, weights)
        error, nu = self._with_clusters(noise / seeds, freedom, name, weights)
        of_clusters = 1.0 - noise / seeds / error**2 if self.clusters and error > 0 else 0.0
        return Bound(
            arm=name,
            gain=mean,
            lower=mean - self._below(nu, of_clusters) * error,
            upper=mean + student(self.alpha / ways, nu) * error,
            standard_error=error,
            clusters=self.clusters.count if self.clusters else 0,
            seeds=seeds,
            spread=float(gains.var(ddof=1)),
            noise=noise,
            over_clusters=self.clusters.variance(weights) if self.clusters else 0.0,
        )

    def among(self, arm: str, other: str, family: Collection[str], arms: int) -> Bound:
        """The gain of one of `arms` arms over another, its bounds holding for all their differences at once.

        family: those of them that have numbers. Tukey with their pooled error where their noise is alike,
        else the pair's own t with Bonferroni's correction.
        """
        plain = self.over(arm, other)
        seeds = len(self.blocks.seeds)
        if arm == other or seeds < 2:
            return plain
        weights, together = {arm: 1.0, other: -1.0}, self._together(frozenset(family))
        if together is not None:
            error, nu = self._with_clusters(*together, arm, weights)
            width = error * tukey(self.alpha, arms, nu)
        else:
            error, nu = self._with_clusters(plain.spread / seeds, seeds - 1, arm, weights)
            width = error * student(self.alpha / (arms * (arms - 1)), nu)  # both ends of every pair
        return replace(plain, lower=plain.gain - width, upper=plain.gain + width)

    def pooled(self, family: Collection[str]) -> bool:
        """Whether the noise of a family is alike, so that `among` is Tukey's with one error for all."""
        return self._together(frozenset(family)) is not None

    def _together(self, family: frozenset[str]) -> tuple[float, int] | None:
        """Variance of a difference within a family and its degrees of freedom; None where noise differs."""
        if family not in self._families:
            values = self._quality[[place for place, one in enumerate(self.blocks.arms) if one in family]]
            freedom = (len(values) - 1) * (len(self.blocks.seeds) - 1)
            self._families[family] = (pooled_error(values) ** 2, freedom) if alike(values) else None
        return self._families[family]

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
        rows = [weight * self._row(arm) for arm, weight in weights.items()]
        return np.asarray(np.sum(rows, axis=0), dtype=np.float64)

    def _noise(self, name: str, gains: Floats, weights: Mapping[str, float]) -> tuple[float, float]:
        """Variance of the contrast at one seed and its degrees of freedom.

        Moderated by the other arms' contrasts with the same reference.
        """
        reference = sum(weight * self._row(arm) for arm, weight in weights.items() if arm != name)
        others = [place for place, arm in enumerate(self.blocks.arms) if arm not in weights]
        spreads = (weights[name] * self._quality[others] + reference).var(axis=1, ddof=1)
        spreads = np.append(spreads, [bound.spread for bound in self._before(weights)])
        return moderated(float(gains.var(ddof=1)), spreads, gains.shape[0] - 1)

    def _before(self, weights: Mapping[str, float]) -> Collection[Bound]:
        """What arms that run no more showed against the same reference, which was the baseline."""
        return self.before.values() if len(weights) == 2 and self.blocks.arms[0] in weights else ()

    def _below(self, nu: float, of_clusters: float) -> float:
        """The quantile of the lower bound. of_clusters: what share of its variance is theirs.

        Fresh seeds meet the same clusters again, so that a candidate that these favoured is refined: of a
        study with fewer looks the lower bound has the level of three where all its error is theirs.
        """
        ways = max(1.0, (1.0 + (LOOKS_OF_CLUSTERS - 1.0) * of_clusters) / self.looks)
        return student(self.alpha / self.tried / ways, nu)

    def _with_clusters(
        self, variance: float, nu: float, name: str, weights: Mapping[str, float]
    ) -> tuple[float, float]:
        """Standard error and its degrees of freedom, from the variance over seeds."""
        if self.clusters is None:
            return math.sqrt(variance), nu
        return combined(variance, nu, *self._over_clusters(self.clusters, name, weights))

    def _over_clusters(
        self, clusters: ClusterTable, name: str, weights: Mapping[str, float]
    ) -> tuple[float, float]:
        """The variance over clusters, moderated as that over seeds is, and its degrees of freedom."""
        return clusters.moderated(name, weights, [bound.over_clusters for bound in self._before(weights)])

    def _row(self, arm: str) -> Floats:
        return np.asarray(self._quality[self.blocks.arms.index(arm)], dtype=np.float64)

    @cached_property
    def _known(self) -> dict[tuple[str, str, int], Bound]:
        """Gains that were asked for; claims of one factor ask for the same ones."""
        return {}

    @cached_property
    def _families(self) -> dict[frozenset[str], tuple[float, int] | None]:
        return {}

    @cached_property
    def _quality(self) -> Floats:
        """How much better than the baseline, shape (A, S), percent of the baseline's mean."""
        return np.vstack([np.zeros((1, len(self.blocks.seeds))), self.blocks.gains()])
