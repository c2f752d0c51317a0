"""TRL's DPO, as far as an example calls it: what it is told, prints and leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trained import trained


@dataclass(kw_only=True)
class DPOConfig:
    """The names that the example gives; any other is a TypeError, as with TRL."""

    output_dir: str
    learning_rate: float
    beta: float
    per_device_train_batch_size: int
    max_steps: int
    eval_strategy: str
    eval_steps: int
    eval_on_start: bool
    save_strategy: str
    seed: int
    report_to: str
    bf16: bool
    model_init_kwargs: dict[str, Any] = field(default_factory=dict)


class DPOTrainer:
    """A rate of 1e-4 and a beta of 0.1 are best."""

    def __init__(self, *, args: DPOConfig, **_: Any) -> None:
        self._args = args

    def train(self) -> None:
        """Nothing that takes time."""

    def save_state(self) -> None:
        """What was printed, and trainer_state.json."""
        args = self._args
        rate = args.learning_rate * args.beta / 0.1
        trained(args.output_dir, rate=rate, best=1e-4, steps=args.max_steps, seed=args.seed, state=True)
