"""`PlantedTruth`: a world whose answer is known, as plain values that a user can write down.

**The loss.** A trial ends at `loss` times 1 + percent / 100, where percent is the sum of

- every curve of `truth` (a setting, or `examples` = max_steps x batch_size, to one of the shapes of
  `shapes`): how much the value costs against the best one;
- a block part per seed, normal with standard deviation `seed_noise_percent`, the same in every arm: what
  pairing removes;
- a residual part per settings and seed, with standard deviation `noise_percent`, times
  1 + `wall_noise` (learning rate / wall)^2: training gets rougher near the wall. An A/A twin draws the same;
- with `clusters` = G, the token-weighted mean of a part per settings and cluster, with standard deviation
  `cluster_noise_percent`, the same for every seed: the error of having these G documents and no others.
  In the difference of two arms it has standard deviation `cluster_noise_percent` sqrt(2 / G), or a little
  more because clusters weigh by their tokens. The trial's folder then holds `eval.npz`, the losses behind it.

**What moves.** `interactions` says which setting's best value moves with which other one:
`{learning_rate: {batch_size: {power: 0.5, at: 128}}}` multiplies the planted place of the learning rate by
(batch_size / 128) ^ 0.5. The power is the strength: 0 moves nothing. `wall` can be moved likewise.

**The wall.** A learning rate above `wall` diverges halfway.

**Further metrics.** `metrics: {forgetting: {value: 0.1, truth: {...}, noise_percent: 1}}` ends a trial with
`forgetting` = value x (1 + percent / 100), percent from its own curves and noise. For a score that should be
high, give negative strengths.

**Time.** A step takes `t0_seconds + batch_size / examples_per_second`; the clock is simulated and costs
nothing. At the same cost the best batch is then a matter of arithmetic: with a ceiling for the batch and a
floor for `examples`, what another batch gains at equal examples stands against what the default gains when
it is trained for as long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from bios_sweep.checks import whole
from bios_sweep.engines.simulation.evaluation import EvaluationSet, normal, normals
from bios_sweep.engines.simulation.shapes import (
    Curve,
    Move,
    PlantedMetric,
    curve_of,
    metric_of,
    move_of,
    quantity,
    require_mapping,
)
from bios_sweep.errors import ConfigError, NoClockError
from bios_sweep.settings import OR_MORE, POSITIVE, TrainingSettings

CURVE_RATE = 4.0  # chosen, not measured: 86 % of the gain is made in the first half of training
WALL = "wall"
ABOVE_0 = ("loss", "untouched")
AT_LEAST_0 = (
    "seed_noise_percent",
    "noise_percent",
    "wall_noise",
    "cluster_noise_percent",
    "t0_seconds",
    "time_cv",
    "pause_seconds",
)
COUNTS = {  # option -> the least it may be
    "noise_seed": 0,
    "clusters": 0,
    "examples_per_cluster": 1,
    "measurements": 1,
    "tokens_per_example": 1,
}


@dataclass(frozen=True, kw_only=True)
class PlantedTruth:
    """The planted world; the module's text says what the options mean together.

    truth: setting -> `{optimum, curvature}`, `{knee, gain}` or `{critical, cost}`.
    loss: nats per token where every setting is at its best; untouched: before training.
    wall: learning rate above which a trial diverges, or None. noise_seed: another one, another world.
    t0_seconds: of a step, whatever its batch; examples_per_second: None for no time per example.
    time_cv: standard deviation of a timed step's logarithm. measurements: evaluations after the first.
    pause_seconds: real time before each measurement, so that a test can kill a trial in the middle.
    fail: `arm/seed` -> message of the exception raised after the first measurement.

    Raises:
        ConfigError: an option that plants nonsense, by its path.
    """

    truth: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    loss: float = 2.0
    untouched: float = 3.0
    seed_noise_percent: float = 0.0
    noise_percent: float = 0.0
    noise_seed: int = 0
    wall: float | None = None
    wall_noise: float = 0.0
    interactions: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    clusters: int = 0
    cluster_noise_percent: float = 0.0
    examples_per_cluster: int = 4
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    t0_seconds: float = 0.0
    examples_per_second: float | None = None
    time_cv: float = 0.03  # chosen: repeats of a warm step on a quiet machine spread by about as much
    measurements: int = 5
    tokens_per_example: int = 48
    pause_seconds: float = 0.0
    fail: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ABOVE_0:
            POSITIVE.require(name, getattr(self, name))
        for name in AT_LEAST_0:
            OR_MORE.require(name, getattr(self, name))
        for name, least in COUNTS.items():
            whole(name, getattr(self, name), least)
        for name in ("wall", "examples_per_second"):
            if getattr(self, name) is not None:
                POSITIVE.require(name, getattr(self, name))
        if self.clusters == 1 or (self.cluster_noise_percent and not self.clusters):
            raise ConfigError(f"clusters: {self.clusters} is not allowed here; a spread needs 2 or more")
        if self.wall is None and (self.wall_noise or WALL in self.interactions):
            raise ConfigError("wall: is missing; wall_noise and interactions.wall need one")
        require_mapping("fail", self.fail)
        _ = self.curves, self.moves, self.further  # refuses what cannot be read

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> PlantedTruth:
        """Plain engine options.

        Raises:
            ConfigError: an option that the planted engine does not have, or that plants nonsense.
        """
        allowed = [option.name for option in fields(cls)]
        unknown = sorted(set(options) - set(allowed))
        if unknown:
            raise ConfigError(
                f"unknown option {unknown[0]!r} of the planted engine; allowed: {', '.join(allowed)}"
            )
        return cls(**options)

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """The planted curve of each setting."""
        planted = require_mapping("truth", self.truth)
        return {name: curve_of("truth", name, shape) for name, shape in planted.items()}

    @cached_property
    def moves(self) -> Mapping[str, tuple[Move, ...]]:
        """Per planted setting (or `wall`), what moves it."""
        found = {}
        for name, movers in require_mapping("interactions", self.interactions).items():
            if name != WALL and name not in self.curves:
                planted = ", ".join([*self.curves, WALL])
                raise ConfigError(f"interactions: nothing is planted for {name!r}; choose from {planted}")
            path = f"interactions.{name}"
            moves = require_mapping(path, movers).items()
            found[name] = tuple(move_of(path, other, values) for other, values in moves)
        return found

    @cached_property
    def further(self) -> Mapping[str, PlantedMetric]:
        """The metrics beside the loss."""
        planted = require_mapping("metrics", self.metrics)
        return {name: metric_of(name, values) for name, values in planted.items()}

    @cached_property
    def evaluation(self) -> EvaluationSet | None:
        """The held-out examples, or None where no clusters are planted."""
        if not self.clusters:
            return None
        return EvaluationSet(
            noise_seed=self.noise_seed,
            clusters=self.clusters,
            examples_per_cluster=self.examples_per_cluster,
            tokens=self.tokens_per_example,
        )

    def percent(self, settings: TrainingSettings) -> float:
        """The truth about settings: percent of `loss` by which they are worse than the best, no noise."""
        return sum(self._cost(name, curve, settings) for name, curve in self.curves.items())

    def level(self, settings: TrainingSettings, seed: int) -> float:
        """The loss of settings and seed over all documents there could be: nats per token."""
        percent = self.percent(settings)
        percent += self.seed_noise_percent * self._normal("seed", seed)
        roughness = 1.0 + self.wall_noise * (settings.learning_rate / self.wall_at(settings)) ** 2
        percent += self.noise_percent * roughness * self._normal("residual", seed, settings.to_dict())
        return self.loss * (1.0 + percent / 100.0)

    def nats(self, settings: TrainingSettings, seed: int) -> Any:
        """Summed nats per held-out example, float64 of shape (examples,); None without clusters."""
        if self.evaluation is None:
            return None
        label = [self.noise_seed, "cluster", settings.to_dict()]
        draws = normals(label, self.clusters) if self.cluster_noise_percent else [0.0] * self.clusters
        deviations = [self.cluster_noise_percent * draw for draw in draws]
        return self.evaluation.nats(self.level(settings, seed), self.loss, deviations)

    def final_loss(self, settings: TrainingSettings, seed: int) -> float:
        """The loss a trial ends with, on the held-out set at hand: nats per token."""
        if self.evaluation is None:
            return self.level(settings, seed)
        return float(self.nats(settings, seed).sum() / self.evaluation.lengths.sum())

    def loss_at(self, settings: TrainingSettings, final: float, fraction: float) -> float:
        """The loss after a share of the steps: `untouched` at 0, `final` at 1, both to the bit."""
        if self.diverges(settings):
            return self.untouched * (1.0 + fraction)
        end = math.exp(-CURVE_RATE)
        left = (math.exp(-CURVE_RATE * fraction) - end) / (1.0 - end)
        return self.untouched * left + final * (1.0 - left)

    def final_metrics(self, settings: TrainingSettings, seed: int) -> dict[str, float]:
        """The further metrics a trial ends with."""
        found = {}
        for name, metric in self.further.items():
            percent = sum(self._cost(setting, curve, settings) for setting, curve in metric.curves.items())
            percent += metric.seed_noise_percent * self._normal("seed", name, seed)
            percent += metric.noise_percent * self._normal("residual", name, seed, settings.to_dict())
            found[name] = metric.value * (1.0 + percent / 100.0)
        return found

    def wall_at(self, settings: TrainingSettings) -> float:
        """The learning rate above which these settings diverge; infinite without a wall."""
        return math.inf if self.wall is None else self.wall * self._moved(WALL, settings)

    def diverges(self, settings: TrainingSettings) -> bool:
        """Whether the learning rate lies beyond the wall."""
        return settings.learning_rate > self.wall_at(settings)

    def step_seconds(self, settings: TrainingSettings) -> float:
        """Simulated seconds per optimizer step."""
        per_example = 1.0 / self.examples_per_second if self.examples_per_second else 0.0
        return self.t0_seconds + settings.batch_size * per_example

    def timed_step_seconds(self, settings: TrainingSettings, repeat: int) -> float:
        """One reading of the simulated clock: `step_seconds` with log-normal noise.

        Raises:
            NoClockError: no time is planted.
        """
        seconds = self.step_seconds(settings)
        if not seconds:
            raise NoClockError("no time is planted; set t0_seconds or examples_per_second above 0")
        return seconds * math.exp(self.time_cv * self._normal("time", repeat, settings.to_dict()))

    def _cost(self, name: str, curve: Curve, settings: TrainingSettings) -> float:
        value = quantity(settings, name)
        return 0.0 if value is None else curve.percent(value, self._moved(name, settings))

    def _moved(self, name: str, settings: TrainingSettings) -> float:
        return math.prod(move.factor(settings) for move in self.moves.get(name, ()))

    def _normal(self, *what: Any) -> float:
        return normal([self.noise_seed, *what])
