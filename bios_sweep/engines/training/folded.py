"""How a linear layer and its adapter are multiplied: folded into one where that takes fewer operations.

PEFT's module computes x W' + s (x A') B' as three products, a scaled copy and a sum. The same numbers are had

    folded   W + s B A is computed once for a step's micro-batches, and once for an evaluation; a layer is
             then one product forward and one backward. In float32 alone: folded into bfloat16 weights, an
             adapter of 3e-4 of their size keeps 18 % of its effect, and less the smaller it is.
    beside   two products that add to the first one's result, without a copy; factors are turned into the
             model's format once a step.

Gradients of A and B are exact in both. Which it is, operations alone decide (`operations.folds`), and no
clock, so that equal arms take equal paths. Base weights are read, never written. Whatever is no plain linear
layer with a plain adapter (fused experts, routers, DoRA, layers of a few bits, dropout while it is on) is
left to PEFT's own modules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import Linear
from torch import nn
from torch.nn import functional

from bios_sweep.engines.training.operations import by_weight, folds

ADAPTER = "default"  # PEFT's own name for the only adapter
FOLDED, BESIDE, PEFTS_OWN = "folded", "beside", "as PEFT has it"
EXPERTS = ".experts."  # one of many: nothing tells how many tokens reach it


class Product:
    """The forward pass of one layer. tokens: of a step, about, which share what is folded.

    room: asked at every pass, whether there is memory for folded weights.
    """

    def __init__(self, layer: Any, tokens: float, room: Callable[[], bool]) -> None:
        self._layer, self._as_peft, self._room = layer, type(layer).forward, room
        self._weight, self._bias = layer.base_layer.weight, layer.base_layer.bias
        self._down, self._up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
        self._scale, self._dropout = layer.scaling[ADAPTER], layer.lora_dropout[ADAPTER]
        out, into = self._weight.shape
        self._cheaper = self._weight.dtype == torch.float32 and folds(tokens, into, out)
        self._made: tuple[Any, tuple[torch.Tensor, ...]] | None = None

    @property
    def way(self) -> str:
        """How the next pass is computed, unless PEFT has to."""
        return FOLDED if self._cheaper and self._room() else BESIDE

    def __call__(self, x: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        """x: (..., in); gives (..., out) in the same format."""
        layer, dropout = self._layer, self._dropout
        dropped = dropout.training and isinstance(dropout, nn.Dropout)
        if (
            layer.disable_adapters
            or layer.merged
            or dropped
            or rest
            or named
            or x.dtype != self._weight.dtype
        ):
            return self._as_peft(layer, x, *rest, **named)  # type: ignore[no-any-return]
        if self.way == FOLDED:
            (weight,) = self._once(FOLDED, self._fold)
            return _Folded.apply(x, self._down, self._up, weight, self._bias, self._scale)  # type: ignore[no-any-return, no-untyped-call]
        factors = self._once(BESIDE, self._turn)
        return _Beside.apply(x, self._down, self._up, self._weight, self._bias, self._scale, *factors)  # type: ignore[no-any-return, no-untyped-call]

    def _once(self, way: str, make: Callable[[], tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
        """What A and B make, anew where either was written since."""
        now = (way, self._down._version, self._up._version, self._down.data_ptr(), self._up.data_ptr())
        if self._made is None or self._made[0] != now:
            self._made = None  # its memory is free before it is taken again
            with torch.no_grad():
                self._made = (now, make())
        return self._made[1]

    def _fold(self) -> tuple[torch.Tensor, ...]:
        return (torch.addmm(self._weight, self._up, self._down, alpha=self._scale),)

    def _turn(self) -> tuple[torch.Tensor, ...]:
        form = self._weight.dtype
        return self._down.to(form), (self._up * self._scale).to(form)


class _Folded(torch.autograd.Function):
    """x (W + s B A)' + b: gradients of x, A and B."""

    @staticmethod
    def forward(ctx: Any, x: Any, down: Any, up: Any, weight: Any, bias: Any, scale: float) -> Any:
        """Shapes: x (..., in), down (rank, in), up (out, rank), weight (out, in) with all of it folded in."""
        ctx.save_for_backward(x, down, up, weight)
        ctx.scale = scale
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """By the way that takes fewer operations: over the gradient of the weight, or past it."""
        x, down, up, weight = ctx.saved_tensors
        grad = grads[0].reshape(-1, weight.shape[0])
        flat = x.reshape(-1, weight.shape[1])
        of_x = (grad @ weight).view_as(x) if ctx.needs_input_grad[0] else None
        if by_weight(len(flat), weight.shape[1], weight.shape[0], len(down)):
            whole = grad.T @ flat
            of_down, of_up = up.T @ whole, whole @ down.T
        else:
            of_down, of_up = (grad @ up).T @ flat, grad.T @ (flat @ down.T)
        return of_x, of_down.mul_(ctx.scale), of_up.mul_(ctx.scale), None, None, None


class _Beside(torch.autograd.Function):
    """x W' + b + (x A') (s B)': gradients of x, A and B. turned: A and s B in the format of x."""

    @staticmethod
    def forward(
        ctx: Any, x: Any, down: Any, up: Any, weight: Any, bias: Any, scale: float, *turned: Any
    ) -> Any:
        """Shapes: as of `_Folded`; the weight is the base model's own."""
        flat = x.reshape(-1, weight.shape[1])
        inner = flat @ turned[0].T
        ctx.save_for_backward(x, inner, weight, *turned)
        ctx.scale = scale
        return functional.linear(flat, weight, bias).addmm_(inner, turned[1].T).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Gradients of A and B are float32, as they are."""
        x, inner, weight, down, up = ctx.saved_tensors
        grad = grads[0].reshape(-1, weight.shape[0])
        back = grad @ up
        of_x = (grad @ weight).addmm_(back, down).view_as(x) if ctx.needs_input_grad[0] else None
        of_down = (back.T @ x.reshape(-1, weight.shape[1])).float()
        of_up = (grad.T @ inner).float().mul_(ctx.scale)
        return of_x, of_down, of_up, None, None, None, None, None


def fold(adapted: nn.Module, tokens: float, room: Callable[[], bool] = lambda: True) -> None:
    """Have the layers multiplied as said above, until `unfold` or the end of the adapter.

    tokens: of an optimizer step, about. room: whether there is memory for the folded weights, at any time.
    """
    for name, layer in adapted.named_modules():
        if _is_plain(name, layer):
            layer.forward = Product(layer, tokens, room)


def unfold(adapted: PeftModel) -> None:
    """Leave all to PEFT's own modules, and keep nothing."""
    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            vars(layer).pop("forward", None)


def ways(adapted: PeftModel) -> dict[str, int]:
    """How many adapted layers are multiplied in each way."""
    layers = (vars(layer).get("forward") for layer in adapted.modules() if isinstance(layer, LoraLayer))
    return dict(Counter(PEFTS_OWN if way is None else way.way for way in layers))


def _is_plain(name: str, layer: nn.Module) -> bool:
    """A linear layer of floating-point numbers with A and B alone."""
    if type(layer) is not Linear or EXPERTS in name or type(layer.base_layer) is not nn.Linear:
        return False
    held: Any = layer
    return (
        list(held.lora_A) == [ADAPTER]
        and not held.lora_variant
        and not held.fan_in_fan_out
        and held.lora_B[ADAPTER].bias is None
        and held.base_layer.weight.dtype in (torch.float32, torch.bfloat16)
        and held.lora_A[ADAPTER].weight.dtype == torch.float32
    )
