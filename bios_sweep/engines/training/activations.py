"""What the backward pass keeps of a decoder's layers, in bytes per token: plain arithmetic, without torch.

b bytes per number of the model's format, 4 per float32. Of each part of a layer:

    its norm         hidden * 4 (it computes in float32), and hidden * b (its result) where A reads it
    attention        2 query * b + 2 keys * b, and a float32 per head; (query + keys) * 4 if these have norms;
                     with scores of its own 4 a head and token of the example, and b for each further copy
    gated MLP        3 inner * b (gate, its activation, up), one less without a gate, and inner * b (their
                     product) where A reads it
    state space      see `_kept_of_a_space`
    adapter          rank * b per linear layer, nothing of one that is folded into the weight
    DoRA             2 results of each linear layer * b, which its length scales
    full             reads all that an adapter may, and what each norm gives before its weight, hidden * b

and of all layers the state that the last norm reads, hidden * 4; where weights of norms or the head learn,
what these read, hidden * b each. Frozen weights are kept once and no layer keeps a copy. A mixture of experts
is estimated by the sizes of those that a token goes through.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bios_sweep.engines.training.blocks import Block, Part, StateSpace
from bios_sweep.engines.training.decoder_shape import Shape
from bios_sweep.engines.training.linear import Linear
from bios_sweep.engines.training.load import FLOAT, FORMATS, Load
from bios_sweep.engines.training.targets import is_attention, is_mlp
from bios_sweep.settings import DORA, FULL


@dataclass(frozen=True, kw_only=True)
class _Read:
    """Parts whose norm's result is read by what learns, and those whose last layer learns."""

    norms: Collection[Part]
    lasts: Collection[Part]


def kept_of_layers(shape: Shape, load: Load, *, folded: bool = False) -> int:
    """Bytes that the backward pass needs per token of all layers."""
    read = _read(shape, load)
    own = sum(_kept_of(block, shape, load, read) for block in shape.blocks)
    return own - _before_what_learns(shape, load, read) + _kept_of_adapters(shape, load, folded=folded)


def kept_of_a_layer(shape: Shape, load: Load, *, folded: bool = False) -> int:
    """Of the layer that keeps the most; adapters are taken to be spread evenly."""
    read = _read(shape, load)
    own = max(_kept_of(block, shape, load, read) for block in set(shape.blocks))
    return own + _kept_of_adapters(shape, load, folded=folded) // shape.layers


def kept_at_the_end(shape: Shape, load: Load) -> int:
    """Bytes per token of what the last norm and the head read, as far as the backward pass needs it."""
    learns = 2 if load.method == FULL else int(load.embeddings)  # the norm and the head, or the head alone
    return shape.hidden * (FLOAT + learns * FORMATS[load.dtype])


def _read(shape: Shape, load: Load) -> _Read:
    if load.method == FULL:
        return _Read(norms=tuple(Part), lasts=tuple(Part))
    return _Read(
        norms={_part_of(one) for one in shape.adapted if not one.writes},
        lasts={_part_of(one) for one in shape.adapted if one.writes},
    )


def _part_of(one: Linear) -> Part:
    if is_attention(one.name):
        return Part.ATTENTION
    return Part.MLP if is_mlp(one.name) else Part.SPACE


def _kept_of_adapters(shape: Shape, load: Load, *, folded: bool) -> int:
    """Per token of all layers; experts by those that it goes through."""
    size = FORMATS[load.dtype]
    if load.method == FULL:
        return 0
    numbers = 0 if folded else load.rank * sum(one.used for one in shape.adapted)
    return size * (numbers + (2 * shape.results if load.method == DORA else 0))


def _kept_of(block: Block, shape: Shape, load: Load, read: _Read) -> int:
    """Per token of one layer, without its adapters."""
    size, full = FORMATS[load.dtype], load.method == FULL
    norms = len(block) * (2 if shape.normed_after else 1)
    numbers, singles = 0, shape.hidden * norms  # of the model's format, and float32 ones
    numbers += shape.hidden * (sum(part in read.norms for part in block) + norms * full)
    if Part.ATTENTION in block:
        numbers += 2 * shape.query + 2 * shape.keys
        singles += shape.heads
        if shape.normed_heads:
            numbers += (shape.query + shape.keys) * full
            singles += shape.query + shape.keys
        if shape.scores:
            scores = shape.heads * (load.tokens // load.sequences)
            singles += scores  # the softmax; in the model's format the same, and what is bounded
            numbers += scores * (shape.capped + (size != FLOAT))
    if Part.MLP in block:
        numbers += ((3 if shape.gated else 2) + (Part.MLP in read.lasts)) * shape.inner
    kept = FLOAT * singles + size * numbers
    if Part.SPACE in block and shape.space is not None:
        kept += _kept_of_a_space(shape.space, load, read)
    return kept


def _before_what_learns(shape: Shape, load: Load, read: _Read) -> int:
    """Per token what of the first layer nobody needs: its norm, and attention that no adapter reads for."""
    if load.method == FULL or load.embeddings:
        return 0
    if Part.ATTENTION not in shape.blocks[0] or Part.ATTENTION in read.norms:
        return FLOAT * shape.hidden
    alone = _kept_of(frozenset({Part.ATTENTION}), shape, load, read)
    given = shape.query if Part.ATTENTION in read.lasts else 0
    return alone - FORMATS[load.dtype] * given


def _kept_of_a_space(space: StateSpace, load: Load, read: _Read) -> int:
    """Per token of one layer. Counted in transformers' own torch code; fused kernels keep less.

    The first kind of Mamba has the states of all tokens. Of the second each head holds its scores, their
    decay and both multiplied for all tokens of a chunk, and B and C as its products read them, float32 and
    filled up to whole chunks.
    """
    size = FORMATS[load.dtype]
    if not space.chunk:
        return FLOAT * (3 * space.inner * space.state + 9 * space.inner)
    chunks = 3 * space.heads * space.chunk + 5 * space.heads * space.state
    chunks += 5 * space.inner + 2 * space.inner * space.state // space.chunk
    gate = 5 * space.inner + 4 * space.heads  # and the norm behind it
    own = space.inner * (1 + (Part.SPACE in read.lasts)) + 6 * space.groups * space.state
    padded = space.padded(load.tokens // load.sequences)
    return round(FLOAT * (padded * chunks + gate)) + size * own
