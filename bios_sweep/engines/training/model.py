"""The base model: loaded, split where training needs it, and proved to be split rightly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from bios_sweep.engines.training.batches import MicroBatch
from bios_sweep.engines.training.device import memory_of
from bios_sweep.engines.training.four_bit import INSTALL, PACKAGE, why_not
from bios_sweep.engines.training.memory import LOGITS_AT_ONCE
from bios_sweep.engines.training.reach import Reach, reach_of
from bios_sweep.engines.training.spread import Places, empty_model, follow, places_of
from bios_sweep.engines.training.unpacked import never_packed
from bios_sweep.errors import (
    ModelError,
    poisons_its_process,
    ran_out_of_memory,
)

SOFTCAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
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
        with never_packed():
            hidden = self.decoder(input_ids=batch.input_ids, use_cache=False).last_hidden_state
        return hidden.flatten(0, 1).index_select(0, batch.sources)  # type: ignore[no-any-return]

    def _losses(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self._logits(hidden), targets, reduction="none")

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        head: Any = self.head  # some decoders keep their states in float32 whatever the format, as Mamba's
        logits: torch.Tensor = head(hidden.to(head.weight.dtype)).float()
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap


def load_base(
    path: Path,
    dtype: str,
    device: torch.device,
    attention: str | None = None,
    *,
    routed: bool = False,
    four_bit: bool = False,
    gpus: int = 1,
) -> BaseModel:
    """Load a causal language model from a local folder: safetensors only, no remote code.

    attention: by transformers' name; None for its own choice. routed: adapters are put on routers, too.
    four_bit: its linear layers are kept in four bits, and computed in `dtype`. gpus: over how many its
    layers are spread, `device` being the first; see `spread`.

    Raises:
        ModelError: it cannot be loaded, or the files lack weights (they would be random).
    """
    quantised = _in_four_bits(dtype, device) if four_bit else {}
    places = _spread(path, dtype, gpus) if gpus > 1 else {}
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
            **quantised,
            **({"device_map": dict(places)} if places else {}),
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
    model = (model if four_bit or places else model.to(device)).eval().requires_grad_(requires_grad=False)
    if places:
        follow(model, places)
    _never_repack(model)
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


def _spread(path: Path, dtype: str, gpus: int) -> Places:
    """Over the GPUs that this process sees, by their memory.

    Raises:
        ModelError: it sees fewer.
    """
    if (seen := torch.cuda.device_count()) < gpus:
        raise ModelError(
            f"cluster.gpus_per_trial={gpus}: this worker sees {seen} GPUs; check CUDA_VISIBLE_DEVICES there"
        )
    devices = [torch.device("cuda", number) for number in range(gpus)]
    model = empty_model(path, class_of(path), getattr(torch, dtype))
    return places_of(model, decoder_of(model), devices, [*map(memory_of, devices)])


def _in_four_bits(dtype: str, device: torch.device) -> dict[str, Any]:
    """What `from_pretrained` is given for a base in NF4.

    Raises:
        ModelError: bitsandbytes is not here, or cannot run on the device.
    """
    if reason := why_not():
        raise ModelError(reason)
    try:
        functional_4bit = import_module(f"{PACKAGE}.functional")  # an extra
        functional_4bit.quantize_4bit(torch.zeros(64, 64, device=device), quant_type="nf4")
    except (ImportError, RuntimeError, NotImplementedError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"method.trains=qlora: {PACKAGE} cannot run on {device} ({first}); {INSTALL}"
        ) from None
    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )
    return {"quantization_config": config, "device_map": {"": device}}


def _never_repack(model: nn.Module) -> None:
    """Keep layers of four bits as they were quantised.

    On a CPU with bfloat16 instructions bitsandbytes would lay them out anew at the first pass that needs no
    gradient, with coarser scales and for good: no gradient goes through such a layer, and one whose width
    does not divide by 64 is an error.
    """
    for module in model.modules():
        layer: Any = module
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def class_of(path: Path) -> Any:
    """Of a model that reads images too, the class that has them: its text part is trained."""
    kind = json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return transformers.AutoModelForImageTextToText
    return transformers.AutoModelForCausalLM


def decoder_of(model: transformers.PreTrainedModel) -> nn.Module:
    """The text decoder without its head; a few architectures hand out the whole language model.

    Raises:
        ModelError: what the head reads is not the decoder's last state.
    """
    if not _plain_head(model):
        raise ModelError(f"{type(model).__name__} has more than a matrix between its decoder and its logits")
    decoder: Any = model.get_decoder()
    while decoder is model or decoder.get_output_embeddings() is not None:
        decoder = decoder.model
    return decoder  # type: ignore[no-any-return]


def _plain_head(model: transformers.PreTrainedModel) -> bool:
    """Whether the head stands in the language model itself, not behind layers of a prediction head (BERT)."""
    head = model.get_output_embeddings()
    name = next(name for name, module in model.named_modules() if module is head)
    holder = model.get_submodule(name.rpartition(".")[0])
    alone = isinstance(model.get_decoder(), transformers.PreTrainedModel)
    return alone and isinstance(holder, transformers.PreTrainedModel)


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
