"""The planted truth of a rehearsal: what every setting gains, what it costs, and draws of outcomes.

In a world of effect 0 every default is what it claims to be; the effect is then planted on one level of one
factor. Other levels of a setting that claims to be an optimum are as good as the default, the hardest case
for a confirmation; fewer steps, a smaller rank and a larger batch lose something, else the default would not
be enough, or not the balance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bios_sweep.checks import is_number
from bios_sweep.claims import REPEAT, claims_of
from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.clusters import ClusterSums
from bios_sweep.decision.costs import Timing
from bios_sweep.decision.table import Floats
from bios_sweep.procedure.state import Known
from bios_sweep.rehearsal.evaluation import Evaluation
from bios_sweep.rehearsal.noise import Noise
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.arms import Arm
from bios_sweep.study.companions import Companion
from bios_sweep.study.design import MIDDLE, DecisionRule
from bios_sweep.study.factors import Factor, natural_ends
from bios_sweep.study.margins import scale_of
from bios_sweep.study.metric_names import is_share
from bios_sweep.study.plan import Plan
from bios_sweep.study.stages import confirmation_seeds, confirmation_trials
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec, evaluation_file
from bios_sweep.units import Scale
from bios_sweep.vocabulary import Status

LOSS = 2.0  # any number: everything is judged in percent of it
LOST_BY_LESS = 2.0  # margins per halving of steps or rank; chosen, not measured: clearly seen to be worse
LOST_BY_RATE = 1.0  # margins per squared doubling of a re-tuned rate; chosen: the default rate is the best
LOST_BY_BATCH = 1.0  # margins per squared doubling of the batch; chosen: speed may cost that of x2, not of x4
SEED_PERCENT = 1.0  # of a seed block; pairing removes it, so no result depends on it
FIXED_TIME = 0.5  # share of a step's time that does not grow with its batch; chosen, as in model=planted
TIME_SPREAD = 0.03  # coefficient of variation of a timing; chosen, as in model=planted
TIME_REPEATS = 5  # docs/statistics.md, item 13: at least 5


def margin_percent(plan: Plan, noise: Noise) -> float:
    """The margin that the plan's rule would come to, percent of the metric."""
    rule = plan.study.decision
    return rule.margin(noise.level if _needs_level(rule) else None, noise.gained)


def told_in(plan: Plan, noise: Noise) -> Scale:
    """How gains of the judged metric are told, at the level that is simulated."""
    rule = plan.study.decision
    return scale_of(
        plan.study.metric.name,
        judged_level(plan, noise),
        points=rule.margin_points is not None,
        percent=rule.margin_percent is not None,
    )


def judged_level(plan: Plan, noise: Noise) -> float:
    """The mean of the default that is simulated; any does where all is percent of it.

    Of a margin in points or in the metric's own unit it is that of earlier sweeps, where one is known.
    """
    rule = plan.study.decision
    if _needs_level(rule) and noise.level is not None:
        return noise.level
    return MIDDLE if is_share(plan.study.metric.name) else _level(rule)


def _needs_level(rule: DecisionRule) -> bool:
    return rule.margin_points is not None or rule.margin_absolute is not None


@dataclass(frozen=True, kw_only=True)
class World:
    """A truth. planted: the arm whose gain is the effect. effect, margin, gained: percent of the loss.

    retuned: whether rates vary only because another setting re-tunes them, so that its ladder has a best.
    """

    baseline: TrainingSettings
    factor: str
    planted: Arm
    effect: float
    margin: float
    gained: float
    retuned: bool = False

    def gain(self, settings: TrainingSettings, repeat: int = 0) -> float:
        """True gain over the baseline, percent of its loss; what several settings do adds up."""
        own = repeat if self.factor == REPEAT else getattr(settings, self.factor)
        if own != self.planted.level:
            return -self.margin * self._lost(settings)
        return self.effect + self.margin * (self._lost(self.planted.settings) - self._lost(settings))

    def _lost(self, settings: TrainingSettings) -> float:
        """What the settings lose where every default is what it claims to be, in margins."""
        base = self.baseline
        fewer = base.max_steps * base.batch_size / (settings.max_steps * settings.batch_size)
        larger = settings.batch_size / base.batch_size
        smaller = (base.lora_rank or 1) / (settings.lora_rank or 1)  # full fine-tuning has no rank
        less = LOST_BY_LESS * (_doublings(fewer) + _doublings(smaller))
        rate = abs(math.log2(settings.learning_rate / base.learning_rate)) if self.retuned else 0.0
        return less + LOST_BY_BATCH * _doublings(larger) ** 2 + LOST_BY_RATE * rate**2

    def cost(self, settings: TrainingSettings) -> float:
        """True time of the whole training over the baseline's."""
        return step_time(settings, self.baseline) * settings.max_steps / self.baseline.max_steps


