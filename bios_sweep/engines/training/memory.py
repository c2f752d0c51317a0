"""How many bytes a trial needs on its device, by the shapes in config.json: plain arithmetic, without torch.

What an autograd graph keeps per token and layer of a decoder with an adapter on every linear layer, b bytes
per number of the model's format, 4 per float32:

    two norms        2 hidden * 4 (they compute in float32) + 2 hidden * b (their results, which A reads)
    attention        2 query * b + 2 keys * b, and a float32 per head
    gated MLP        4 inner * b (gate, its activation, up, and the product that A reads); 3 without a gate
    adapter          rank * b per linear layer, nothing of one that is folded into the weight
    DoRA             2 results of each linear layer * b, which its length scales
    full             what each norm gives before its weight, 2 hidden * b

and of all of them the state that the last norm reads, hidden * 4; where weights of norms or the head learn,
what these read, hidden * b each.

Of an adapter, and of embeddings and head where these learn, each number has a gradient and two moments in
float32. Full fine-tuning has no adapter, and the same of every weight; one that is not float32 has a master
copy and a gradient of its own format besides (see `weights`). A base in four bits takes `NF4` bytes a number
of its linear layers, and one layer at a time in the format that is computed in. DoRA makes the whole of a
layer's B A, and what it takes to have its length, a layer at a time.

Frozen weights are kept once and no layer keeps a copy; in float32 the linear ones are kept twice where there
is room, with the adapter folded in (see `folded`). Held against what was counted through saved-tensor
hooks by tests/engines/training/test_memory.py. Kinds of layers that are otherwise (state spaces, experts) are
estimated by their sizes alone: where that is too little, the trainer halves its micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.engines.training.decoder_shape import Shape
from bios_sweep.engines.training.placement import fullest
from bios_sweep.settings import DORA, FULL, LORA, QLORA

FLOAT = 4  # bytes of a float32
FORMATS = {"float32": 4, "bfloat16": 2}
ADAPTER_COPIES = 4  # weight, gradient and two moments of AdamW, all float32
# Logits that are there at once, whatever the batch: 256 MiB of float32. Chosen: large enough for the matrix
# product to be at its full speed, small beside the weights of a model with such a vocabulary.
LOGITS_AT_ONCE = 2**26
NF4 = 0.5 + (1 + 4 / 256) / 64  # half a byte, and a scale of 8 bits for 64, with a float32 for 256 of them
LOGIT_COPIES = 3  # in the worst moment: log-probabilities, their gradient, and the head's own result
LARGEST_MICRO_BATCH = 64  # chosen: beyond it a GPU is busy and padding grows
DEFAULT_MICRO_BATCH = 16  # of CPUs, whose memory is seldom the limit
MOST_SHARERS = 8  # of one device, whose arithmetic they share too; chosen, not measured
RESERVE = 0.1  # of a device, for fragments and for what the model does not count; chosen
CONTEXT_BYTES = 512 * 1024**2  # a CUDA context and cuBLAS of one process on an H100 or A100; rounded up


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes of one process on its device, by what needs them. adapter: what learns, with its optimizer.

    passing: what one layer makes and lets go of, before there are logits.
    """

    weights: int
    adapter: int
    activations: int
    logits: int
    folded: int = 0
    passing: int = 0

    @property
    def total(self) -> int:
        """All of it at the worst moment, without the reserve."""
        beside = max(self.logits, self.passing)
        return self.weights + self.adapter + self.activations + beside + self.folded


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is to be trained at most: the longest example in tokens, the largest batch and rank.

    sequences: of an example; preference pairs have two, both of them counted in its tokens.
    method: the one that needs the most. gpus: over which the layers of one trial are spread. embeddings:
    these and the head learn beside an adapter.
    """

    tokens: int
    batch: int
    rank: int
    dtype: str
    method: str = LORA
    sequences: int = 1
    gpus: int = 1
    embeddings: bool = False


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How a load is cut to fit. spare: bytes that are left; below 0 it does not fit even so.

    folded: whether there is room to fold adapters into copies of the weights, too; spare is without them.
    """

    micro_batch_size: int
    checkpointing: bool
    spare: int
    folded: bool = False

    @property
    def fits(self) -> bool:
        """Whether the model of bytes sees room for it."""
        return self.spare >= 0


def need_of(
    shape: Shape, load: Load, micro_batch_size: int, *, checkpointing: bool, folded: bool = False
) -> Need:
    """Bytes at the worst moment of a step: the end of a forward pass. folded: adapters are, into the weights.

    With checkpointing a layer keeps its input alone, and one layer at a time all that it computes.
    """
    size, tokens = FORMATS[load.dtype], micro_batch_size * load.tokens
    layer = tokens * kept_of_a_layer(shape, load, folded=folded)
    kept = shape.layers * tokens * shape.hidden * size + layer if checkpointing else shape.layers * layer
    return Need(
        weights=_weights(shape, load),
        adapter=_learning(shape, load),
        activations=kept + tokens * _kept_at_the_end(shape, load),
        logits=LOGIT_COPIES * FLOAT * min(tokens * shape.vocabulary, LOGITS_AT_ONCE),
        folded=FLOAT * shape.adapted if folded else 0,
        passing=_passing(shape, load),
    )


