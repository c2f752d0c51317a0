"""What is drawn: random numbers, and a planted evaluation set, examples in clusters with an arm's loss.

A number is a pure function of what it is drawn for: no state, no order, no generator. A hash of the label is
the source, so that a trial draws the same in any process, at any try, and on any version of any library.

What a held-out set knows of an arm is a sample of documents. Its arms differ from document to document,
and the mean of those differences over the G documents at hand is an error that more seeds do not remove.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from bios_sweep.atomic import write_atomically
from bios_sweep.sealed import digest
from bios_sweep.study.trials import EVALUATION_FILE, canonical_json, short_hash

BYTES_PER_TOKEN = 4  # chosen, not measured: a round number near what BPE gives on English
SPREAD = 0.2  # chosen, not measured: examples differ in loss by a fifth of it, the same in every arm
NORMAL = NormalDist()
DIGITS = 13  # hex digits of a draw: 52 bits, exact in a float


def normal(label: Sequence[Any]) -> float:
    """One standard normal number."""
    return NORMAL.inv_cdf((int(short_hash(label, length=DIGITS), 16) + 0.5) / 16**DIGITS)


def normals(label: Sequence[Any], count: int) -> list[float]:
    """`count` independent standard normal numbers."""
    return [NORMAL.inv_cdf((number + 0.5) / 2**52) for number in _words(label, count)]


def wholes(label: Sequence[Any], count: int, low: int, high: int) -> list[int]:
    """`count` independent whole numbers, uniform from `low` to `high`, both included."""
    return [low + number * (high - low + 1) // 2**52 for number in _words(label, count)]


def _words(label: Sequence[Any], count: int) -> list[int]:
    """`count` whole numbers of 52 bits."""
    drawn = hashlib.shake_128(canonical_json(label).encode()).digest(8 * count)
    return [int.from_bytes(drawn[8 * i : 8 * i + 8], "big") >> 12 for i in range(count)]


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

    def save(self, nats: np.ndarray, directory: Path) -> str:
        """Write `eval.npz`, whole or not at all; returns its digest."""
        buffer = io.BytesIO()
        np.savez(
            buffer, nats=nats, tokens=self.lengths, bytes=self.lengths * BYTES_PER_TOKEN, cluster=self.cluster
        )
        write_atomically(directory / EVALUATION_FILE, [buffer.getvalue()])
        return digest([buffer.getvalue()])
