"""The sizes of a decoder, by its config.json: what memory and time are reckoned from. Plain arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    tied: the head is the input embeddings, as far as the config tells.
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
    tied: bool = False

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
    def results(self) -> int:
        """Numbers that the linear layers of all decoder layers give for a token."""
        return self.layers * sum(out for _, out in self.linear)

    @property
    def embeddings(self) -> int:
        """Numbers of the input embeddings and of the head, once where they are tied."""
        return (1 if self.tied else 2) * self.vocabulary * self.hidden


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
        tied=text.get("tie_word_embeddings", config.get("tie_word_embeddings")) is True,
    )


def _first(values: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    return next((int(values[key]) for key in keys if isinstance(values.get(key), int)), None)
