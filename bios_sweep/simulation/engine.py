"""`PlantedEngine`: trials with a known answer, to rehearse a study and to test everything around training.

The final loss is a parabola in log2 distance from each planted optimum, plus noise that is a pure
function of what is drawn for: a block part per seed, shared by all arms (what pairing removes), and
a residual part per settings and seed (what pairing cannot). An A/A twin draws the same residual, so
its effect is exactly 0.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import NormalDist
from typing import Any

from bios_sweep.errors import ConfigError
from bios_sweep.settings import TrainingSettings, setting_names
from bios_sweep.study.trials import COMPLETED, DIVERGED, Measurement, TrialResult, TrialSpec, short_hash

BYTES_PER_TOKEN = 4.0  # chosen, not measured: a round number near what BPE gives on English
CURVE_RATE = 4.0  # chosen, not measured: 86 % of the gain is made in the first half of training
DIVERGENCE_FRACTION = 0.5  # chosen, not measured: a trial beyond the wall ends halfway
CHECKPOINT = "checkpoint.json"
UNORDERED = tuple(field.name for field in fields(TrainingSettings) if field.type == "str")


@dataclass(frozen=True, kw_only=True)
class PlantedTruth:
    """The planted world. Losses are nats per token, noise is the standard deviation in percent of `loss`.

    truth: setting -> {optimum: value, curvature: percent of loss per (log2 distance)^2}.
    loss: final loss where every setting is at its optimum; untouched: loss before training.
    wall: learning rate above which a trial diverges. seconds_per_step: simulated, costs nothing.
    pause_seconds: real time before each measurement, so that a test can kill a trial in the middle.
    fail: `arm/seed` -> message of the exception raised after the first measurement.
    """

    truth: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    loss: float = 2.0
    untouched: float = 3.0
    seed_noise_percent: float = 0.0
    noise_percent: float = 0.0
    noise_seed: int = 0
    wall: float | None = None
    measurements: int = 5
    tokens_per_example: int = 48
    seconds_per_step: float = 0.0
    pause_seconds: float = 0.0
    fail: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, shape in self.truth.items():
            if name not in setting_names():
                raise ConfigError(f"truth: {name!r} is no setting; choose from {', '.join(setting_names())}")
            if name in UNORDERED:
                raise ConfigError(
                    f"truth.{name}: has no log2 distance; plant it in a setting that is a number"
                )
            if not shape.get("optimum", 0) > 0 or "curvature" not in shape:
                raise ConfigError(f"truth.{name}: give an optimum above 0 and a curvature, not {dict(shape)}")
        if self.measurements < 1:
            raise ConfigError(f"measurements: {self.measurements} is not allowed; at least 1")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> PlantedTruth:
        """Plain engine options.

        Raises:
            ConfigError: an option that the planted engine does not have.
        """
        allowed = [option.name for option in fields(cls)]
        unknown = sorted(set(options) - set(allowed))
        if unknown:
            raise ConfigError(
                f"unknown option {unknown[0]!r} of the planted engine; allowed: {', '.join(allowed)}"
            )
        return cls(**options)

    def final_loss(self, settings: TrainingSettings, seed: int) -> float:
        """The loss a trial ends with: nats per token."""
        percent = sum(
            shape["curvature"] * math.log2(getattr(settings, name) / shape["optimum"]) ** 2
            for name, shape in self.truth.items()
        )
        percent += self.seed_noise_percent * self._normal("seed", seed)
        percent += self.noise_percent * self._normal("residual", seed, settings.to_dict())
        return self.loss * (1.0 + percent / 100.0)

    def loss_at(self, settings: TrainingSettings, seed: int, fraction: float) -> float:
        """The loss after a share of the steps: `untouched` at 0, the final loss at 1, both to the bit."""
        if self.diverges(settings):
            return self.untouched * (1.0 + fraction)
        end = math.exp(-CURVE_RATE)
        left = (math.exp(-CURVE_RATE * fraction) - end) / (1.0 - end)
        return self.untouched * left + self.final_loss(settings, seed) * (1.0 - left)

    def diverges(self, settings: TrainingSettings) -> bool:
        """Whether the learning rate lies beyond the wall."""
        return self.wall is not None and settings.learning_rate > self.wall

    def _normal(self, *what: Any) -> float:
        digits = short_hash([self.noise_seed, *what], length=13)  # 52 bits: exact in a float
        return NormalDist().inv_cdf((int(digits, 16) + 0.5) / 16**13)


class PlantedEngine:
    """A `TrialEngine` over `PlantedTruth`, with real checkpoints so that a killed trial resumes."""

    version = "1"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._world = PlantedTruth.from_options(options)

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        """Replay what the checkpoint in `directory` holds, go on from there, end with the result."""
        checkpoint = directory / CHECKPOINT
        curve = _read(checkpoint)
        yield from curve
        for step in self._steps(trial)[len(curve) :]:
            self._interrupt(trial, step)
            curve.append(self._measure(trial, step))
            _write(checkpoint, curve)
            yield curve[-1]
        yield self._result(trial, curve)

    def _steps(self, trial: TrialSpec) -> list[int]:
        """Rising steps from 0 to the last (or to where the trial diverges), at equal fractions."""
        last, parts = trial.settings.max_steps, self._world.measurements
        steps = sorted({round(last * part / parts) for part in range(parts + 1)})
        if self._world.diverges(trial.settings):
            return [step for step in steps if step <= last * DIVERGENCE_FRACTION] or [0]
        return steps

    def _interrupt(self, trial: TrialSpec, step: int) -> None:
        if self._world.pause_seconds:
            time.sleep(self._world.pause_seconds)
        message = self._world.fail.get(f"{trial.arm}/{trial.seed}")
        if message is not None and step > 0:
            raise RuntimeError(message)

    def _measure(self, trial: TrialSpec, step: int) -> Measurement:
        settings, world = trial.settings, self._world
        fraction = step / settings.max_steps
        loss = world.loss_at(settings, trial.seed, fraction)
        examples = step * settings.batch_size
        return Measurement(
            step=step,
            fraction=fraction,
            examples=examples,
            tokens=examples * world.tokens_per_example,
            eval_loss=loss,
            eval_bits_per_byte=_bits_per_byte(loss),
            train_loss=loss if step else None,
            wall_seconds=step * world.seconds_per_step,
        )

    def _result(self, trial: TrialSpec, curve: list[Measurement]) -> TrialResult:
        last = curve[-1]
        diverged = self._world.diverges(trial.settings)
        rate = trial.settings.learning_rate
        cause = f"learning_rate {rate:g} is beyond the planted wall {self._world.wall:g}" if diverged else ""
        return TrialResult(
            key=trial.key,
            status=DIVERGED if diverged else COMPLETED,
            curve=tuple(curve),
            final={"eval_loss": last.eval_loss, "eval_bits_per_byte": _bits_per_byte(last.eval_loss)},
            wall_seconds=last.wall_seconds,
            tokens=last.tokens,
            cause=cause,
            provenance={"engine": "planted"},
        )


def _bits_per_byte(loss: float) -> float:
    return loss / math.log(2) / BYTES_PER_TOKEN


def _read(checkpoint: Path) -> list[Measurement]:
    if not checkpoint.exists():
        return []
    return [Measurement(**point) for point in json.loads(checkpoint.read_text())]


def _write(checkpoint: Path, curve: list[Measurement]) -> None:
    """Replace the checkpoint in one move: a kill leaves the old one or the new one, never half of it."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    fresh = checkpoint.with_suffix(".fresh")
    fresh.write_text(json.dumps([point.to_dict() for point in curve]))
    fresh.replace(checkpoint)
