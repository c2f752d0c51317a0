"""The linear layers of a decoder that an adapter may be put on: by the headers of its weights. Light.

Where no weights are here they follow from the sizes in config.json, see `decoder_shape`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bios_sweep.engines.training.architectures import experts_of, text_of
from bios_sweep.engines.training.facts import weight_files
from bios_sweep.engines.training.headers import shapes_in
from bios_sweep.errors import ModelError

WEIGHT = ".weight"
MATRIX, MATRICES = 2, 3  # dimensions of a layer's weight, and of those of all experts in one
# The names of embeddings, heads and norms, and of what lies beside a text decoder.
UNADAPTED = re.compile(r"(?<!un)embed|lm_head|^head$|wte|wpe|norm|vision|visual|audio|projector|\bmtp\.")
# State spaces that read the weights of these layers past their modules, and any adapter: out_proj in a fused
# kernel, for which PEFT refuses it, and dt_proj in transformers' own code. Others read out_proj so in
# training mode alone (Bamba, Zamba 2), in which no base model of ours is.
READ_PAST = {
    "falcon_h1": ("out_proj",),
    "falcon_mamba": ("out_proj", "dt_proj"),
    "jamba": ("dt_proj",),
    "mamba": ("out_proj", "dt_proj"),
    "mamba2": ("out_proj",),
    "nemotron_h": ("out_proj",),
}
ROUTER_NAMES = ("gate", "router", "wg", "shared_expert_gate")
ONE_OF_MANY = re.compile(r"\bexperts\.\d+\.")  # an expert with a weight of its own
# The last parts of names of those that write to the residual stream; all others read a norm's result.
WRITERS = (
    "o_proj", "out_proj", "down_proj", "c_proj", "fc2", "fc_out", "dense", "dense_4h_to_h", "output_linear",
    "w2", "wo",
)  # fmt: skip


GATES, UPS = ("gate_proj", "w1"), ("up_proj", "w3")  # of experts; files name the gate first


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A linear layer, or all experts of a layer that are shaped so.

    name: full, without the number of an expert. copies: experts.
    used: how many of these a token goes through.
    """

    name: str
    into: int
    out: int
    copies: int = 1
    used: int = 1

    @property
    def numbers(self) -> int:
        """Of its weight."""
        return self.copies * self.into * self.out

    def factors(self, rank: int) -> int:
        """Numbers of the A and B of an adapter of that rank."""
        return self.copies * rank * (self.into + self.out)

    @property
    def leaf(self) -> str:
        """The last part of its name."""
        return self.name.rpartition(".")[2]

    @property
    def writes(self) -> bool:
        """Whether its result goes back to the residual stream."""
        return self.leaf in WRITERS


def linear_of(folder: Path, config: Mapping[str, Any]) -> tuple[Linear, ...]:
    """All that an adapter reaches of a model's decoder; nothing of a model whose weights are not here."""
    try:
        shapes = {name: shape for path in weight_files(folder) for name, shape in shapes_in(path).items()}
    except ModelError:
        return ()
    experts = experts_of(text_of(config))
    left = READ_PAST.get(str(config.get("model_type")), ())
    found = Counter(_named(shapes, experts, {*left, *(ROUTER_NAMES if experts else ())}))
    used = text_of(config).get("num_experts_per_tok") or text_of(config).get("num_experts_per_token") or 1
    every = (
        Linear(name=name, into=into, out=out, copies=many, used=min(many, int(used)) if many > 1 else 1)
        for (name, into, out, copies), times in found.items()
        for many in (copies * times,)
    )
    return tuple(_fused(every))


def _fused(every: Iterable[Linear]) -> Iterator[Linear]:
    """As transformers has experts that have a weight each in the files: gate and up as one matrix."""
    gates = {}
    for one in every:
        of_experts = one.name.rpartition(".")[0]
        if one.copies > 1 and one.leaf in GATES:
            gates[of_experts] = one
        elif one.copies > 1 and one.leaf in UPS and of_experts in gates:
            yield replace(one, name=f"{of_experts}.gate_up_proj", out=2 * one.out)
        else:
            yield one


def _named(
    shapes: Mapping[str, tuple[int, ...]], experts: int, left: Set[str]
) -> Iterator[tuple[str, int, int, int]]:
    """(name, in, out, copies) of each weight; experts that have one each come under one name."""
    for full, shape in shapes.items():
        name = ONE_OF_MANY.sub("experts.", full.removesuffix(WEIGHT))
        if UNADAPTED.search(name) or not left.isdisjoint(name.split(".")):
            continue
        if full.endswith(WEIGHT) and len(shape) == MATRIX:
            yield name, shape[1], shape[0], 1
        elif experts and len(shape) == MATRICES and shape[0] == experts and min(shape[1:]) > 1:
            yield name, shape[2], shape[1], experts
