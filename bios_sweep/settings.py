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

LORA, FULL = "lora", "full"
METHODS = (LORA, FULL)
LORA_SETTINGS = ("lora_rank", "lora_alpha", "lora_dropout")  # of an adapter: full fine-tuning has none
SCHEDULES = ("linear", "constant", "cosine")
ALPHA_RULES = ("alpha_over_rank",)


@dataclass(frozen=True, kw_only=True)
class Range:
    """The numbers a setting may have: above or from a least one, below another, whole or not."""

    above: float = -math.inf
    least: float = -math.inf
    below: float = math.inf
    whole: bool = False

    @property
    def words(self) -> str:
        """What is allowed, for a message."""
        if self.whole:
            return f"a whole number of at least {self.least:g}"
        if self.above > -math.inf:
            return f"a finite number above {self.above:g}"
        if self.below < math.inf:
            return f"a number from {self.least:g} up to, not including, {self.below:g}"
        return f"a finite number of at least {self.least:g}"

    def holds(self, value: Any) -> bool:
        """Whether a value is a number of the range."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        finite = self.whole or abs(value) <= sys.float_info.max
        return finite and self.above < value and self.least <= value < self.below


COUNT, POSITIVE, SHARE = Range(least=1, whole=True), Range(above=0.0), Range(least=0.0, below=1.0)
RANGES: Mapping[str, Range] = {
    "learning_rate": POSITIVE,
    "batch_size": COUNT,
    "lora_rank": COUNT,
    "max_steps": COUNT,
    "lora_alpha": POSITIVE,
    "lora_dropout": SHARE,
    "warmup_fraction": SHARE,
    "adam_beta1": SHARE,
    "adam_beta2": SHARE,
    "adam_eps": POSITIVE,
    "weight_decay": Range(least=0.0),
    "max_grad_norm": POSITIVE,
    "max_length": COUNT,
    "train_examples": COUNT,
}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of one trial, by their canonical names. Units are in the names or below.

    learning_rate: peak of the schedule.
    batch_size: examples per optimizer step (micro-batches are accumulated exactly).
    lora_rank, lora_alpha: the adapter adds (alpha / rank) * B A to every linear layer. They and
    lora_dropout are None exactly where the method is full fine-tuning, which has no adapter.
    max_steps: optimizer steps. warmup_fraction: share of them spent warming up.
    max_length: tokens per example, prompt and completion together.
    train_examples: training examples to learn from, the same ones for every seed and the smaller
    sets inside the larger; None: all that the data has.
    """

    learning_rate: float
    batch_size: int
    lora_rank: int | None
    max_steps: int
    method: str = LORA
    lora_alpha: float | None = 32.0
    alpha_rule: str = "alpha_over_rank"
    lora_dropout: float | None = 0.0
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
        _require_choice("method", self.method, METHODS)
        for name, allowed in RANGES.items():
            value = getattr(self, name)
            if self.method == FULL and name in LORA_SETTINGS:
                _require_none(name, value)
            elif not (value is None and name == "train_examples"):
                _require_number(name, value, allowed)
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
    return name in RANGES and RANGES[name].whole


def allowed_range(name: str) -> tuple[float | None, float | None]:
    """The least and the largest value that a setting itself may have; None at an end that it may not reach.

    Beyond such an end nothing can be tested: rank 1, no dropout, no warm-up. A learning rate only comes
    ever nearer to 0, so it has no end; nor has a name that is no setting.
    """
    least = RANGES[name].least if name in RANGES else -math.inf
    return (least if least > -math.inf else None), None


def without_adapter(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of settings with None for those of an adapter, as full fine-tuning has them."""
    return {**values, **dict.fromkeys(LORA_SETTINGS)}


def _require_none(name: str, value: Any) -> None:
    if value is not None:
        raise ConfigError(
            f"{name}: {value!r} is not allowed; it is an adapter's, and method {FULL} trains all weights"
        )


def _require_number(name: str, value: Any, allowed: Range) -> None:
    if not allowed.holds(value):
        raise ConfigError(f"{name}: {value!r} is not allowed; it must be {allowed.words}")


def _require_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r} is not allowed; choose from {', '.join(allowed)}")
