"""How many floating-point operations a trial takes, by the shapes in config.json: plain arithmetic.

N numbers of a decoder that are multiplied per token (its linear layers and the head; of experts the active
ones), a numbers of the adapter on what `method.targets` chooses, s tokens of an example, q the width of all
heads together:

    forward     2 N + 2 a, 2 s q a layer with causal attention (half of the pairs are there), and for each
                state space what its chunks are multiplied with (see `_of_spaces`)
    backward    2 N for the activations alone, since frozen weights get no gradient; 4 a; attention twice
    full        6 N in all: 2 N more for the gradients of the weights, and no adapter
    head        2 hidden * vocabulary more where embeddings and head learn beside an adapter
    DoRA        2 r in (in + out) of each layer once a micro-batch: a unit matrix goes through A and B; with
                dropout a layer's own product once more, forward and backward
    again       a forward pass, where activations are computed twice

That is an adapter beside its layer. Folded into the weight, as in float32 where it takes fewer operations,
the adapter's share is 4 a instead of 6 a, and 2 P r of each layer once a step (P = in * out).

Padding, norms, the optimizer and moving data are not counted: the utilisation stands for them. What a method
moves beyond LoRA is counted apart, as numbers that are read or written, for it takes longer than its
products: PEFT's DoRA goes over the results of a layer in sums and products of one number each, and over its
weight for the length of W + s B A; a weight in four bits is turned into numbers, forward and backward.
"""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.engines.training.blocks import Part
from bios_sweep.engines.training.decoder_shape import Shape
from bios_sweep.settings import DORA, FULL, QLORA, TrainingSettings

# Numbers that PEFT 0.21's DoRA reads or writes beyond its products, per number of a layer's result: forward
# (m - 1) x, m y, s y, and two sums; backward the same for x, y and m. Per number of a weight: s B A, its sum
# with W, and the length. Counted in peft/tuners/lora/dora.py.
DORA_FORWARD, DORA_BACKWARD, DORA_WEIGHT = 12, 17, 6
NF4_WEIGHT = 2  # written once and read once, each time that a weight is turned into numbers


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Of one trial. training and evaluation: products that fill a device; decoding: one token at a time.

    moved: numbers that are moved beyond what LoRA moves.
    """

    training: float
    evaluation: float
    decoding: float
    moved: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return self.training + self.evaluation + self.decoding


def multiplied(shape: Shape) -> int:
    """Numbers of the frozen decoder that take part in the product of one token."""
    return shape.numbers_used + shape.hidden * shape.vocabulary


def untouched(shape: Shape, length: float) -> float:
    """Operations per token of an example of that many tokens, forward, without an adapter."""
    return 2.0 * multiplied(shape) + _of_mixing(shape, length)


def _of_mixing(shape: Shape, length: float) -> float:
    """What brings the tokens of an example together: attention, and state spaces."""
    attention = 2.0 * length * shape.query * shape.count(Part.ATTENTION)
    return attention + _of_spaces(shape) * shape.count(Part.SPACE)


def _of_spaces(shape: Shape) -> float:
    """Per token of one state space's layer: into the states, out of them, and, in chunks, token by token."""
    space = shape.space
    if space is None:
        return 0.0
    within = space.chunk * (space.heads * space.state + space.inner)
    return 2.0 * (2 * space.inner * space.state + within)


def forward(shape: Shape, settings: TrainingSettings, length: float, at_once: float) -> float:
    """The same with what settings train. at_once: tokens of a micro-batch."""
    adapted = shape.only(settings.targets)
    once = untouched(shape, length) + 2.0 * adapted.adapter_used(settings.lora_rank or 0)
    return once + _of_lengths(adapted, settings, at_once)


def trained(shape: Shape, settings: TrainingSettings, length: float, at_once: float, *, twice: bool) -> float:
    """The same with the backward pass. twice: with activation checkpointing."""
    once, adapted = forward(shape, settings, length, at_once), shape.only(settings.targets)
    drops = 2.0 * adapted.numbers_adapted if settings.method == DORA and settings.lora_dropout else 0.0
    backward = untouched(shape, length) + 4.0 * adapted.adapter_used(settings.lora_rank or 0)
    backward += _of_mixing(shape, length)
    if settings.method == FULL:
        backward += 2.0 * multiplied(shape)
    elif settings.embeddings:
        backward += 2.0 * shape.hidden * shape.vocabulary
    return once + drops + backward + drops + (once + drops if twice else 0.0)


def moved(shape: Shape, settings: TrainingSettings, at_once: float) -> float:
    """Numbers that a forward pass moves beyond LoRA, per token."""
    if settings.method == DORA:
        adapted = shape.only(settings.targets)
        return DORA_FORWARD * adapted.results + DORA_WEIGHT * adapted.numbers_adapted / at_once
    return NF4_WEIGHT * shape.numbers / at_once if settings.method == QLORA else 0.0


def moved_in_training(shape: Shape, settings: TrainingSettings, at_once: float, *, twice: bool) -> float:
    """The same with the backward pass."""
    once = moved(shape, settings, at_once)
    results = shape.only(settings.targets).results
    back = DORA_BACKWARD * results if settings.method == DORA else once
    return once + back + (once if twice else 0.0)


def _of_lengths(shape: Shape, settings: TrainingSettings, at_once: float) -> float:
    """What DoRA multiplies for the lengths of weights, per token of a micro-batch."""
    if settings.method != DORA:
        return 0.0
    rank = settings.lora_rank or 0
    return sum(2.0 * rank * one.into * (one.into + one.out) for one in shape.adapted) / at_once


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
