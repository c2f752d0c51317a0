"""What tables of keys may refer to: the settings, and what follows from them for a number of GPUs."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from bios_sweep.defaults.exporters.targets import doubts_of_names, embeddings_of, targets_of
from bios_sweep.errors import DefaultsError
from bios_sweep.method import Objective
from bios_sweep.settings import (
    ALPHA_OVER_RANK,
    COUNT,
    DEFAULTS,
    DORA,
    FULL,
    LORA,
    QLORA,
    WSD,
    TrainingSettings,
    alpha_at,
    decay_steps,
    is_off,
    setting_names,
)

LARGEST_MICRO_BATCH = 8  # where none is given; chosen, not measured: what fits depends on model and GPU
PACKING = "packing"  # no setting: our own training has none
RAN_HERE = ("max_length", "dtype")  # a constant of ours for them, 512 tokens and float32, is no advice
NEAR_ONE = ("adam_beta1", "adam_beta2")  # what counts is how far they are from 1
HF_WSD = "warmup_stable_decay"  # transformers' name
DIGITS = 4  # a learning rate's interval is far wider


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A value, the setting it stands for, and how it follows from it (empty where it is the setting).

    value: None where there is nothing to write. also: a second setting that the value depends on. warning:
    what to bear in mind with the value, whatever stands behind it.
    """

    value: Any
    setting: str
    how: str = ""
    also: str = ""
    warning: str = ""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """An optimizer step's examples, divided: gpus x micro_batch x accumulation = batch_size, exactly."""

    gpus: int
    micro_batch: int
    accumulation: int

    @property
    def words(self) -> str:
        """The division in words, for a comment."""
        gpus = f"{self.gpus} GPU{'s' if self.gpus > 1 else ''}"
        return f"accumulation {self.accumulation} x micro-batch {self.micro_batch} x {gpus}"


