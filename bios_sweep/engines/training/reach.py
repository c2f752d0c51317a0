"""What an adapter is put on: linear layers of the text decoder, fused experts, routers where asked for.

A router that learns beside its experts unbalances them, and a vision tower never sees a gradient from text.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import transformers
from peft import LoraConfig
from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
from torch import nn
from transformers.pytorch_utils import Conv1D

from bios_sweep.engines.training.architectures import experts_of
from bios_sweep.engines.training.linear import READ_PAST, ROUTER_NAMES
from bios_sweep.engines.training.targets import chosen, leaves
from bios_sweep.settings import ALL_LINEAR

ALL = "all-linear"  # PEFT's word for every linear layer but the head


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Full names of modules and parameters.

    linear, experts: adapted. by_weight: of the linear those whose weights are named, for PEFT takes the names
    of the layers for those of experts. routers: adapted if `routed`. left: not adapted, for a fused kernel
    reads past them. outside: beside the text decoder. unchosen: linear and experts that could be adapted.
    """

    linear: tuple[str, ...]
    experts: tuple[str, ...]
    routers: tuple[str, ...]
    left: tuple[str, ...]
    outside: tuple[str, ...]
    by_weight: tuple[str, ...] = ()
    routed: bool = False
    unchosen: tuple[str, ...] = ()

    def only(self, targets: str) -> Reach:
        """What of it `method.targets` chooses.

        Raises:
            ConfigError: it reaches nothing, or a name is none of the model's.
        """
        if targets == ALL_LINEAR:
            return self
        kept = set(chosen((*self.linear, *self.experts), targets))
        return replace(
            self,
            linear=tuple(name for name in self.linear if name in kept),
            experts=tuple(name for name in self.experts if name in kept),
            by_weight=tuple(name for name in self.by_weight if name in kept),
            unchosen=tuple(name for name in (*self.linear, *self.experts) if name not in kept),
        )

    @property
    def targets(self) -> dict[str, Any]:
        """What `LoraConfig` is given; last parts of names where these say as much as all of them."""
        beside, named = (*self.experts, *self.routers, *self.left, *self.outside), set(self.by_weight)
        if not (beside or self.unchosen):
            return {"target_modules": ALL}
        linear = [name for name in self.linear if name not in named]
        if not (beside or named or set(leaves(linear)) & set(leaves(self.unchosen))):
            linear = list(leaves(linear))
        return {"target_modules": linear, "target_parameters": list(self.parameters) or None}

    @property
    def parameters(self) -> tuple[str, ...]:
        """What is adapted by the names of its parameters, for which PEFT has no dropout."""
        weights = (*self.by_weight, *(self.routers if self.routed else ()))
        return (*self.experts, *(f"{name}.weight" for name in weights))


def reach_of(model: transformers.PreTrainedModel, decoder: nn.Module, *, routed: bool = False) -> Reach:
    """What an adapter reaches of a model that has none yet. routed: routers, too."""
    inside = {id(module) for module in decoder.modules()}
    head, count = model.get_output_embeddings(), experts_of(model.config.get_text_config())
    linear, routers, outside = [], [], []
    for name, module in model.named_modules():
        if module is head or not isinstance(module, nn.Linear | Conv1D):
            if count and _is_router(name, module, count):
                routers.append(name)
            continue
        if id(module) not in inside:
            outside.append(name)
        elif count and _is_router(name, module, count):
            routers.append(name)
        else:
            linear.append(name)
    experts = [name for name, value in decoder.named_parameters() if count and _is_fused(value, count)]
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    by_weight = [name for name in linear if experts and _read_otherwise(name, model)]
    past = READ_PAST.get(model.config.model_type, ())
    left = [name for name in linear if name.rpartition(".")[2] in past]
    linear = [name for name in linear if name not in set(left)]
    return Reach(
        linear=tuple(linear),
        experts=tuple(f"{prefix}.{name}" for name in experts),
        routers=tuple(routers),
        left=tuple(left),
        outside=tuple(outside),
        by_weight=tuple(by_weight),
        routed=routed,
    )


def _is_fused(value: nn.Parameter, count: int) -> bool:
    """A matrix per expert; the weight of a convolution has three dimensions too."""
    return value.dim() == 3 and value.shape[0] == count and min(value.shape[1:]) > 1


def _is_router(name: str, module: nn.Module, count: int) -> bool:
    """By what it gives: one number per expert, or one for a shared expert."""
    weight = getattr(module, "weight", None)
    wide = weight is not None and weight.dim() == 2 and weight.shape[0] in (1, count)
    return wide and (name.rpartition(".")[2] in ROUTER_NAMES or "Router" in type(module).__name__)


def _read_otherwise(name: str, model: transformers.PreTrainedModel) -> bool:
    """Whether PEFT takes the module's name for that of experts as transformers 4 had them."""
    config = LoraConfig(target_modules=[name])
    asked = deepcopy(config.target_modules)
    try:
        convert_peft_config_for_transformers(config, model, None)
    except ValueError:
        return True
    return bool(config.target_modules != asked)
