"""The base model, and the adapter that is put on it for one trial and taken off again."""

from __future__ import annotations

import json
import math
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from bios_sweep.checks import one_of
from bios_sweep.engines.training.batches import MicroBatch, uniform
from bios_sweep.engines.training.memory import LOGITS_AT_ONCE
from bios_sweep.engines.training.reach import Reach, reach_of
from bios_sweep.errors import (
    ConfigError,
    ModelError,
    StorageError,
    poisons_its_process,
    ran_out_of_memory,
)
from bios_sweep.settings import TrainingSettings

ADAPTER = "default"  # PEFT's own name for the only adapter
SOFTCAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
DEVICES = ("cpu", "cuda", "auto")
# Largest allowed gap between our logits and the model's own forward pass, as a share of the largest
# logit. Chosen: rounding stays far below it, a missing scale or cap far above.
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A frozen causal language model, split where training needs it: decoder, then output head.

    scale: of the logits (Granite, Cohere, MiniCPM, Falcon-H1), before softcap, their bound (Gemma and its
    kin), None without. vocabulary: size of the logits. reach: what an adapter is put on.
    It stays in evaluation mode: the only dropout of a trial is the adapter's own, a setting.
    """

    model: transformers.PreTrainedModel
    decoder: nn.Module
    head: nn.Module
    softcap: float | None
    vocabulary: int
    device: torch.device
    reach: Reach
    scale: float = 1.0

    @property
    def positions(self) -> int | None:
        """The longest sequence it reads; None without a limit."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    def token_losses(self, batch: MicroBatch) -> torch.Tensor:
        """Nats per completion token, shape (n,), float32.

        The head is the widest layer and most tokens belong to prompts, so it runs only where a
        completion token is predicted. No more than `LOGITS_AT_ONCE` logits are there at a time: those of
        more tokens come in pieces, and once more for their gradients.
        """
        hidden, rows = self._predicting(batch), max(1, LOGITS_AT_ONCE // self.vocabulary)
        if len(hidden) <= rows:
            return self._losses(hidden, batch.targets)
        pieces = zip(hidden.split(rows), batch.targets.split(rows), strict=True)
        losses = self._losses
        if torch.is_grad_enabled():
            losses = partial(checkpoint, self._losses, use_reentrant=False)
        return torch.cat([losses(piece, targets) for piece, targets in pieces])

    def logits(self, batch: MicroBatch) -> torch.Tensor:
        """Logits at the predicting positions, shape (n, vocabulary), float32."""
        return self._logits(self._predicting(batch))

    def _predicting(self, batch: MicroBatch) -> torch.Tensor:
        """Hidden states at the predicting positions, shape (n, width)."""
        hidden = self.decoder(input_ids=batch.input_ids, use_cache=False).last_hidden_state
        return hidden.flatten(0, 1).index_select(0, batch.sources)  # type: ignore[no-any-return]

    def _losses(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self._logits(hidden), targets, reduction="none")

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(hidden).float()
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap


def choose_device(name: str) -> torch.device:
    """The device a name stands for; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: an unknown name, or no GPU is there.
    """
    one_of("device", name, DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda was asked for but torch sees no GPU; use device=cpu or auto")
    available = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(available if name == "auto" else name)


def stay_offline_and_quiet() -> None:
    """No library call of a trial may reach the network or draw progress bars over the driver's table."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # for processes started from here
    huggingface_hub.constants.HF_HUB_OFFLINE = True  # read once at import, which lies behind us
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def make_repeatable(device: torch.device, threads: int) -> None:
    """Fix what decides the order of additions: the CPU threads, and deterministic kernels on a GPU.

    TF32 stays off, as torch has it: float32 means float32 on every device.
    """
    torch.set_num_threads(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is repeatable only with it
        torch.use_deterministic_algorithms(mode=True, warn_only=True)


def load_base(
    path: Path, dtype: str, device: torch.device, attention: str | None = None, *, routed: bool = False
) -> BaseModel:
    """Load a causal language model from a local folder: safetensors only, no remote code.

    attention: by transformers' name; None for its own choice. routed: adapters are put on routers, too.

    Raises:
        ModelError: it cannot be loaded, or the files lack weights (they would be random).
    """
    try:
        loaded: Any = class_of(path).from_pretrained(
            path,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **({} if attention is None else {"attn_implementation": attention}),
            # straight to the GPU, or a process would hold the weights twice: Ray counts no memory of the node
            **({} if device.type == "cpu" else {"device_map": {"": device}}),
        )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        if ran_out_of_memory(error) or poisons_its_process(error):
            raise  # the device's fault, not the model's
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        way = "" if attention is None else "; leave method.attention auto"
        raise ModelError(f"model {path}: transformers cannot load it ({first}){way}") from error
    model, report = loaded
    if report["missing_keys"]:
        missing = min(report["missing_keys"])
        raise ModelError(f"model {path}: its files have no weights for {missing}; download it again")
    model = model.to(device).eval().requires_grad_(requires_grad=False)
    head = model.get_output_embeddings()
    if head is None:
        raise ModelError(f"model {path}: {type(model).__name__} has no output embeddings to train against")
    decoder = decoder_of(model)
    return BaseModel(
        model=model,
        decoder=decoder,
        head=head,
        vocabulary=head.weight.shape[0],
        device=device,
        reach=reach_of(model, decoder, routed=routed),
        **logit_factors(model.config.get_text_config()),
    )


def class_of(path: Path) -> Any:
    """Of a model that reads images too, the class that has them: its text part is trained."""
    kind = json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return transformers.AutoModelForImageTextToText
    return transformers.AutoModelForCausalLM


def decoder_of(model: transformers.PreTrainedModel) -> nn.Module:
    """The text decoder without its head; a few architectures hand out the whole language model."""
    decoder: Any = model.get_decoder()
    while decoder is model or decoder.get_output_embeddings() is not None:
        decoder = decoder.model
    return decoder  # type: ignore[no-any-return]


def logit_factors(config: Any) -> dict[str, Any]:
    """`scale` and `softcap` by the text config's own factors; `verify_split` proves them on each model."""
    caps = (getattr(config, name, None) for name in SOFTCAPS)
    scale = 1.0
    if (divisor := getattr(config, "logits_scaling", None)) is not None:
        scale = 1.0 / divisor
    elif config.model_type.startswith("cohere") and config.logit_scale is not None:
        scale = config.logit_scale
    elif config.model_type == "falcon_h1":
        scale = config.lm_head_multiplier
    return {"scale": scale, "softcap": next((cap for cap in caps if cap is not None), None)}


def verify_split(base: BaseModel, batch: MicroBatch, dtype: str) -> None:
    """Prove on one padded micro-batch that decoder and head alone give the model's own logits.

    An architecture that scales its logits, masks in its own way or hides its decoder would train on
    wrong numbers without a sign.

    Raises:
        ModelError: they differ by more than rounding.
    """
    count, columns = batch.input_ids.shape
    # Input tokens per row: the last one of each row predicts its last target.
    lengths = torch.zeros(count, dtype=torch.long, device=base.device)
    ends = batch.sources % columns + 1
    lengths = lengths.scatter_reduce(0, batch.sources // columns, ends, reduce="amax")
    mask = (torch.arange(columns, device=base.device)[None] < lengths[:, None]).long()
    with torch.no_grad():
        full = base.model(input_ids=batch.input_ids, attention_mask=mask, use_cache=False).logits
        expected = full.flatten(0, 1).index_select(0, batch.sources).float()
        gap = (base.logits(batch) - expected).abs().max() / expected.abs().max().clamp(min=1.0)
    if not gap.item() <= TOLERANCE[dtype]:
        raise ModelError(
            f"model {base.model.config.name_or_path}: {type(base.model).__name__} computes its logits in a "
            f"way that is not supported (they differ by {gap.item():.1e}); use a plain decoder architecture"
        )


@contextmanager
def adapter(base: BaseModel, settings: TrainingSettings, seed: int) -> Iterator[PeftModel]:
    """A fresh LoRA adapter on what `reach` says, removed on the way out.

    Base weights are never touched, so the next trial finds the model as it was loaded.
    """
    if any(isinstance(module, LoraLayer) for module in base.model.modules()):
        raise RuntimeError("an engine trains one trial at a time; close the running one first")
    if base.reach.parameters and settings.lora_dropout:
        raise ModelError(
            f"method.lora_dropout: {type(base.model).__name__} has fused experts, for which PEFT has no "
            "dropout; use method.lora_dropout=0"
        )
    config = LoraConfig(
        task_type="CAUSAL_LM",
        **base.reach.targets,
        r=settings.lora_rank,  # type: ignore[arg-type]  # None only where nothing is adapted
        lora_alpha=settings.lora_alpha,  # type: ignore[arg-type]  # PEFT takes fractions too
        lora_dropout=settings.lora_dropout,  # type: ignore[arg-type]  # as the rank
        use_rslora=False,
        bias="none",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name it will drop
        adapted = get_peft_model(base.model, config)
    try:
        adapted.eval()
        if base.model.dtype != torch.float32:
            compute_as_the_model(adapted)
        initialise(adapted, seed)
        yield adapted
    finally:
        adapted.unload()
        base.model.requires_grad_(requires_grad=False)


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
def initialise(adapted: PeftModel, seed: int) -> None:
    """Draw every A from (seed, module name), row by row, and set every B to zero.

    The law is PEFT's: uniform within 1 / sqrt(fan_in). Rows come from one stream, so the A of a
    smaller rank is the first rows of a larger one: two ranks then differ by their rank, not by luck.
    """
    for name, module in adapted.get_base_model().named_modules():
        if isinstance(module, LoraLayer):
            layer: Any = module  # torch types a submodule's parts as tensors
            down = layer.lora_A[ADAPTER].weight
            bound = 1 / math.sqrt(down.shape[1])
            values = (2 * _draw(layer, down, seed, name) - 1) * bound
            down.copy_(torch.from_numpy(values).reshape(down.shape))
            layer.lora_B[ADAPTER].weight.zero_()


def _draw(layer: Any, down: torch.Tensor, seed: int, name: str) -> np.ndarray:
    """As many numbers in [0, 1) as an A has; each expert's from a stream of its own, so that ranks nest."""
    experts = getattr(layer, "num_experts", 1)
    if experts == 1:
        return uniform(down.numel(), "adapter", seed, name)
    each = down.numel() // experts
    return np.concatenate([uniform(each, "adapter", seed, name, expert) for expert in range(experts)])


def trainable(adapted: PeftModel) -> dict[str, nn.Parameter]:
    """The adapter's parameters by name, in the model's own order."""
    return {name: value for name, value in adapted.named_parameters() if value.requires_grad}


def save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Write the adapter in PEFT's format (safetensors), whole or not at all.

    Raises:
        StorageError: the folder cannot be written.
    """
    fresh = folder.with_name(f"{folder.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        # "auto" would ask the hub whether the base model's vocabulary had grown.
        adapted.save_pretrained(str(fresh), safe_serialization=True, save_embedding_layers=False)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except OSError as error:
        raise StorageError(f"{folder}: the adapter cannot be written ({error.strerror})") from error
