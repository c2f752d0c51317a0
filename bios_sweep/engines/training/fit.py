"""How a batch is cut to fit the device, and what to do where it did not: halve, then recompute.

The effective batch stays what the settings say: gradients are sums over all completion tokens of the batch,
however it is cut.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from bios_sweep.engines.training.repeatable import Kernels
from bios_sweep.errors import ran_out_of_memory

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")


class Fit:
    """How many examples go through the model in one piece, and whether its layers are computed twice.

    One per engine: what one trial found out the next need not. shrunk: each time that memory ran out.
    kernels: those that gradients are computed with. folding: there is room for folded weights, see `folded`.
    """

    def __init__(self, micro_batch_size: int, *, checkpointing: bool = False, folding: bool = True) -> None:
        self.micro_batch_size, self.checkpointing = micro_batch_size, checkpointing
        self.folding = folding
        self.shrunk: list[str] = []
        self.kernels = Kernels()

    @property
    def words(self) -> str:
        """`16 examples`, `1 example with checkpointing`."""
        examples = f"{self.micro_batch_size} example{'' if self.micro_batch_size == 1 else 's'}"
        return f"{examples} with checkpointing" if self.checkpointing else examples

    def try_within(self, work: Callable[[], Result], device: torch.device) -> Result:
        """Do what needs memory; where it runs out, again with less at a time, as long as there is less.

        Raises:
            Exception: of the work, if it is another, or if one example with checkpointing is too much.
        """
        while True:
            try:
                return self.kernels.within(work, device)
            except Exception as error:
                if not ran_out_of_memory(error) or not self._tighten():
                    raise
            # here the exception, and with it every tensor of its frames, is gone
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()

    def _tighten(self) -> bool:
        before = self.words
        if self.micro_batch_size > 1:
            self.micro_batch_size = -(-self.micro_batch_size // 2)
        elif not self.checkpointing:
            self.checkpointing, self.folding = True, False
        else:
            return False
        self.shrunk.append(f"{before} -> {self.words}")
        LOGGER.warning("out of memory with %s in one piece; going on with %s", before, self.words)
        return True


@contextmanager
def recomputed(decoder: nn.Module, *, active: Callable[[], bool]) -> Iterator[None]:
    """Inside, layers whose gradients are needed keep their input alone and are computed again for them.

    active: asked at every pass. transformers' own switch works in training mode only, which would turn on
    dropout that belongs to the base model.
    """
    layers = decoder_layers(decoder)
    for layer in layers:
        layer.forward = partial(_twice, layer.forward, active)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _twice(forward: Callable[..., Any], active: Callable[[], bool], *args: Any, **kwargs: Any) -> Any:
    if active() and torch.is_grad_enabled():
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)
    return forward(*args, **kwargs)


def decoder_layers(decoder: nn.Module) -> list[nn.Module]:
    """The layers that repeat: those of the list that holds the most parameters."""
    lists = [list(module) for module in decoder.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=_size, default=[])


def _size(layers: list[nn.Module]) -> int:
    return sum(value.numel() for layer in layers for value in layer.parameters())
