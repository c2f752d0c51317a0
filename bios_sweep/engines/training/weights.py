"""Weights of the model itself, trained in place and put back; and what an optimizer steps of any model.

Weights in bfloat16 would lose updates smaller than 1/256 of themselves, so the optimizer steps float32 copies
of them (master weights), and gradients of the micro-batches are summed in float32; after each step the model
gets the copies, rounded. Float32 weights are stepped themselves.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bios_sweep.engines.training.model import BaseModel

# What makes of a folder of weights one that a tokenizer is loaded from, too.
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json"),
)


class Weights:
    """What the optimizer steps: float32, by the names of the model's parameters that learn.

    held: the parameters themselves where they are float32, else copies of them.
    """

    def __init__(self, model: nn.Module) -> None:
        own = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.held = {name: _in_float32(value) for name, value in own.items()}
        self._apart = [(own[name], held) for name, held in self.held.items() if held is not own[name]]

    @torch.no_grad()
    def gather(self) -> None:
        """Add the model's gradients to those of the copies, and let go of them."""
        for value, held in self._apart:
            if value.grad is None:
                continue
            grad = value.grad.float()
            held.grad = grad if held.grad is None else held.grad.add_(grad)
            value.grad = None

    @torch.no_grad()
    def spread(self) -> None:
        """Give the model what the optimizer made of the copies."""
        for value, held in self._apart:
            value.copy_(held)

    def forget(self) -> None:
        """Let go of the model's gradients, of a pass that did not end."""
        for value, _ in self._apart:
            value.grad = None

    @torch.no_grad()
    def restore(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Become what a checkpoint has."""
        for name, held in self.held.items():
            held.copy_(weights[name])
        self.spread()


def groups(held: Mapping[str, nn.Parameter], decay: float, *, full: bool) -> list[dict[str, Any]]:
    """For the optimizer; of a whole model matrices alone decay, as its norms and biases are scales."""
    if not (full and decay):
        return [{"params": list(held.values())}]
    flat = [value for value in held.values() if value.dim() < 2]
    matrices = [value for value in held.values() if value.dim() >= 2]
    return [{"params": matrices}, {"params": flat, "weight_decay": 0.0}]


@contextmanager
def learning(weights: Sequence[nn.Parameter]) -> Iterator[None]:
    """Weights of the model are trainable inside, and as they were on the way out, to the bit.

    What they were is kept in the node's memory meanwhile.
    """
    kept = [value.detach().to("cpu", copy=True) for value in weights]
    try:
        for value in weights:
            value.requires_grad = True
        yield
    finally:
        with torch.no_grad():
            for value, before in zip(weights, kept, strict=True):
                value.requires_grad, value.grad = False, None
                value.copy_(before)


def embeddings_of(base: BaseModel) -> list[nn.Parameter]:
    """Parameters of the input embeddings and the output head, tied ones once."""
    every = (*base.model.get_input_embeddings().parameters(), *base.head.parameters())
    return list({id(value): value for value in every}.values())


def weights_of(base: BaseModel) -> list[nn.Parameter]:
    """Parameters of decoder and head, tied ones once; without routers unless these learn.

    What is beside the decoder (a vision tower) never learns.
    """
    routers = set() if base.reach.routed else {f"{name}." for name in base.reach.routers}
    frozen = {
        id(value)
        for name, value in base.model.named_parameters()
        if any(name.startswith(router) for router in routers)
    }
    every = (*base.decoder.parameters(), *base.head.parameters())
    return list({id(value): value for value in every if id(value) not in frozen}.values())


def save_model(model: Any, folder: Path) -> None:
    """In the format of `from_pretrained` (safetensors), with the tokenizer's files."""
    model.save_pretrained(str(folder), safe_serialization=True)
    source = Path(model.config.name_or_path)
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    _without_place(folder / "config.json")


def _without_place(config: Path) -> None:
    """The folder that the base was read from is of this machine alone."""
    values = json.loads(config.read_text(encoding="utf-8"))
    if values.pop("_name_or_path", None) is not None:
        config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _in_float32(value: nn.Parameter) -> nn.Parameter:
    return value if value.dtype == torch.float32 else nn.Parameter(value.detach().float())
