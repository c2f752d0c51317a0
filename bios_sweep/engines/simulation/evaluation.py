"""A planted evaluation set: examples in clusters, and how an arm's loss is spread over them.

What a held-out set knows of an arm is a sample of documents. Its arms differ from document to document,
and the mean of those differences over the G documents at hand is an error that more seeds do not remove.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bios_sweep.atomic import write_atomically
from bios_sweep.engines.simulation.draws import normals, wholes
from bios_sweep.sealed import digest
from bios_sweep.study.trials import EVALUATION_FILE

BYTES_PER_TOKEN = 4  # chosen, not measured: a round number near what BPE gives on English
SPREAD = 0.2  # chosen, not measured: examples differ in loss by a fifth of it, the same in every arm


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """Which examples there are. clusters: G; tokens: mean completion tokens per example."""

    noise_seed: int
    clusters: int
    examples_per_cluster: int
    tokens: int

    @cached_property
    def cluster(self) -> np.ndarray:
        """Cluster number per example, shape (N,)."""
        return np.repeat(np.arange(self.clusters), self.examples_per_cluster)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Completion tokens per example, shape (N,): half the mean up to half more than it."""
        low = max(1, self.tokens // 2)
        draw = wholes([self.noise_seed, "lengths"], len(self.cluster), low, 2 * self.tokens - low)
        return np.array(draw)

    @cached_property
    def difficulty(self) -> np.ndarray:
        """By what share of the loss each example is harder than the mean, shape (N,); weighted mean 0."""
        shares = SPREAD * np.tanh(normals([self.noise_seed, "difficulty"], len(self.cluster)))
        return np.asarray(shares - shares @ self.lengths / self.lengths.sum())

    def nats(self, loss: float, scale: float, deviations: Sequence[float]) -> np.ndarray:
        """Summed nats per example, shape (N,).

        loss: of the arm and seed, nats per token. scale: the loss that difficulty and deviations are shares
        of. deviations: how this arm differs in each cluster, percent of `scale`, shape (G,).
        """
        shares = self.difficulty + np.asarray(deviations)[self.cluster] / 100.0
        return np.asarray(self.lengths * (loss + scale * shares))

    def mean(self, nats: np.ndarray) -> float:
        """Nats per token over all tokens: what a trial reports as its loss."""
        return float(nats.sum() / self.lengths.sum())

    def save(self, nats: np.ndarray, directory: Path) -> str:
        """Write `eval.npz`, whole or not at all; returns its digest."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            nats=nats,
            tokens=self.lengths,
            bytes=self.lengths * BYTES_PER_TOKEN,
            cluster=self.cluster,
        )
        write_atomically(directory / EVALUATION_FILE, [buffer.getvalue()])
        return digest([buffer.getvalue()])
