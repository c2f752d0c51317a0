"""`TrainingSettings`: the only list of the settings that change a trial's outcome.

Everything else (micro-batch, worker, host, tracking) may change how fast a trial runs, not what
it finds, and has no place here. `setting_names()` is what other rooms ask instead of a second list.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from bios_sweep.errors import ConfigError

METHODS = ("lora",)
SCHEDULES = ("linear", "constant", "cosine")
ALPHA_RULES = ("alpha_over_rank",)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of one trial, by their canonical names. Units are in the names or below.

    learning_rate: peak of the schedule.
    batch_size: examples per optimizer step (micro-batches are accumulated exactly).
    lora_rank, lora_alpha: the adapter adds (alpha / rank) * B A to every linear layer.
    max_steps: optimizer steps. warmup_fraction: share of them spent warming up.
    max_length: tokens per example, prompt and completion together.
    train_examples: training examples to learn from, the same ones for every seed and the smaller
    sets inside the larger; None: all that the data has.
    """

    learning_rate: float
    batch_size: int
    lora_rank: int
    max_steps: int
    method: str = "lora"
    lora_alpha: float = 32.0
    alpha_rule: str = "alpha_over_rank"
    lora_dropout: float = 0.0
    schedule: str = "linear"
    warmup_fraction: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.95
    adam_eps: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_length: int = 512
    train_examples: int | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("batch_size", "lora_rank", "max_steps", "max_length"):
            _require_whole(name, getattr(self, name))
        if self.train_examples is not None:
            _require_whole("train_examples", self.train_examples)
        for name in ("learning_rate", "lora_alpha", "adam_eps", "max_grad_norm"):
            _require_number(name, getattr(self, name), above=0.0)
        for name in ("lora_dropout", "warmup_fraction", "adam_beta1", "adam_beta2"):
            _require_number(name, getattr(self, name), least=0.0, below=1.0)
        _require_number("weight_decay", self.weight_decay, least=0.0)
        _require_choice("method", self.method, METHODS)
        _require_choice("schedule", self.schedule, SCHEDULES)
        _require_choice("alpha_rule", self.alpha_rule, ALPHA_RULES)
        _require_choice("dtype", self.dtype, ("float32", "bfloat16"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values by canonical name, for JSON and for workers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingSettings:
        """Inverse of `to_dict`.

        Raises:
            ConfigError: a name that is no setting, or a value out of range.
        """
        unknown = sorted(set(values) - set(setting_names()))
        if unknown:
            allowed = ", ".join(setting_names())
            raise ConfigError(f"unknown setting {unknown[0]!r}; the settings are {allowed}")
        return cls(**values)


def setting_names() -> tuple[str, ...]:
    """Every setting's canonical name, in the order of the class."""
    return tuple(field.name for field in fields(TrainingSettings))


def is_whole(name: str) -> bool:
    """Whether a setting counts something (batch size, rank, steps) and so must be an integer."""
    return {field.name: field.type for field in fields(TrainingSettings)}[name] in ("int", "int | None")


def _require_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name}: {value!r} is not allowed; it must be a whole number of at least 1")


def _require_number(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and above < value <= sys.float_info.max and least <= value < below:
        return
    if above > -math.inf:
        allowed = f"a finite number above {above:g}"
    elif below < math.inf:
        allowed = f"a number from {least:g} up to, not including, {below:g}"
    else:
        allowed = f"a finite number of at least {least:g}"
    raise ConfigError(f"{name}: {value!r} is not allowed; it must be {allowed}")


def _require_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r} is not allowed; choose from {', '.join(allowed)}")