def step_time(settings: TrainingSettings, baseline: TrainingSettings) -> float:
    """Time of a step over the baseline's: a fixed part, and one that grows with the batch."""
    return FIXED_TIME + (1.0 - FIXED_TIME) * settings.batch_size / baseline.batch_size


def planted_level(plan: Plan, factor: Factor) -> Arm:
    """The level that carries the effect: the nearest to the default that does not end the grid, if any.

    Its side of the default comes first where the setting's own claim has one: of rank and steps a larger
    level, which "enough" is held against; of batch sizes a smaller one, which quality is claimed of.
    """
    arms = plan.levels_of(factor.name)
    if factor.name == REPEAT:
        return arms[0]
    default = getattr(plan.study.baseline, factor.name)
    if not all(is_number(value) for value in (default, *(arm.level for arm in arms))):
        return arms[0]
    tested = (default, *(arm.level for arm in arms))
    edges = {min(tested), max(tested)}.difference(
        natural_ends(factor.name, plan.study.scenario.data.train_examples)
    )
    smaller_first = judgement_of(claims_of(factor.name)[0]).smaller_first

    def rank(arm: Arm) -> tuple[bool, bool, float]:
        ends = arm.level in edges
        other_side = (arm.level > default) == bool(smaller_first)
        first, then = (ends, other_side) if smaller_first is None else (other_side, ends)
        return first, then, abs(arm.level - default)

    return min(arms, key=rank)


def possible_trials(plan: Plan) -> dict[str, TrialSpec]:
    """Every trial that a sweep of the plan may need, by key, as far as the plan names its arms."""
    cells = plan.cells or (plan,)
    fresh = [trial for cell in cells for trial in confirmation_trials(cell.study, cell.arms)]
    return {trial.key: trial for trial in (*plan.trials, *fresh)}


