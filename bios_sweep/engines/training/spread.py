"""A base model over several devices: which module lies where, and activations that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate.hooks import remove_hook_from_submodules
from torch import nn

from bios_sweep.engines.training.fit import decoder_layers
from bios_sweep.engines.training.placement import placed

Places = Mapping[str, torch.device]


def places_of(
    model: nn.Module, decoder: nn.Module, devices: Sequence[torch.device], rooms: Sequence[int]
) -> Places:
    """Module, or parameter beside them -> device, covering the model: layers in order, the rest on the first.

    model: as on the meta device, no weight is read. rooms: bytes of each device.
    """
    layers = decoder_layers(decoder)
    names = {id(module): name for name, module in model.named_modules()}
    sizes = [_bytes(layer) for layer in layers]
    rest = _bytes(model) - sum(sizes)
    found = {
        names[id(layer)]: devices[place]
        for layer, place in zip(layers, placed(sizes, rest, rooms), strict=True)
    }
    return {**_others(model, "", set(found), devices[0]), **found}


def follow(model: nn.Module, places: Places) -> None:
    """Have whatever goes into a placed module brought to its device; the model lies there already.

    In place of accelerate's hooks, which replace each module's `forward`, as folding and recomputing do.
    """
    remove_hook_from_submodules(model)
    modules = dict(model.named_modules())
    for name, device in places.items():
        if name in modules:
            modules[name].register_forward_pre_hook(_bringing(device), with_kwargs=True)


def empty_model(path: Path, kind: Any, dtype: torch.dtype) -> transformers.PreTrainedModel:
    """The model of a folder without its weights. kind: its automatic class."""
    config = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        return kind.from_config(config, dtype=dtype)  # type: ignore[no-any-return]


def _others(module: nn.Module, name: str, layers: set[str], device: torch.device) -> dict[str, torch.device]:
    """The outermost modules that hold no layer."""
    prefix = f"{name}." if name else ""
    found = {f"{prefix}{own}": device for own, _ in module.named_parameters(recurse=False)}
    for child, inner in module.named_children():
        full = f"{prefix}{child}"
        if full in layers:
            continue
        holds = any(layer.startswith(f"{full}.") for layer in layers)
        found |= _others(inner, full, layers, device) if holds else {full: device}
    return found


def _bytes(module: nn.Module) -> int:
    tensors = {id(value): value for value in (*module.parameters(), *module.buffers())}
    return sum(value.numel() * value.element_size() for value in tensors.values())


def _bringing(device: torch.device) -> Any:
    def bring(_module: nn.Module, args: Any, kwargs: Any) -> Any:
        return _moved(args, device), _moved(kwargs, device)

    return bring


def _moved(value: Any, device: torch.device) -> Any:
    """Tensors of plain containers on the device, all else as it is."""
    if isinstance(value, torch.Tensor):
        return value if value.device == device else value.to(device)
    if type(value) in (tuple, list):
        return type(value)(_moved(one, device) for one in value)
    if type(value) is dict:
        return {name: _moved(one, device) for name, one in value.items()}
    return value
