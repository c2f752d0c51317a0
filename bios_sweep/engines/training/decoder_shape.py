"""The sizes of a decoder, by its config.json: what memory and time are reckoned from. Plain arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.engines.training.blocks import (
    Block,
    Part,
    StateSpace,
    blocks_of,
    listed_blocks,
    state_space_of,
)
from bios_sweep.engines.training.linear import Linear
from bios_sweep.engines.training.sizes import first_of
from bios_sweep.engines.training.targets import chosen
from bios_sweep.errors import ConfigError
from bios_sweep.settings import ALL_LINEAR

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

NORMED_AFTER = ("gemma2", "gemma3", "gemma3_text", "gemma3n_text", "gemma4_text", "glm4")
# Model types for which transformers has attention as products with a matrix of scores between them alone.
WITH_SCORES = ("bloom", "codegen", "gemma2", "gpt_neo", "gpt_oss", "gptj", "mpt")
EAGER = "eager"  # the same of any model, as `method.attention` has it
NORMED_HEADS = ("qwen3", "gemma3", "gemma4", "olmo2", "olmo3", "exaone4", "apertus", "seed_oss")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a decoder. query, keys: widths of the projections; inner: of the MLP, all active experts'.

    blocks: what each layer is made of. gated: the MLP multiplies two projections. normed_heads: queries and
    keys have norms of their own. normed_after: what a part gives has one, too. scores: attention keeps those
    of every token for all others; capped: twice, for they go through a bound first. tied: the head is the
    input embeddings, as far as the config tells. linear: all layers that an adapter may be put on; adapted:
    those that have one.
    """

    blocks: tuple[Block, ...]
    hidden: int
    heads: int
    query: int
    keys: int
    inner: int
    gated: bool
    normed_heads: bool
    vocabulary: int
    parameters: int
    linear: tuple[Linear, ...]
    adapted: tuple[Linear, ...]
    space: StateSpace | None = None
    normed_after: bool = False
    scores: bool = False
    capped: bool = False
    tied: bool = False

    def only(self, targets: str | None) -> Shape:
        """With an adapter on what `method.targets` chooses; on all where it names what is not known here.

        targets: None where all weights learn.
        """
        if targets in (None, ALL_LINEAR):
            return self
        try:
            kept = set(chosen([one.name for one in self.linear], str(targets)))
        except ConfigError:  # names of the model's own, whose weights are not here
            return self
        return replace(self, adapted=tuple(one for one in self.linear if one.name in kept))

    @property
    def layers(self) -> int:
        """How many there are."""
        return len(self.blocks)

    def count(self, part: Part) -> int:
        """Of the layers that have it."""
        return sum(part in block for block in self.blocks)

    @property
    def numbers(self) -> int:
        """Of all linear layers' weights."""
        return sum(one.numbers for one in self.linear)

    @property
    def numbers_adapted(self) -> int:
        """Of the weights of those with an adapter."""
        return sum(one.numbers for one in self.adapted)

    @property
    def results(self) -> int:
        """Numbers that the layers with an adapter give for a token."""
        return sum(one.used * one.out for one in self.adapted)

    def adapter(self, rank: int) -> int:
        """Parameters of an adapter of that rank."""
        return sum(one.factors(rank) for one in self.adapted)

    def adapter_used(self, rank: int) -> int:
        """Those of them that a token is multiplied with: of an expert's only where it goes there."""
        return sum(one.factors(rank) * one.used // one.copies for one in self.adapted)

    @property
    def numbers_used(self) -> int:
        """Of the linear layers' weights, those that a token is multiplied with."""
        return sum(one.used * one.into * one.out for one in self.linear)

    @property
    def embeddings(self) -> int:
        """Numbers of the input embeddings and of the head, once where they are tied."""
        return (1 if self.tied else 2) * self.vocabulary * self.hidden


def shape_of(
    config: Mapping[str, Any],
    parameters: int | None,
    linear: Sequence[Linear] = (),
    attention: str | None = None,
) -> Shape | None:
    """The sizes that a config.json tells; None where it lacks one that everything hangs on.

    linear: those of the weights, as `linear_of` finds them; where none are here, as a Llama has them.
    attention: how it is computed, as `method.attention`; None: as transformers chooses.
    """
    nested = config.get("text_config")
    text = nested if isinstance(nested, Mapping) else config
    found = {name: first_of(text, keys) for name, keys in WIDTHS.items()}
    hidden, heads = found["hidden"], found["heads"]
    layers = found["layers"] or len(listed_blocks(text))
    vocabulary = first_of(text, ("vocab_size",)) or first_of(config, ("vocab_size",))
    if not (hidden and layers and vocabulary and parameters):
        return None
    heads, kind = heads or 1, str(text.get("model_type"))
    width = first_of(text, ("head_dim", "attention_head_dim")) or hidden // heads
    inner = _inner(text, found["inner"] or 4 * hidden)
    query, keys = heads * width, (first_of(text, ("num_key_value_heads",)) or heads) * width
    gated = kind not in UNGATED
    every = tuple(linear) or _as_llama(layers, hidden, query, keys, inner, gated=gated)
    return Shape(
        blocks=blocks_of(text, layers),
        hidden=hidden,
        heads=heads,
        query=query,
        keys=keys,
        inner=inner,
        gated=gated,
        normed_heads=kind.startswith(NORMED_HEADS),
        vocabulary=vocabulary,
        parameters=parameters,
        linear=every,
        adapted=every,
        space=state_space_of(text, hidden),
        normed_after=kind in NORMED_AFTER,
        scores=kind in WITH_SCORES if attention is None else attention == EAGER,
        capped=bool(text.get("attn_logit_softcapping")),
        tied=text.get("tie_word_embeddings", config.get("tie_word_embeddings")) is True,
    )


def _inner(text: Mapping[str, Any], dense: int) -> int:
    """Width of an MLP, of experts all that a token goes through. dense: of one without experts."""
    active = first_of(text, ("num_experts_per_tok", "num_experts_per_token"))
    shared = first_of(text, ("shared_intermediate_size",)) or 0  # Granite's, beside its experts or alone
    listed = listed_blocks(text)
    if not active or text.get("num_local_experts") == 0 or ("mlp" in listed and "moe" not in listed):
        return shared or dense
    return shared + active * (first_of(text, ("moe_intermediate_size",)) or dense)


def _as_llama(
    layers: int, hidden: int, query: int, keys: int, inner: int, *, gated: bool
) -> tuple[Linear, ...]:
    """Linear layers by their sizes alone, with Llama's names."""
    widths = {
        "self_attn.q_proj": (hidden, query),
        "self_attn.k_proj": (hidden, keys),
        "self_attn.v_proj": (hidden, keys),
        "self_attn.o_proj": (query, hidden),
        **({"mlp.gate_proj": (hidden, inner)} if gated else {}),
        "mlp.up_proj": (hidden, inner),
        "mlp.down_proj": (inner, hidden),
    }
    return tuple(
        Linear(name=f"layers.{layer}.{name}", into=into, out=out)
        for layer in range(layers)
        for name, (into, out) in widths.items()
    )
