"""The same training by other trainers: transformers' Trainer and TRL's SFTTrainer, each with its own loop.

They are given rows in the order in which the engine's batches see them, its first adapter, and its settings;
tokens and what is under the loss are their own business. What comes back is their loss of each step and the
adapter that they end with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model

from bios_sweep.engines.training.adapters import adapter, save_adapter, trainable
from bios_sweep.engines.training.batches import batch_indices
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.loop import Training
from bios_sweep.engines.training.model import load_base
from bios_sweep.settings import TrainingSettings

IGNORED = -100
PIECE = 3  # examples that go through a model at once: several make a batch


@dataclass(frozen=True, kw_only=True)
class Trained:
    """losses: nats per token under the loss, of each step; adapter: weights in the end, by PEFT's names."""

    losses: list[float]
    adapter: dict[str, torch.Tensor]


def engine(
    folder: Path, settings: TrainingSettings, seed: int, examples: Any, keep: Path, *, folding: bool = True
) -> Trained:
    """By the engine; `keep/first` and `keep/last` hold its adapter before and after."""
    base = load_base(folder, settings.dtype, torch.device("cpu"))
    with adapter(base, settings, seed) as adapted:
        save_adapter(adapted, keep / "first")
        training = Training(base, adapted, settings, seed, examples, Fit(PIECE, folding=folding))
        losses = []
        for step in range(1, settings.max_steps + 1):
            losses.append(training.advance(step))
        save_adapter(adapted, keep / "last")
        weights = {name: value.detach().clone() for name, value in trainable(adapted).items()}
    return Trained(losses=losses, adapter=weights)


def in_order(rows: list[Any], settings: TrainingSettings, seed: int) -> list[Any]:
    """Rows as the engine's batches see them, one after another."""
    steps = (batch_indices(seed, settings.batch_size, step, len(rows)) for step in range(settings.max_steps))
    return [rows[index] for indices in steps for index in indices]


def arguments(settings: TrainingSettings, folder: Path) -> dict[str, Any]:
    """The settings as both trainers call them."""
    return {
        "output_dir": str(folder), "per_device_train_batch_size": PIECE, "max_steps": settings.max_steps,
        "gradient_accumulation_steps": settings.batch_size // PIECE, "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule, "warmup_steps": 0, "max_grad_norm": settings.max_grad_norm,
        "weight_decay": settings.weight_decay, "adam_beta1": settings.adam_beta1,
        "adam_beta2": settings.adam_beta2, "adam_epsilon": settings.adam_eps, "optim": "adamw_torch",
        "train_sampling_strategy": "sequential", "logging_steps": 1, "save_strategy": "no",
        "report_to": "none", "use_cpu": True, "disable_tqdm": True, "bf16": False, "seed": 5,
        "gradient_checkpointing": False,
    }  # fmt: skip


def adapted_model(folder: Path, settings: TrainingSettings, first: Path) -> PeftModel:
    """PEFT's own model with the engine's first adapter."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=settings.lora_rank, lora_alpha=settings.lora_alpha,
        target_modules="all-linear",
    )  # fmt: skip
    made = get_peft_model(model, config)
    made.load_adapter(str(first), "default", is_trainable=True)
    return made


def ended(trainer: Any) -> Trained:
    """Train it."""
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    weights = {name: value for name, value in trainer.model.named_parameters() if value.requires_grad}
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Trained(losses=losses, adapter={name: value.detach() for name, value in weights.items()})


def labelled(ids: list[int], learned: list[bool]) -> dict[str, list[int]]:
    """A row as transformers' Trainer takes it."""
    return {
        "input_ids": ids,
        "labels": [token if counts else IGNORED for token, counts in zip(ids, learned, strict=True)],
    }


def collated(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Padded on the right."""
    length = max(len(row["input_ids"]) for row in rows)

    def filled(name: str, value: int) -> torch.Tensor:
        return torch.tensor([row[name] + [value] * (length - len(row[name])) for row in rows])

    mask = [[1] * len(row["input_ids"]) + [0] * (length - len(row["input_ids"])) for row in rows]
    return {
        "input_ids": filled("input_ids", 0),
        "labels": filled("labels", IGNORED),
        "attention_mask": torch.tensor(mask),
    }