class Draws(Mapping[str, TrialResult]):
    """The results of one simulated sweep, by trial key: a world, a block per seed and residual noise.

    Where clusters are known, an evaluation set too, the same for shared and fresh seeds.

    A result is drawn when it is asked for. The same number draws the same noise whatever the world, so that
    neighbouring effects compare without it.
    """

    def __init__(
        self,
        plan: Plan,
        trials: Mapping[str, TrialSpec],
        world: World,
        noise: Noise,
        seeds: tuple[int, int],
        evaluation: Evaluation | None = None,
    ) -> None:
        """trials: from `possible_trials`. seeds: of the rehearsal, and the number of the sweep in it.

        evaluation: the set that every sweep draws anew, where its clusters are known.
        """
        self._plan, self._world, self._noise, self._seeds = plan, world, noise, seeds
        self._evaluation = evaluation
        self._trials: dict[str, TrialSpec] = dict(trials)
        self._drawn: dict[str, TrialResult] = {}
        columns = (*plan.study.seeds, *confirmation_seeds(plan.study))
        self._column = {value: place for place, value in enumerate(columns)}
        random = np.random.default_rng(self._seeds)
        self._block = SEED_PERCENT * random.standard_normal(len(columns))
        self._rows: dict[tuple[TrainingSettings, int], Floats] = {}
        self._deviations: dict[tuple[TrainingSettings, int], Floats] = {}
        self._places = {(arm.settings, arm.repeat): place for place, arm in enumerate(plan.arms)}
        kept = plan.study.decision.must_not_lose(plan.study.metric)
        # every metric moves as the judged one does, each in its own direction
        self._judged = {one.metric.name: (_level(one), one.metric.sign) for one in kept}
        self._judged[plan.study.metric.name] = (judged_level(plan, noise), plan.study.metric.sign)
        self._start = (_untouched(plan, noise),)

    def __getitem__(self, key: str) -> TrialResult:
        if key not in self._drawn:
            self._drawn[key] = self._result(self._trials[key])
        return self._drawn[key]

    def __contains__(self, key: object) -> bool:
        return key in self._trials

    def __iter__(self) -> Iterator[str]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)

    def run(self, trials: Iterable[TrialSpec]) -> None:
        """Have results of further trials: of arms that the procedure made up on its way."""
        self._trials |= {trial.key: trial for trial in trials}

    def known(self) -> Known:
        """What a timing probe would have measured; nothing where no claim asks for it."""
        timed = {arm.name: arm for cell in self._plan.cells or (self._plan,) for arm in cell.timed_arms}
        if not timed:
            return Known(clusters=self._clusters)
        random = np.random.default_rng((*self._seeds, 1, 1))
        steps = np.array([step_time(arm.settings, self._world.baseline) for arm in timed.values()])
        seconds = steps * np.exp(TIME_SPREAD * random.standard_normal((TIME_REPEATS, len(steps))))
        rows = tuple(tuple(float(value) for value in row) for row in seconds)
        timing = Timing(arms=tuple(timed), seconds=rows, hardware="a simulated device")
        return Known(timing=timing, clusters=self._clusters)

    def _clusters(self, key: str, file: str) -> ClusterSums | None:
        """A trial's evaluation by cluster, of the metric that is judged."""
        study = self._plan.study
        judged = evaluation_file(study.metric.name, study.scenario.data.score)
        if self._evaluation is None or file != judged or key not in self._trials:
            return None
        trial = self._trials[key]
        level, sign = self._judged[study.metric.name]
        gain = float(self._row(trial.settings, trial.repeat)[self._column[trial.seed]])
        return self._evaluation.sums(level, sign, gain, self._deviation(trial.settings, trial.repeat))

    def _deviation(self, settings: TrainingSettings, repeat: int) -> Floats:
        """How much better an arm is in every cluster than everywhere, percent, on any seed."""
        place = (settings, repeat)
        if place not in self._deviations:
            assert self._evaluation is not None  # asked by the caller
            number = self._places.setdefault(place, len(self._places))
            random = np.random.default_rng((*self._seeds, 2, number))
            self._deviations[place] = self._evaluation.drawn(random)
        return self._deviations[place]

    def _result(self, trial: TrialSpec) -> TrialResult:
        values = self._row(trial.settings, trial.repeat)
        gain = float(values[self._column[trial.seed]])
        if self._evaluation is not None:
            gain += self._evaluation.mean(self._deviation(trial.settings, trial.repeat))
        final = {name: level * (1.0 + sign * gain / 100.0) for name, (level, sign) in self._judged.items()}
        return TrialResult(key=trial.key, status=Status.COMPLETED, curve=self._start, final=final)

    def _row(self, settings: TrainingSettings, repeat: int) -> Floats:
        """The gain of an arm at every seed, percent."""
        place = (settings, repeat)
        if place not in self._rows:
            number = self._places.setdefault(place, len(self._places))
            random = np.random.default_rng((*self._seeds, 0, number))
            noise = self._noise.percent * random.standard_normal(len(self._block))
            gain = self._world.gain(settings, repeat) + self._block + noise
            self._rows[place] = np.asarray(gain, dtype=np.float64)
        return self._rows[place]


def _level(judged: DecisionRule | Companion) -> float:
    """A share is in the middle, so that points of it mean what they say."""
    return LOSS if judged.margin_points is None else MIDDLE


def _untouched(plan: Plan, noise: Noise) -> Measurement:
    metric = plan.study.metric
    start = judged_level(plan, noise) * (1.0 - metric.sign * noise.gained / 100.0)
    bits = start if metric.name == "eval_bits_per_byte" else None
    score = plan.study.scenario.data.score
    scored = {metric.name: start} if score is not None and metric.name == score.metric else {}
    return Measurement(
        step=0,
        fraction=0.0,
        examples=0,
        tokens=0,
        eval_loss=start,
        eval_bits_per_byte=bits,
        metrics=scored,
    )


def _doublings(ratio: float) -> float:
    return max(0.0, math.log2(ratio))
