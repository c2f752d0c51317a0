"""How many bytes a trial needs on its device, by the shapes in config.json: plain arithmetic, without torch.

What an autograd graph keeps per token and layer of a decoder with an adapter on every linear layer, b bytes
per number of the model's format, 4 per float32:

    two norms        2 hidden * 4 (they compute in float32) + 2 hidden * b (their results, which A reads)
    attention        2 query * b + 2 keys * b, and a float32 per head
    gated MLP        4 inner * b (gate, its activation, up, and the product that A reads); 3 without a gate
    adapter          rank * b per linear layer, nothing of one that is folded into the weight
    DoRA             2 results of each linear layer * b, which its length scales

Full fine-tuning has no adapter; each weight has a gradient and two moments in float32, one that is not
float32 a master copy and a gradient of its own format besides (see `weights`). A base in four bits takes
`NF4` bytes a number of its linear layers, and one layer at a time in the format that is computed in.

Frozen weights are kept once and no layer keeps a copy; in float32 the linear ones are kept twice where there
is room, with the adapter folded in (see `folded`). Held against what was counted through saved-tensor
hooks by tests/engines/training/test_memory.py. Kinds of layers that are otherwise (state spaces, experts) are
estimated by their sizes alone: where that is too little, the trainer halves its micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

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
WIDTHS = {
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "inner": ("intermediate_size", "n_inner", "ffn_dim", "d_ff"),
}
UNGATED = (
    "gpt2",
    "gpt_neox",
    "gptj",
    "gpt_neo",
    "gpt_bigcode",
    "codegen",
    "opt",
    "bloom",
    "mpt",
    "falcon",
    "phi",
)

NORMED_HEADS = ("qwen3", "gemma3", "gemma4", "olmo2", "olmo3", "exaone4", "apertus", "seed_oss")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a decoder. query, keys: widths of the projections; inner: of the MLP, all active experts'.

    gated: the MLP multiplies two projections. normed_heads: queries and keys have norms of their own.
    """

    layers: int
    hidden: int
    heads: int
    query: int
    keys: int
    inner: int
    gated: bool
    normed_heads: bool
    vocabulary: int
    parameters: int

    @property
    def adapted(self) -> int:
        """Numbers of the linear layers of all decoder layers."""
        return self.layers * sum(into * out for into, out in self.linear)

    @property
    def linear(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of the linear layers of one decoder layer."""
        up = (self.hidden, self.inner)
        attention = [(self.hidden, self.query), *[(self.hidden, self.keys)] * 2, (self.query, self.hidden)]
        return (*attention, *[up] * (2 if self.gated else 1), (self.inner, self.hidden))

    def adapter(self, rank: int) -> int:
        """Parameters of an adapter of that rank."""
        return self.layers * rank * sum(into + out for into, out in self.linear)

    @property
    def folded(self) -> int:
        """Bytes of all linear layers in float32 once more, with an adapter folded in."""
        return FLOAT * self.layers * sum(into * out for into, out in self.linear)

    def kept(self, rank: int, size: int) -> int:
        """Bytes that the backward pass needs per token of one layer; size: bytes per number."""
        mlp = (4 if self.gated else 3) * self.inner
        numbers = 2 * self.hidden + 2 * self.query + 2 * self.keys + mlp + rank * len(self.linear)
        norms = 2 * self.hidden
        if self.normed_heads:
            norms += self.query + self.keys
            numbers += self.query + self.keys
        return FLOAT * (norms + self.heads) + size * numbers


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes of one process on its device, by what needs them. adapter: what learns, with its optimizer."""

    weights: int
    adapter: int
    activations: int
    logits: int
    folded: int = 0

    @property
    def total(self) -> int:
        """All of it, without the reserve."""
        return self.weights + self.adapter + self.activations + self.logits + self.folded


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is to be trained at most: the longest example in tokens, the largest batch and rank.

    sequences: of an example; preference pairs have two, both of them counted in its tokens.
    method: the one that needs the most. gpus: over which the layers of one trial are spread.
    """

    tokens: int
    batch: int
    rank: int
    dtype: str
    method: str = LORA
    sequences: int = 1
    gpus: int = 1


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


def shape_of(config: Mapping[str, Any], parameters: int | None) -> Shape | None:
    """The sizes that a config.json tells; None where it lacks one that everything hangs on."""
    nested = config.get("text_config")
    text = nested if isinstance(nested, Mapping) else config
    found = {name: _first(text, keys) for name, keys in WIDTHS.items()}
    hidden, layers, heads = found["hidden"], found["layers"], found["heads"]
    vocabulary = _first(text, ("vocab_size",)) or _first(config, ("vocab_size",))
    if not (hidden and layers and vocabulary and parameters):
        return None
    heads, kind = heads or 1, str(text.get("model_type"))
    width = _first(text, ("head_dim",)) or hidden // heads
    inner = found["inner"] or 4 * hidden
    active = _first(text, ("num_experts_per_tok", "num_experts_per_token"))
    if active:
        inner = active * (_first(text, ("moe_intermediate_size",)) or inner)
    return Shape(
        layers=layers,
        hidden=hidden,
        heads=heads,
        query=heads * width,
        keys=(_first(text, ("num_key_value_heads",)) or heads) * width,
        inner=inner,
        gated=kind not in UNGATED,
        normed_heads=kind.startswith(NORMED_HEADS),
        vocabulary=vocabulary,
        parameters=parameters,
    )


def need_of(
    shape: Shape, load: Load, micro_batch_size: int, *, checkpointing: bool, folded: bool = False
) -> Need:
    """Bytes at the worst moment of a step: the end of a forward pass. folded: adapters are, into the weights.

    With checkpointing a layer keeps its input alone, and one layer at a time all that it computes.
    """
    size, tokens = FORMATS[load.dtype], micro_batch_size * load.tokens
    full, rank = load.method == FULL, 0 if load.method == FULL else load.rank
    layer = tokens * shape.kept(0 if folded else rank, size)
    if load.method == DORA:
        layer += tokens * 2 * size * sum(out for _, out in shape.linear)
    kept = shape.layers * tokens * shape.hidden * size + layer if checkpointing else shape.layers * layer
    learning = shape.parameters if full else shape.adapter(rank)
    copies = (ADAPTER_COPIES - 1 if full and size == FLOAT else ADAPTER_COPIES) * FLOAT * learning
    copied = 0 if size == FLOAT else learning * size  # gradients, or an adapter's weights, in that format
    weights = shape.parameters * size
    if load.method == QLORA:
        widest = max(into * out for into, out in shape.linear)
        weights = int((shape.parameters - shape.adapted) * size + NF4 * shape.adapted) + widest * size
    return Need(
        weights=weights,
        adapter=copies + copied,
        activations=kept,
        logits=LOGIT_COPIES * FLOAT * min(tokens * shape.vocabulary, LOGITS_AT_ONCE),
        folded=shape.folded if folded else 0,
    )


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


def _first(values: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    return next((int(values[key]) for key in keys if isinstance(values.get(key), int)), None)
