"""Evaluation error over clusters: what another evaluation set of the same kind would have said. Pure.

Examples of one document, module or conversation are alike, so the evaluation set is a sample of clusters,
not of examples (Miller 2024, arXiv 2411.00640; docs/statistics.md, item 4). Clusters are of unequal size, and
the usual robust variance is too small then (a twelfth instead of a twentieth wrong at 30 clusters whose sizes
vary by a factor of ten); the bias-reduced one with its own degrees of freedom holds from 4 clusters on
(Bell & McCaffrey 2002, "Bias reduction in standard errors for linear regression with multi-stage samples").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bios_sweep.decision.bounds import PRIOR, moderated
from bios_sweep.decision.table import Blocks, Floats

FEWEST_CLUSTERS = 4  # chosen; simulated down to 4 (docs/statistics.md, item 4), with 3 two degrees of freedom
FEW_CLUSTERS = 10  # chosen: below, the plan warns that bounds will be wide


@dataclass(frozen=True, kw_only=True)
class ClusterSums:
    """One trial's evaluation by cluster: summed nats and completion tokens, both of shape (G,).

    Of scored answers: summed scores, and the number of items.
    """

    nats: Floats
    tokens: Floats


@dataclass(frozen=True, kw_only=True)
class ClusterTable:
    """Evaluations by cluster of the arms and seeds of complete blocks.

    nats: shape (A, S, G). tokens: shape (G,), the same in every trial. arms: as in the blocks. scale:
    percent of the blocks' level per nat per token.
    """

    arms: tuple[str, ...]
    nats: Floats
    tokens: Floats
    scale: float

    @property
    def count(self) -> int:
        """Number of clusters, G."""
        return int(self.tokens.shape[0])

    @property
    def too_few(self) -> bool:
        """Whether so few clusters were drawn that nothing can be said of others of their kind."""
        return self.count < FEWEST_CLUSTERS

    def variance(self, weights: Mapping[str, float]) -> float:
        """The variance of a contrast's mean over clusters, percent squared of the baseline's mean.

        v = sum (p_g (d_g - d))^2 / h_g of the seed-averaged paired difference d_g in nats per token, with p_g
        the cluster's share of the tokens and h_g = 1 - 2 p_g + sum p^2, by which the residual of a cluster is
        smaller than its deviation (CR2); G/(G-1) sum (d_g - d)^2 / G^2 where all clusters are of one size.
        """
        return float(self._variances(self._summed(weights)[None])[0])

    def moderated(
        self, name: str, weights: Mapping[str, float], before: Sequence[float] = ()
    ) -> tuple[float, float]:
        """The variance taken for a contrast, and its degrees of freedom: as that over seeds (`bounds`).

        Four clusters tell a variance no better than four seeds do, so it leans on those of the other arms
        over the same reference; they weigh two clusters more, and no more than the arm's own. before: of arms
        that run no more.
        """
        reference = self._summed({arm: weight for arm, weight in weights.items() if arm != name})
        others = [place for place, arm in enumerate(self.arms) if arm not in weights]
        spreads = self._variances(weights[name] * self._means[others] + reference)
        told = np.append(spreads, np.asarray(before, dtype=np.float64))
        freedom = self.freedom
        return moderated(self.variance(weights), told, freedom, min(PRIOR, freedom))

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of `variance`, G - 1 where all clusters are of one size, else fewer.

        (tr M)^2 / tr M^2 for the quadratic form M that the variance is in the clusters' deviations, were
        these independent with one variance (Satterthwaite 1946; Bell & McCaffrey 2002).
        """
        p = self._shares
        a = p**2 / self._left
        total, ap, pp = a.sum(), a @ p, p @ p  # M = diag(a) - p a' - a p' + total p p'
        trace = total - 2 * ap + total * pp
        square = (
            (a @ a) * (1 + 2 * pp) + 2 * ap**2 - 4 * (a**2 @ p) + 2 * total * (a @ p**2) - 4 * total * ap * pp
        )
        return float(trace**2 / (square + (total * pp) ** 2))

    def _summed(self, weights: Mapping[str, float]) -> Floats:
        """Nats of a weighted sum of arms by cluster, mean over seeds, shape (G,)."""
        rows = [weight * self._means[self.arms.index(arm)] for arm, weight in weights.items()]
        return np.asarray(np.sum(rows, axis=0), dtype=np.float64)

    def _variances(self, summed: Floats) -> Floats:
        """Of every row of nats by cluster, shape (N, G)."""
        total = float(self.tokens.sum())
        means = summed.sum(axis=1, keepdims=True) / total
        residuals = (summed - self.tokens * means) / total  # p_g (d_g - d)
        return np.asarray((residuals**2 / self._left).sum(axis=1) * self.scale**2, dtype=np.float64)

    @cached_property
    def _means(self) -> Floats:
        return np.asarray(self.nats.mean(axis=1), dtype=np.float64)

    @property
    def _shares(self) -> Floats:
        return np.asarray(self.tokens / self.tokens.sum(), dtype=np.float64)

    @property
    def _left(self) -> Floats:
        """What is left of a cluster's variance in its residual, shape (G,)."""
        return np.asarray(1 - 2 * self._shares + self._shares @ self._shares, dtype=np.float64)


def cluster_sums(
    nats: npt.NDArray[np.floating], tokens: npt.NDArray[np.integer], cluster: npt.NDArray[np.integer]
) -> ClusterSums:
    """Sum one trial's examples, each array of shape (examples,), to their clusters.

    Clusters come in the order of their numbers, which may have gaps; one without a token says nothing
    and is left out.
    """
    _, number = np.unique(cluster, return_inverse=True)
    summed = np.bincount(number, weights=tokens).astype(np.float64)
    return ClusterSums(
        nats=np.bincount(number, weights=nats).astype(np.float64)[summed > 0], tokens=summed[summed > 0]
    )


def cluster_table(blocks: Blocks, sums: Mapping[tuple[str, int], ClusterSums]) -> ClusterTable | None:
    """The clusters of complete blocks; None where a trial's are unknown or differ."""
    needed = [[sums.get((arm, seed)) for seed in blocks.seeds] for arm in blocks.arms]
    known = [[one for one in row if one is not None] for row in needed]
    if not blocks.seeds or any(len(row) < len(blocks.seeds) for row in known):
        return None
    tokens = known[0][0].tokens
    same = all(np.array_equal(one.tokens, tokens) for row in known for one in row)
    if not same:
        return None
    return ClusterTable(
        arms=blocks.arms,
        nats=np.array([[one.nats for one in row] for row in known]),
        tokens=tokens,
        scale=100.0 / blocks.level,
    )


def combined(variance: float, nu: float, more: float, freedom: float) -> tuple[float, int]:
    """Standard error and whole degrees of freedom of two independent parts (Satterthwaite 1946).

    variance: of the mean over seeds, with nu degrees of freedom; more: over clusters, with `freedom`.
    """
    total = variance + more
    if total <= 0.0:
        return 0.0, max(1, int(nu))
    share = variance / total  # shares, so that no square of a tiny variance vanishes
    both = 1.0 / (share**2 / nu + (1.0 - share) ** 2 / freedom)
    return float(np.sqrt(total)), max(1, int(both + 1e-9))  # 39 clusters of one size leave 38, not 37.99
