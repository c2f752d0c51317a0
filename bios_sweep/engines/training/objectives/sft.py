"""Supervised fine-tuning: cross-entropy on completion tokens, each of which weighs the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from bios_sweep.engines.training.batches import CPU, MicroBatch, micro_batches
from bios_sweep.engines.training.model import BaseModel
from bios_sweep.engines.training.tokens import TokenizedExample


class Supervised:
    """An `Objective` on single sequences."""

    def pieces(self, examples: Sequence[TokenizedExample], size: int) -> Iterator[MicroBatch]:
        """Sequences of similar length together."""
        return micro_batches(examples, size, CPU)

    def tokens(self, example: TokenizedExample) -> int:
        """Of prompt and completion."""
        return len(example.input_ids)

    def weight(self, example: TokenizedExample) -> int:
        """Its tokens under the loss."""
        return example.supervised_tokens

    def loss(self, base: BaseModel, piece: MicroBatch) -> torch.Tensor:
        """Summed nats of the completion tokens."""
        return base.token_losses(piece).sum()


SFT = Supervised()