def kept_of_a_layer(shape: Shape, load: Load, *, folded: bool = False) -> int:
    """Bytes that the backward pass needs per token of one layer."""
    size, full = FORMATS[load.dtype], load.method == FULL
    rank = 0 if full or folded else load.rank
    mlp = (4 if shape.gated else 3) * shape.inner
    numbers = 2 * shape.hidden + 2 * shape.query + 2 * shape.keys + mlp + rank * len(shape.linear)
    norms = 2 * shape.hidden
    if shape.normed_heads:
        norms += shape.query + shape.keys
        numbers += shape.query + shape.keys
    numbers += norms if full else 0
    numbers += 2 * shape.results // shape.layers if load.method == DORA else 0
    return FLOAT * (norms + shape.heads) + size * numbers


def _kept_at_the_end(shape: Shape, load: Load) -> int:
    """Bytes per token of what the last norm and the head read, as far as the backward pass needs it."""
    learns = 2 if load.method == FULL else int(load.embeddings)  # the norm and the head, or the head alone
    return shape.hidden * (FLOAT + learns * FORMATS[load.dtype])


def _weights(shape: Shape, load: Load) -> int:
    """Bytes of the base; of one in four bits with the widest layer once more, as it is computed."""
    size = FORMATS[load.dtype]
    if load.method != QLORA:
        return shape.parameters * size
    widest = max(into * out for into, out in shape.linear)
    return int((shape.parameters - shape.adapted) * size + NF4 * shape.adapted) + widest * size


def _learning(shape: Shape, load: Load) -> int:
    """Bytes of what learns beside the base itself: gradients, moments, copies in other formats."""
    size = FORMATS[load.dtype]
    rounded = 0 if size == FLOAT else FLOAT + size  # a master copy, and a gradient of the model's own format
    of_the_base = (ADAPTER_COPIES - 1) * FLOAT + rounded
    if load.method == FULL:
        return shape.parameters * of_the_base
    adapter = shape.adapter(load.rank) + (shape.results if load.method == DORA else 0)
    copied = 0 if size == FLOAT else size  # its weights, once a step
    embeddings = shape.embeddings * of_the_base if load.embeddings else 0
    return adapter * (ADAPTER_COPIES * FLOAT + copied) + embeddings


def _passing(shape: Shape, load: Load) -> int:
    """Bytes that DoRA takes for the length of the widest layer: PEFT sends a unit matrix through A and B.

    The unit matrix and both products are float32; the weight, W + s B A and the sum's parts are the model's.
    """
    if load.method != DORA:
        return 0
    size, rank = FORMATS[load.dtype], load.rank
    return max(FLOAT * into * (into + rank + out) + 3 * size * into * out for into, out in shape.linear)


def most_on_one(shape: Shape, load: Load, need: Need) -> int:
    """Bytes on the fullest of the load's GPUs; of one GPU, all of them.

    Embeddings, head and logits are on the first one. How large the two are without being the same, a
    config.json does not always tell; both are counted.
    """
    if load.gpus == 1:
        return need.total
    outside = min(need.weights, 2 * shape.vocabulary * shape.hidden * FORMATS[load.dtype])
    of_a_layer = -(-(need.total - outside - need.logits) // shape.layers)
    return fullest([of_a_layer] * shape.layers, outside + need.logits, load.gpus)


def fitting(
    shape: Shape,
    load: Load,
    room: int,
    *,
    micro_batch_size: int | None = None,
    checkpointing: bool | None = None,
) -> Fitting:
    """The largest micro-batch that fits into so many bytes; with checkpointing only where it must be.

    Without checkpointing one example at a time is still faster than recomputing every layer. Where nothing
    fits, the least of what was tried. micro_batch_size, checkpointing: those that the user chose.
    """
    most = min(load.batch, LARGEST_MICRO_BATCH // load.sequences)
    counts = tuple(_halves(most)) if micro_batch_size is None else (micro_batch_size,)
    ways = (False, True) if checkpointing is None else (checkpointing,)
    tried = []
    for twice in ways:
        for count in counts:
            total = most_on_one(shape, load, need_of(shape, load, count, checkpointing=twice))
            found = Fitting(micro_batch_size=count, checkpointing=twice, spare=room - total)
            tried.append(replace(found, folded=_may_fold(shape, load, found, room)))
            if tried[-1].fits:
                return tried[-1]
    return tried[-1]


def _may_fold(shape: Shape, load: Load, found: Fitting, room: int) -> bool:
    """In float32 alone, and never by cutting finer: what that saves of the products, it loses elsewhere."""
    if FORMATS[load.dtype] != FLOAT:
        return False
    count, twice = found.micro_batch_size, found.checkpointing
    need = need_of(shape, load, count, checkpointing=twice, folded=True)
    return most_on_one(shape, load, need) <= room


def sharers_on(shape: Shape, load: Load, total: int, asked: Mapping[str, Any]) -> int:
    """How many trials a device of so many bytes takes without cutting any finer than one alone.

    asked: `micro_batch_size` and `checkpointing` as the user chose them, see `fitting`.
    """
    alone = fitting(shape, load, room_on(total, 1), **asked)
    if not alone.fits:
        return 1
    for sharers in range(2, MOST_SHARERS + 1):
        found = fitting(shape, load, room_on(total, sharers), **asked)
        if not found.fits or _cut(found) != _cut(alone):
            return sharers - 1
    return MOST_SHARERS


def _cut(found: Fitting) -> tuple[int, bool]:
    return found.micro_batch_size, found.checkpointing


def room_on(total: int, sharers: int) -> int:
    """Bytes that each of so many processes may take of a device, without its context and the reserve."""
    return int(total * (1 - RESERVE) / sharers) - CONTEXT_BYTES


def _halves(count: int) -> Iterator[int]:
    while count >= 1:
        yield count
        count = -(-count // 2) if count > 1 else 0
