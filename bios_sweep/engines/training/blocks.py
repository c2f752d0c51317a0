"""What each layer of a decoder is made of, by its config.json: attention, an MLP, a state space. Plain.

Most decoders have attention and an MLP in every layer. Hybrids have layers of several kinds, and name them in
a list, by places, or by a period.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bios_sweep.engines.training.sizes import first_of


class Part(StrEnum):
    """One of the things that a layer adds to the residual stream."""

    ATTENTION = "attention"
    MLP = "mlp"
    SPACE = "state space"


Block = frozenset[Part]
PLAIN: Block = frozenset({Part.ATTENTION, Part.MLP})
SPACE_ALONE: Block = frozenset({Part.SPACE})
ALL_PARTS: Block = frozenset(Part)

# Model type -> layer type (of transformers 5, and as it was before) -> what such a layer is made of.
IN_TURN = {
    **dict.fromkeys(("attention", "full_attention", "sliding_attention"), PLAIN),
    **dict.fromkeys(("mamba", "linear_attention"), frozenset({Part.SPACE, Part.MLP})),
}
SHARED = {"mamba": SPACE_ALONE, "linear_attention": SPACE_ALONE, "hybrid": ALL_PARTS}
ONE_EACH = {
    **dict.fromkeys(("mamba", "linear_attention"), SPACE_ALONE),
    **dict.fromkeys(("attention", "full_attention"), frozenset({Part.ATTENTION})),
    **dict.fromkeys(("mlp", "moe"), frozenset({Part.MLP})),
}
SPACES: Mapping[str, Mapping[str, Block]] = {
    "bamba": IN_TURN,
    "granitemoehybrid": IN_TURN,
    "jamba": IN_TURN,
    "zamba": SHARED,
    "zamba2": SHARED,
    "nemotron_h": ONE_EACH,
    "falcon_h1": {},
    "falcon_mamba": {},
    "mamba": {},
    "mamba2": {},
}
OTHERWISE = {"falcon_h1": ALL_PARTS, "bamba": PLAIN, "granitemoehybrid": PLAIN, "jamba": PLAIN}


@dataclass(frozen=True, kw_only=True)
class StateSpace:
    """Sizes of a state space. inner: width of what goes through it; state: numbers kept for each of these.

    heads, groups, chunk: of the kind of Mamba 2, which computes so many tokens at once; 0 of the first kind.
    """

    inner: int
    state: int
    heads: int = 0
    groups: int = 0
    chunk: int = 0

    def padded(self, length: int) -> float:
        """How many times as many tokens as an example has are computed: chunks are filled up."""
        return -(-length // self.chunk) * self.chunk / length if self.chunk else 1.0


def blocks_of(text: Mapping[str, Any], layers: int) -> tuple[Block, ...]:
    """Of each layer what it is made of. text: the part of a config.json that is about text."""
    kind = str(text.get("model_type"))
    if kind not in SPACES:
        return (PLAIN,) * layers
    usual = OTHERWISE.get(kind, SPACE_ALONE)
    listed = listed_blocks(text) or _placed(text, layers) or [""] * layers
    return tuple(SPACES[kind].get(name, usual) for name in listed)


def listed_blocks(text: Mapping[str, Any]) -> list[str]:
    """What a config calls its layers, one by one; nothing where it has no such list."""
    listed = text.get("layers_block_type") or text.get("layer_types")
    return [str(name) for name in listed] if isinstance(listed, list) else []


def _placed(text: Mapping[str, Any], layers: int) -> list[str]:
    """Bamba says which layers have attention, Jamba each how many; nothing where it is neither."""
    places = text.get("attn_layer_indices")
    period, offset = (first_of(text, (key,)) for key in ("attn_layer_period", "attn_layer_offset"))
    if isinstance(places, list):
        return ["attention" if layer in places else "mamba" for layer in range(layers)]
    if period is not None and offset is not None:
        return ["attention" if layer % period == offset else "mamba" for layer in range(layers)]
    return []


def state_space_of(text: Mapping[str, Any], hidden: int) -> StateSpace | None:
    """The sizes of a config's state space; None where it has none, or lacks one."""
    state = first_of(text, ("mamba_d_state", "ssm_state_size", "state_size"))
    if text.get("model_type") not in SPACES or state is None:
        return None
    expand = first_of(text, ("mamba_expand", "expand")) or 2
    chunk = first_of(text, ("mamba_chunk_size", "chunk_size"))
    inner = first_of(text, ("mamba_d_ssm",)) or expand * hidden
    if chunk is None:
        return StateSpace(inner=inner, state=state)
    heads = first_of(text, ("mamba_n_heads", "mamba_num_heads", "n_mamba_heads", "num_heads")) or 1
    width = first_of(text, ("mamba_d_head", "mamba_head_dim", "mamba_headdim"))
    return StateSpace(
        inner=heads * width if width else inner,
        state=state,
        heads=heads,
        groups=first_of(text, ("mamba_n_groups", "mamba_ngroups", "n_groups")) or 1,
        chunk=chunk,
    )
