"""How many floating-point operations a trial takes, by the shapes in config.json: plain arithmetic.

N numbers of a decoder that are multiplied per token (its linear layers and the head; of experts the active
ones), a numbers of the adapter, s tokens of an example, q the width of all heads together:

    forward     2 N + 2 a, and 2 s q a layer for causal attention (half of the pairs are there)
    backward    2 N for the activations alone, since frozen weights get no gradient; 4 a; attention twice
    full        6 N in all: 2 N more for the gradients of the weights, and no adapter
    again       a forward pass, where activations are computed twice

That is an adapter beside its layer. Folded into the weight, as in float32 where it takes fewer operations,
the adapter's share is 4 a instead of 6 a, and 2 P r of each layer once a step (P = in * out).

Padding, norms, the optimizer and moving data are not counted: the utilisation stands for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.engines.training.memory import Shape


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Of one trial. training and evaluation: products that fill a device; decoding: one token at a time."""

    training: float
    evaluation: float
    decoding: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.training + self.evaluation + self.decoding


def multiplied(shape: Shape) -> int:
    """Numbers of the frozen decoder that take part in the product of one token."""
    layer = sum(into * out for into, out in shape.linear)
    return shape.layers * layer + shape.hidden * shape.vocabulary


def forward(shape: Shape, rank: int, length: float) -> float:
    """Operations per token of an example of that many tokens."""
    attention = 2.0 * length * shape.query * shape.layers
    return 2.0 * multiplied(shape) + 2.0 * shape.adapter(rank) + attention


def trained(shape: Shape, rank: int, length: float, *, twice: bool, full: bool = False) -> float:
    """The same with the backward pass. twice: with activation checkpointing. full: all weights learn."""
    once = forward(shape, rank, length)
    backward = once + 2.0 * shape.adapter(rank) + 2.0 * length * shape.query * shape.layers
    weights = 2.0 * multiplied(shape) if full else 0.0
    return once + backward + weights + (once if twice else 0.0)


def beside(tokens: float, into: int, out: int, rank: int) -> float:
    """Of one layer and so many tokens, forward and backward, with the adapter's products beside its own."""
    return 4.0 * tokens * into * out + 6.0 * tokens * rank * (into + out)


def folded(tokens: float, into: int, out: int, rank: int) -> float:
    """The same with the adapter folded into the weight once: forward, and backward to x, A and B."""
    return 4.0 * tokens * into * out + 4.0 * tokens * rank * (into + out) + 2.0 * rank * into * out


def folds(tokens: float, into: int, out: int) -> bool:
    """Whether folding once for so many tokens takes fewer operations, which no rank decides."""
    return folded(tokens, into, out, 1) < beside(tokens, into, out, 1)


def by_weight(tokens: float, into: int, out: int, rank: int) -> bool:
    """Whether A and B get their gradients in fewer operations over the weight's: 2 t P + 4 r P < 4 t a."""
    return into * out * (tokens + 2 * rank) < 2 * tokens * rank * (into + out)
