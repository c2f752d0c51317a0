"""What tables of keys may refer to: the settings, and what follows from them for a number of GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.errors import DefaultsError
from bios_sweep.method import Objective
from bios_sweep.settings import COUNT, FULL, TrainingSettings, setting_names

LARGEST_MICRO_BATCH = 8  # where none is given; chosen, not measured: what fits depends on model and GPU


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A value, the setting it stands for, and how it follows from it (empty where it is the setting).

    value: None where there is nothing to write. also: a second setting that the value depends on.
    """

    value: Any
    setting: str
    how: str = ""
    also: str = ""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """An optimizer step's examples, divided: gpus x micro_batch x accumulation = batch_size, exactly."""

    gpus: int
    micro_batch: int
    accumulation: int

    @property
    def words(self) -> str:
        """The division in words, for a comment."""
        return f"{self.gpus} GPU(s) x micro-batch {self.micro_batch} x accumulation {self.accumulation}"


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
    where it can be, for some tools accept no other. `adapter` is the kind of adapter, if there is one;
    `trains` is the method of a script, which LoRA need not be told, `settings` those that only it knows;
    `objective` is its loss, which supervised fine-tuning need not be told.
    """
    own = {name: Quantity(value=getattr(settings, name), setting=name) for name in setting_names()}
    warmup = round(settings.warmup_fraction * settings.max_steps)
    alpha, full = settings.lora_alpha, settings.method == FULL
    whole = int(alpha) if alpha is not None and alpha == int(alpha) else alpha
    constant = "constant_with_warmup" if warmup else "constant"
    own |= {
        "alpha": Quantity(value=whole, setting="lora_alpha"),
        "adapter": Quantity(value=None if full else settings.method, setting="method"),
        "trains": Quantity(value=settings.method if full else None, setting="method"),
        "objective": Quantity(
            value=None if objective == Objective.SFT else str(objective), setting="objective"
        ),
        "micro_batch": Quantity(value=batch.micro_batch, setting="batch_size", how=batch.words),
        "accumulation": Quantity(value=batch.accumulation, setting="batch_size", how=batch.words),
        "warmup_steps": Quantity(
            value=warmup,
            setting="warmup_fraction",
            how=f"{settings.warmup_fraction:g} of {settings.max_steps} steps",
            also="max_steps",
        ),
        "scheduler": Quantity(
            value=constant if settings.schedule == "constant" else settings.schedule, setting="schedule"
        ),
        "bf16": Quantity(value=settings.dtype == "bfloat16", setting="dtype"),
        "settings": Quantity(value=dict(settings.own) or None, setting="settings"),
        "float32": Quantity(value=settings.dtype == "float32", setting="dtype"),
    }
    return own


def _does_not_divide(batch_size: int, gpus: int, micro_batch: int) -> str:
    """The refusal: what else would divide, nearest first, and the batch sizes around."""
    unit = gpus * micro_batch
    below, above = batch_size // unit * unit, (batch_size // unit + 1) * unit
    sizes = f"{below} or {above}" if below else f"{above}"
    share = batch_size // gpus
    options = {"batch size": sizes}
    if batch_size % gpus == 0:
        options["micro_batch"] = _or(_divisors(share, micro_batch))
    else:
        options["gpus"] = _or(_divisors(batch_size, gpus))
    nearest = "; ".join(f"{name} {values}" for name, values in options.items())
    return (
        f"batch_size: {batch_size} does not divide by gpus {gpus} x micro_batch {micro_batch} = {unit}; "
        f"the nearest that do are {nearest}"
    )


def _divisors(number: int, near: int) -> list[int]:
    """The largest divisor below `near` and the smallest above it, where there are such."""
    divisors = [size for size in range(1, number + 1) if number % size == 0]
    below = [size for size in divisors if size < near][-1:]
    return below + [size for size in divisors if size > near][:1]


def _or(values: Iterable[int]) -> str:
    return " or ".join(map(str, values))


def require_whole_alpha(settings: TrainingSettings, title: str) -> None:
    """Refuse a fractional alpha where the tool's key is an integer.

    Raises:
        DefaultsError: naming the tool.
    """
    if settings.lora_alpha is not None and settings.lora_alpha != int(settings.lora_alpha):
        raise DefaultsError(
            f"lora_alpha: {settings.lora_alpha!r} cannot be written for {title}, which takes whole numbers"
        )


def value_of(name: str, known: Mapping[str, Quantity]) -> Quantity:
    """A quantity by name.

    Raises:
        DefaultsError: a table refers to a quantity that there is not.
    """
    if name not in known:
        raise DefaultsError(f"a table of keys refers to {name!r}; there are {', '.join(known)}")
    return known[name]
