"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290): the sigmoid loss on pairs.

A pair's loss is -log sigmoid(beta * (gain of the chosen answer - gain of the rejected one)), a gain being the
log-probability of an answer over that of the reference, the untouched model. Normalised by length, gains are
divided by the tokens of their answer (as in Tülu 3, arXiv 2411.15124).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from bios_sweep.engines.training.batches import CPU, MicroBatch, collated
from bios_sweep.engines.training.model import BaseModel
from bios_sweep.engines.training.objectives.pairs import Pair
from bios_sweep.errors import ConfigError
from bios_sweep.settings import TrainingSettings

TENSORS = ("rows", "tokens", "reference")


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """Pairs that go through the model in one piece, both answers of each: rows 2k and 2k + 1 of `batch`.

    rows: (n,), each target's row. tokens, reference: (pairs, 2), those under the loss and their summed
    log-probabilities by the reference.
    """

    batch: MicroBatch
    rows: torch.Tensor
    tokens: torch.Tensor
    reference: torch.Tensor

    def ready(self) -> PairBatch:
        """In memory from which a GPU fetches by itself."""
        pinned: dict[str, Any] = {name: getattr(self, name).pin_memory() for name in TENSORS}
        return replace(self, batch=self.batch.ready(), **pinned)

    def on(self, device: torch.device) -> PairBatch:
        """On a device; nothing waits for it."""
        there: dict[str, Any] = {name: getattr(self, name).to(device, non_blocking=True) for name in TENSORS}
        return replace(self, batch=self.batch.on(device), **there)


@dataclass(frozen=True, kw_only=True)
class Dpo:
    """An `Objective` on pairs, each of which weighs the same."""

    beta: float
    length_normalised: bool = False

    def pieces(self, examples: Sequence[Pair], size: int) -> Iterator[PairBatch]:
        """Pairs of similar length together; the two answers of a pair are never apart."""
        order = sorted(range(len(examples)), key=lambda place: (examples[place].longest, place))
        for start in range(0, len(order), size):
            yield pair_batch([examples[place] for place in order[start : start + size]])

    def tokens(self, example: Pair) -> int:
        """Of both sequences; the prompt is read twice."""
        return len(example.chosen.input_ids) + len(example.rejected.input_ids)

    def weight(self, example: Pair) -> int:
        """One."""
        return 1

    def loss(self, base: BaseModel, piece: PairBatch) -> torch.Tensor:
        """Summed loss of the pairs."""
        nats = torch.zeros(2 * len(piece.reference), device=piece.rows.device)
        nats = nats.index_add(0, piece.rows, base.token_losses(piece.batch))
        gains = -nats.reshape(-1, 2) - piece.reference
        if self.length_normalised:
            gains = gains / piece.tokens
        return -functional.logsigmoid(self.beta * (gains[:, 0] - gains[:, 1])).sum()


def dpo_of(settings: TrainingSettings) -> Dpo:
    """The objective of a trial. A trial of pairs says its beta."""
    if settings.dpo_beta is None:
        raise ConfigError("method.dpo_beta: missing; preference pairs are trained on with one")
    return Dpo(beta=settings.dpo_beta, length_normalised=bool(settings.dpo_length_normalised))


def pair_batch(pairs: Sequence[Pair]) -> PairBatch:
    """Pairs as tensors, on the CPU."""
    both = [answer for pair in pairs for answer in (pair.chosen, pair.rejected)]
    counts = [answer.supervised_tokens for answer in both]
    return PairBatch(
        batch=collated(both, np.arange(len(both)), CPU),
        rows=torch.from_numpy(np.repeat(np.arange(len(both)), counts)),
        tokens=torch.tensor(counts, dtype=torch.float32).reshape(-1, 2),
        reference=torch.tensor([pair.reference for pair in pairs], dtype=torch.float32),
    )
