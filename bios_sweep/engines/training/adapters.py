"""The adapter that is put on a base model for one trial, taken off again, and saved."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn import functional

from bios_sweep.engines.training.folded import ADAPTER, unfold
from bios_sweep.engines.training.initial import initial, orthogonal
from bios_sweep.engines.training.model import BaseModel
from bios_sweep.engines.training.possible import not_on_experts
from bios_sweep.engines.training.weights import embeddings_of, learning, save_model, weights_of
from bios_sweep.errors import ModelError, StorageError
from bios_sweep.settings import DORA, FULL, KAIMING, ORTHOGONAL, TrainingSettings, alpha_at


@contextmanager
def adapter(base: BaseModel, settings: TrainingSettings, seed: int) -> Iterator[Any]:
    """What a trial trains: a fresh adapter, or, with full fine-tuning, the model itself.

    Either way the next trial finds the model as it was loaded.
    """
    if any(isinstance(module, LoraLayer) for module in base.model.modules()) or any(
        value.requires_grad for value in base.model.parameters()
    ):
        raise RuntimeError("an engine trains one trial at a time; close the running one first")
    if settings.method == FULL:
        with learning(weights_of(base)):
            yield base.model
    else:
        with _adapted(base, settings, seed) as adapted, learning(_beside(base, adapted, settings)):
            yield adapted


@contextmanager
def _adapted(base: BaseModel, settings: TrainingSettings, seed: int) -> Iterator[PeftModel]:
    """A fresh adapter, of LoRA or of DoRA, on what `reach` and the settings say, removed on the way out.

    Base weights are never touched, so the next trial finds the model as it was loaded.
    """
    reach = base.reach.only(str(settings.targets))
    if reach.parameters and (reason := not_on_experts(settings)):
        raise ModelError(reason)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        **reach.targets,
        r=settings.lora_rank,  # type: ignore[arg-type]  # None only where nothing is adapted
        lora_alpha=alpha_at(settings),  # type: ignore[arg-type]  # PEFT takes fractions too
        lora_dropout=settings.lora_dropout,  # type: ignore[arg-type]  # as the rank
        use_dora=settings.method == DORA,
        use_rslora=False,  # the alpha rule is in alpha
        bias="none",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name it will drop
        adapted = get_peft_model(base.model, config)
    try:
        adapted.eval()
        if base.model.dtype != torch.float32:
            compute_as_the_model(adapted)
        initialise(adapted, seed, str(settings.init))
        yield adapted
    finally:
        unfold(adapted)
        adapted.unload()
        base.model.requires_grad_(requires_grad=False)


def _beside(base: BaseModel, adapted: PeftModel, settings: TrainingSettings) -> list[nn.Parameter]:
    """What learns beside the adapter, and is saved with it: embeddings and head where these are asked for.

    PEFT itself would train copies. A head that is tied to the embeddings is one with them, there by
    `ensure_weight_tying`.
    """
    if not settings.embeddings:
        return []
    weights = embeddings_of(base)
    embeddings: Any = base.model.get_input_embeddings()
    config: Any = adapted.peft_config[ADAPTER]
    tied = base.head.weight is embeddings.weight
    parts = [embeddings] if tied else [embeddings, base.head]
    names = [name for name, module in base.model.named_modules() if any(module is part for part in parts)]
    config.modules_to_save, config.ensure_weight_tying = [name.rpartition(".")[2] for name in names], tied
    return weights


class Factor(nn.Linear):
    """A or B of an adapter: float32 weights, and products in the number format of what goes in."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (..., in) in any format; gives (..., out) in the same."""
        return functional.linear(x, self.weight.to(x.dtype))


def compute_as_the_model(adapted: PeftModel) -> None:
    """Have the adapter compute in the model's number format; its weights and their optimizer stay float32.

    PEFT would turn every input into the adapter's format: float32 products, several times slower on a GPU,
    and a float32 copy of every layer's input kept for the backward pass. Weights in bfloat16 in turn would
    lose updates smaller than 1/256 of themselves.
    """
    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            layer.cast_input_dtype_enabled = False
            for factors in (layer.lora_A, layer.lora_B):
                held: Any = factors[ADAPTER]
                factor = Factor(held.in_features, held.out_features, bias=False, device="meta")
                factor.weight = held.weight
                factors[ADAPTER] = factor


@torch.no_grad()
def initialise(adapted: PeftModel, seed: int, law: str = KAIMING) -> None:
    """Draw every A from (seed, module name), row by row, and set every B to zero; see `initial` for others.

    Rows come from one stream, so the A of a smaller rank is the first rows of a larger one: two ranks then
    differ by their rank, not by luck.
    """
    for name, module in adapted.get_base_model().named_modules():
        if isinstance(module, LoraLayer):
            layer: Any = module  # torch types a submodule's parts as tensors
            down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
            if law == ORTHOGONAL:
                parts = orthogonal(down.shape, up.shape, seed, name)
                for weight, values in zip((down, up), parts, strict=True):
                    weight.copy_(torch.from_numpy(values))
                continue
            experts = getattr(layer, "num_experts", 1)
            values = initial(law, down.shape, layer.r[ADAPTER], experts, ("adapter", seed, name))
            down.copy_(torch.from_numpy(values).reshape(down.shape))
            up.zero_()


def trainable(adapted: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that learn by name, in the model's own order."""
    return {name: value for name, value in adapted.named_parameters() if value.requires_grad}


def save_adapter(adapted: Any, folder: Path) -> None:
    """Write what was trained in PEFT's format, or a whole model in transformers', whole or not at all.

    Raises:
        StorageError: the folder cannot be written.
    """
    fresh = folder.with_name(f"{folder.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        if isinstance(adapted, PeftModel):
            # "auto" would ask the hub whether the base model's vocabulary had grown.
            config: Any = adapted.peft_config[ADAPTER]
            whole = bool(config.modules_to_save)
            adapted.save_pretrained(str(fresh), safe_serialization=True, save_embedding_layers=whole)
        else:
            save_model(adapted, fresh)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except OSError as error:
        raise StorageError(f"{folder}: what was trained cannot be written ({error.strerror})") from error
