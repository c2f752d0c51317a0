"""How many bytes a trial needs on its device, by the shapes in config.json: plain arithmetic, without torch.

What the backward pass keeps of the layers: see `activations`. Of an adapter, and of embeddings and head where
these learn, each number has a gradient and two moments in float32. Full fine-tuning has no adapter, and the
same of every weight; one that is not float32 has a master copy and a gradient of its own format besides (see
`weights`). A base in four bits takes `NF4` bytes a number of its linear layers, and one layer at a time in
the format that is computed in. DoRA makes the whole of a layer's B A, and what it takes to have its length, a
layer at a time. In float32 the linear layers with an adapter are kept twice where there is room, with the
adapter folded in (see `folded`).

Held against what was counted through saved-tensor hooks by tests/engines/training/test_memory.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.engines.training.activations import kept_at_the_end, kept_of_a_layer, kept_of_layers
from bios_sweep.engines.training.decoder_shape import Shape
from bios_sweep.engines.training.load import FLOAT, FORMATS, Load
from bios_sweep.engines.training.placement import fullest
from bios_sweep.settings import DORA, FULL, QLORA

ADAPTER_COPIES = 4  # weight, gradient and two moments of AdamW, all float32
# Logits that are there at once, whatever the batch: 256 MiB of float32. Chosen: large enough for the matrix
# product to be at its full speed, small beside the weights of a model with such a vocabulary.
LOGITS_AT_ONCE = 2**26
NF4 = 0.5 + (1 + 4 / 256) / 64  # half a byte, and a scale of 8 bits for 64, with a float32 for 256 of them
LOGIT_COPIES = 3  # in the worst moment: log-probabilities, their gradient, and the head's own result


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


def need_of(
    shape: Shape, load: Load, micro_batch_size: int, *, checkpointing: bool, folded: bool = False
) -> Need:
    """Bytes at the worst moment of a step: the end of a forward pass. folded: adapters are, into the weights.

    With checkpointing a layer keeps its input alone, and one layer at a time all that it computes.
    """
    size, tokens, shape = FORMATS[load.dtype], micro_batch_size * load.tokens, shape.only(load.targets)
    kept = kept_of_layers(shape, load, folded=folded)
    if checkpointing:
        kept = shape.layers * shape.hidden * size + kept_of_a_layer(shape, load, folded=folded)
    return Need(
        weights=_weights(shape, load),
        adapter=_learning(shape, load),
        activations=tokens * (kept + kept_at_the_end(shape, load)),
        logits=LOGIT_COPIES * FLOAT * min(tokens * shape.vocabulary, LOGITS_AT_ONCE),
        folded=FLOAT * shape.numbers_adapted if folded else 0,
        passing=_passing(shape, load),
    )


def _weights(shape: Shape, load: Load) -> int:
    """Bytes of the base; of one in four bits with the widest layer once more, as it is computed."""
    size = FORMATS[load.dtype]
    if load.method != QLORA:
        return shape.parameters * size
    widest = max(one.into * one.out for one in shape.linear)
    return int((shape.parameters - shape.numbers) * size + NF4 * shape.numbers) + widest * size


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
    return max(
        FLOAT * one.into * (one.into + rank + one.out) + 3 * size * one.into * one.out
        for one in shape.adapted
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
