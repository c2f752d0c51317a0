"""Evaluation error over clusters: what another evaluation set of the same kind would have said. Pure.

Examples of one document, module or conversation are alike, so the evaluation set is a sample of clusters,
not of examples (Miller 2024, arXiv 2411.00640; docs/statistics.md, item 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bios_sweep.decision.table import Blocks, Floats

FEWEST_CLUSTERS = 10  # chosen, not measured: with fewer the spread between clusters is hardly known


@dataclass(frozen=True, kw_only=True)
class ClusterSums:
    """One trial's evaluation by cluster: summed nats and completion tokens, both of shape (G,)."""

    nats: Floats
    tokens: Floats


@dataclass(frozen=True, kw_only=True)
class ClusterTable:
    """Evaluations by cluster of the arms and seeds of complete blocks.

    nats: shape (A, S, G). tokens: shape (G,), the same in every trial. arms: as in the blocks. scale:
    percent of the baseline's mean per nat per token.
    """

    arms: tuple[str, ...]
    nats: Floats
    tokens: Floats
    scale: float

    @property
    def count(self) -> int:
        """Number of clusters, G."""
        return int(self.tokens.shape[0])

    def variance(self, weights: Mapping[str, float]) -> float:
        """The variance of a contrast's mean over clusters, percent squared of the baseline's mean.

        v = G/(G-1) sum (w_g (d_g - d))^2 / (sum w)^2 of the seed-averaged paired difference d_g in nats per
        token, w_g the cluster's tokens.
        """
        summed = np.zeros(self.count)
        for arm, weight in weights.items():
            summed += weight * self.nats[self.arms.index(arm)].mean(axis=0)
        total = float(self.tokens.sum())
        deviations = summed - self.tokens * (float(summed.sum()) / total)  # w_g (d_g - d)
        count = self.count
        return float(count / (count - 1) * (deviations**2).sum() / total**2) * self.scale**2


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
    """The clusters of complete blocks; None where a trial's are unknown, differ, or are too few."""
    needed = [[sums.get((arm, seed)) for seed in blocks.seeds] for arm in blocks.arms]
    known = [[one for one in row if one is not None] for row in needed]
    if not blocks.seeds or any(len(row) < len(blocks.seeds) for row in known):
        return None
    tokens = known[0][0].tokens
    same = all(np.array_equal(one.tokens, tokens) for row in known for one in row)
    if not same or tokens.shape[0] < FEWEST_CLUSTERS:
        return None
    return ClusterTable(
        arms=blocks.arms,
        nats=np.array([[one.nats for one in row] for row in known]),
        tokens=tokens,
        scale=100.0 / abs(float(blocks.values[0].mean())),
    )


def combined(variance: float, nu: float, more: float, clusters: int) -> tuple[float, int]:
    """Standard error and whole degrees of freedom of two independent parts (Satterthwaite 1946).

    variance: of the mean over seeds, with nu degrees of freedom; more: over clusters, with G - 1.
    """
    total = variance + more
    if total <= 0.0:
        return 0.0, max(1, int(nu))
    share = variance / total  # shares, so that no square of a tiny variance vanishes
    freedom = 1.0 / (share**2 / nu + (1.0 - share) ** 2 / (clusters - 1))
    return float(np.sqrt(total)), max(1, int(freedom))