def split_batch(batch_size: int, gpus: int = 1, micro_batch: int | None = None) -> Batch:
    """Divide an effective batch over GPUs and micro-batches; a share that is left over is refused.

    micro_batch: examples per GPU and backward pass; None takes the largest that divides, up to 8.

    Raises:
        DefaultsError: no whole number above 0, or a batch that does not divide, with the nearest that do.
    """
    COUNT.require("gpus", gpus, DefaultsError)
    if micro_batch is None:
        if batch_size % gpus:
            raise DefaultsError(_does_not_divide(batch_size, gpus, 1))
        share = batch_size // gpus
        micro_batch = max(size for size in range(1, LARGEST_MICRO_BATCH + 1) if share % size == 0)
    COUNT.require("micro_batch", micro_batch, DefaultsError)
    if batch_size % (gpus * micro_batch):
        raise DefaultsError(_does_not_divide(batch_size, gpus, micro_batch))
    return Batch(gpus=gpus, micro_batch=micro_batch, accumulation=batch_size // (gpus * micro_batch))


def quantities(
    settings: TrainingSettings, batch: Batch, objective: str = Objective.SFT
) -> dict[str, Quantity]:
    """Every name that a table of keys may refer to.

    warmup_steps are absolute and rounded as our own training rounds them. `alpha` is an integer
    where it can be, for some tools accept no other, and that of the alpha rule at this rank. `adapter` is the
    kind of adapter in Axolotl's words, if there is one, `tuner` in those of tools that call all of them lora;
    `trains` is the method where it is no LoRA, `settings` those that only a script knows;
    `objective` is its loss, which supervised fine-tuning need not be told.
    """
    warmup = round(settings.warmup_fraction * settings.max_steps)
    alpha, full = alpha_at(settings), settings.method == FULL
    quantised, dora = settings.method == QLORA, settings.method == DORA
    constant = "constant_with_warmup" if warmup else "constant"
    follow = {  # name: value, the setting that it stands for
        "alpha": (int(alpha) if alpha is not None and alpha == int(alpha) else alpha, "lora_alpha"),
        "adapter": (None if full else QLORA if quantised else LORA, "method"),
        "tuner": (FULL if full else LORA, "method"),
        "trains": (None if settings.method == LORA else settings.method, "method"),
        "dora": (dora or None, "method"),
        "four_bit": (quantised or None, "method"),
        "in_four_bit": (quantised, "method"),
        "bits": (4 if quantised else None, "method"),
        "bits_by": ("bnb" if quantised else None, "method"),
        "nf4": ("nf4" if quantised else None, "method"),
        "compute": (settings.dtype if quantised else None, "method"),
        "rule": (None if settings.alpha_rule == ALPHA_OVER_RANK else settings.alpha_rule, "alpha_rule"),
        "given_targets": (None if is_off("targets", settings.targets) else settings.targets, "targets"),
        "given_init": (None if is_off("init", settings.init) else settings.init, "init"),
        **targets_of(settings),
        **embeddings_of(settings),
        "objective": (None if objective == Objective.SFT else str(objective), "objective"),
        "scheduler": (
            {"constant": constant, WSD: HF_WSD}.get(settings.schedule, settings.schedule),
            "schedule",
        ),
        "scheduler_kwargs": (_of_decay(settings), "decay_fraction"),
        "loss_type": (_loss_type(settings), "dpo_length_normalised"),
        "bf16": (settings.dtype == "bfloat16", "dtype"),
        "float32": (settings.dtype == "float32" or None, "dtype"),
        "settings": (dict(settings.own) or None, "settings"),
    }
    parts = {"micro_batch": batch.micro_batch, "accumulation": batch.accumulation}
    share = f"{settings.warmup_fraction:g} of {settings.max_steps} steps"
    doubts = doubts_of_names(settings)
    return {
        **{name: Quantity(value=getattr(settings, name), setting=name) for name in setting_names()},
        **{
            name: Quantity(value=value, setting=setting, warning=doubts.get(name, doubts.get(setting, "")))
            for name, (value, setting) in follow.items()
        },
        **{name: Quantity(value=part, setting="batch_size", how=batch.words) for name, part in parts.items()},
        "warmup_steps": Quantity(
            value=warmup, setting="warmup_fraction", also="max_steps", warning=share if warmup else ""
        ),
    }


def _of_decay(settings: TrainingSettings) -> dict[str, Any] | None:
    """What transformers' scheduler of that kind has to be told beside its warm-up."""
    if settings.schedule != WSD:
        return None
    return {"num_decay_steps": decay_steps(settings), "decay_type": "linear"}


def _loss_type(settings: TrainingSettings) -> list[str] | None:
    if settings.dpo_beta is None:
        return None
    return ["sigmoid_norm" if settings.dpo_length_normalised else "sigmoid"]


def merely_ran(settings: TrainingSettings, judged: Container[str]) -> set[str]:
    """What stood so beside the evidence, without any that it matters.

    Packing always, and a constant of our own for `RAN_HERE` that nobody judged. A value that a user chose
    instead is a condition of the evidence, and is written.
    """
    unasked = {name for name in RAN_HERE if getattr(settings, name) == DEFAULTS[name]}
    return {PACKING, *(name for name in unasked if name not in judged)}


def four_digits(value: Any, setting: str) -> Any:
    """A number as one would write it: four significant digits, of a beta those of its distance from 1."""
    if not isinstance(value, float):
        return value
    if setting in NEAR_ONE:
        return round(1 - float(f"{1 - value:.{DIGITS}g}"), 15)
    return float(f"{value:.{DIGITS}g}")


def _does_not_divide(batch_size: int, gpus: int, micro_batch: int) -> str:
    """The refusal: the batch sizes around, and what else would divide."""
    unit = gpus * micro_batch
    below, above = batch_size // unit * unit, (batch_size // unit + 1) * unit
    share, rest = divmod(batch_size, gpus)
    name = "gpus" if rest else "micro_batch"
    others = _divisors(batch_size, gpus) if rest else _divisors(share, micro_batch)
    return (
        f"batch_size: {batch_size} does not divide by gpus {gpus} x micro_batch {micro_batch} = {unit}; "
        f"the nearest that do are batch size {f'{below} or {above}' if below else above}; "
        f"{name} {' or '.join(map(str, others))}"
    )


def _divisors(number: int, near: int) -> list[int]:
    """The largest divisor below `near` and the smallest above it, where there are such."""
    divisors = [size for size in range(1, number + 1) if number % size == 0]
    below = [size for size in divisors if size < near][-1:]
    return below + [size for size in divisors if size > near][:1]
