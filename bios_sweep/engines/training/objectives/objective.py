"""What a training loop asks of an objective, and a trial of its held-out set. Values; no loss is here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import torch

from bios_sweep.engines.training.model import BaseModel


class Piece(Protocol):
    """Examples that go through the model at once."""

    def ready(self) -> Self:
        """In memory from which a GPU fetches by itself."""

    def on(self, device: torch.device) -> Self:
        """On a device; nothing waits for it."""


class Objective(Protocol):
    """How a batch of examples becomes a loss.

    A batch's loss is the sum over its examples divided by the sum of what they weigh, however it is cut.
    """

    def pieces(self, examples: Sequence[Any], size: int) -> Iterator[Any]:
        """A batch in pieces of at most `size` examples, on the CPU."""

    def tokens(self, example: Any) -> int:
        """Tokens that the model reads for an example."""

    def weight(self, example: Any) -> int:
        """What an example weighs in the batch's mean."""

    def loss(self, base: BaseModel, piece: Any) -> torch.Tensor:
        """Summed loss of a piece that is on the model's device, a scalar in float32."""


class Figures(Protocol):
    """What a model's held-out set came to."""

    @property
    def loss(self) -> float:
        """The metric `eval_loss`."""

    @property
    def bits_per_byte(self) -> float | None:
        """Comparable between tokenizers; None where it means nothing."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Figures beside the loss, by name."""

    def save(self, directory: Path) -> str:
        """Write `eval.npz`, a loss per example; returns its digest."""


class HeldOut(Protocol):
    """The held-out examples, made once for all trials of a plan."""

    def measure(self, base: BaseModel) -> Figures:
        """The model as it stands."""
