"""The design that decides most within a budget: which levels, seeds, looks and confirmation seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.checks import is_number
from bios_sweep.claims import REPEAT
from bios_sweep.errors import PlanError
from bios_sweep.procedure.questions import questions
from bios_sweep.rehearsal.chances import SEED, rehearse, sweeps_simulated
from bios_sweep.rehearsal.evaluation import Evaluation
from bios_sweep.rehearsal.noise import Noise
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.study.stages import most_confirmation_trials, most_search_trials

# the schedules of looks that are compared; chosen: from three seeds, below which no variance is known, to ten
LOOKS = ((3,), (5,), (8,), (10,), (3, 5), (5, 8), (5, 10), (3, 5, 8))
CONFIRMATION_SEEDS = (3, 5, 8)
PER_SIDE = (None, 2, 1)  # levels kept on each side of the default; None: all
JUDGED_AT = (0.0, 2.0)  # effects, in margins, at which a design should decide
FIRST_SWEEPS = 25  # simulated per design and effect; a share then has an error of at most .1
FINALISTS = 4  # designs that are simulated again, at full length
WEAK = 0.5  # a design that decides less often than not is told as such; chosen


@dataclass(frozen=True, kw_only=True)
class Design:
    """A plan, what of the study it changes, and how often it decides rightly.

    levels: factor -> the kept levels as `multiply` or `values` lists, only where some were dropped.
    decides: probability of a decided and right answer, averaged over questions and the effects 0 and 2
    margins; error: its Monte-Carlo standard error. expected, worst: seconds of all trials together.
    """

    plan: Plan
    levels: tuple[tuple[str, str, tuple[Any, ...]], ...]
    worst: float
    expected: float = math.nan
    decides: float = math.nan
    error: float = math.nan

    @property
    def overrides(self) -> tuple[str, ...]:
        """What to type, beside the sweep's name, to run it."""
        decision = self.plan.study.decision
        return (
            *(f"sweeps.factors.{name}.{key}={_listed(kept)}" for name, key, kept in self.levels),
            f"seeds={_listed(self.plan.study.seeds)}",
            f"decision.looks={_listed(decision.looks)}",
            f"decision.confirmation_seeds={decision.confirmation_seeds}",
        )


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search for a design. compared: how many fitted the budget; of: all that were looked at."""

    best: Design
    compared: int
    of: int

    @property
    def weak(self) -> bool:
        """Whether even the best design leaves more open than it decides."""
        return self.best.decides < WEAK


def cost_of(plan: Plan, seconds_per_example: float) -> float:
    """The most that a plan can cost, seconds of all trials: every look, a whole search, every candidate."""
    arms = {arm.name: arm.examples() for arm in plan.arms}
    screening = sum(arms[trial.arm] for trial in plan.trials)
    later = most_search_trials(plan.study) + most_confirmation_trials(plan.study)
    return seconds_per_example * (screening + later * max(arms.values()))


def affordable(study: Study, seconds_per_example: float, budget_seconds: float) -> tuple[list[Design], int]:
    """The designs whose worst case fits, and how many were looked at.

    Raises:
        PlanError: none fits; the message says what the smallest would need.
    """
    designs = [
        dataclasses.replace(design, worst=cost_of(design.plan, seconds_per_example))
        for design in _designs(study)
    ]
    fitting = [design for design in designs if design.worst <= budget_seconds]
    if not designs:
        raise PlanError(
            f"decision.gpu_hours: every design has more than budget.max_trials = {study.budget.max_trials} "
            "trials; raise it"
        )
    if not fitting:
        least = min(designs, key=lambda design: design.worst)
        hours = math.ceil(least.worst / 36.0) / 100.0
        raise PlanError(
            f"decision.gpu_hours: no design can decide within {budget_seconds / 3600:g} hours; the smallest "
            f"({len(least.plan.arms)} arms, looks {_listed(least.plan.study.decision.looks)}, "
            f"{least.plan.study.decision.confirmation_seeds} confirmation seeds) needs up to {hours:g} hours"
        )
    return fitting, len(designs)


def choose_design(
    designs: Sequence[Design],
    study: Study,
    noise: Noise,
    seconds_per_example: float,
    *,
    sweeps: int,
    of: int,
    evaluation: Evaluation | None = None,
    seed: int = SEED,
    tick: Callable[[], None] = lambda: None,
) -> Search:
    """The design that decides most, of those that fit; among equals the one expected to cost least.

    All are simulated shortly, the best few at full length: the winner of a short comparison is on average
    not as good as it looked. designs: from `affordable`; of: how many there were before.
    """
    wanted = _number_of_questions(build_plan(study))

    def judged(design: Design, count: int) -> Design:
        return _judged(design, wanted, noise, evaluation, seconds_per_example, count, seed, tick)

    first = sorted((judged(design, min(FIRST_SWEEPS, sweeps)) for design in designs), key=_order)
    finalists = [judged(design, sweeps) for design in first[:FINALISTS]]
    top = max(design.decides for design in finalists)
    equal = [design for design in finalists if design.decides >= top - design.error]
    return Search(best=min(equal, key=lambda design: design.expected), compared=len(designs), of=of)


def sweeps_of_search(designs: Sequence[Design], sweeps: int) -> int:
    """About how many sweeps `choose_design` will simulate; for progress."""
    each = [sweeps_simulated(design.plan, JUDGED_AT) for design in designs]
    return sum(each) * min(FIRST_SWEEPS, sweeps) + sum(sorted(each)[-FINALISTS:]) * sweeps


def _order(design: Design) -> tuple[float, float]:
    return -design.decides, design.expected


def _judged(
    design: Design,
    wanted: int,
    noise: Noise,
    evaluation: Evaluation | None,
    seconds_per_example: float,
    sweeps: int,
    seed: int,
    tick: Callable[[], None],
) -> Design:
    """wanted: questions of the study as written; one that a design dropped counts as never decided."""
    chances = rehearse(
        design.plan, noise, evaluation=evaluation, sweeps=sweeps, effects=JUDGED_AT, seed=seed, tick=tick
    )
    total = wanted * len(JUDGED_AT)
    return dataclasses.replace(
        design,
        expected=seconds_per_example * sum(row.examples for row in chances) / len(chances),
        decides=sum(row.right.value for row in chances) / total,
        error=math.sqrt(sum(row.right.error**2 for row in chances)) / total,
    )


def _number_of_questions(plan: Plan) -> int:
    return sum(len(questions(cell)) for cell in plan.cells or (plan,))


def _designs(study: Study) -> Iterator[Design]:
    seen = set()
    for per_side in PER_SIDE:
        factors = tuple(_nearest(factor, study, per_side) for factor in study.factors)
        if factors in seen:
            continue
        seen.add(factors)
        levels = tuple(
            (new.name, "multiply" if new.multiply else "values", new.multiply or new.values)
            for new, old in zip(factors, study.factors, strict=True)
            if new != old
        )
        for looks in LOOKS:
            for fresh in CONFIRMATION_SEEDS:
                plan = _planned(study, factors, looks, fresh)
                if plan is not None:
                    yield Design(plan=plan, levels=levels, worst=math.nan)


def _planned(study: Study, factors: tuple[Factor, ...], looks: tuple[int, ...], fresh: int) -> Plan | None:
    """The study with these levels, looks and seeds; None where it has too many trials."""
    decision = dataclasses.replace(study.decision, looks=looks, confirmation_seeds=fresh)
    seeds = tuple(range(looks[-1]))
    try:
        return build_plan(dataclasses.replace(study, factors=factors, seeds=seeds, decision=decision))
    except PlanError:
        return None


def _nearest(factor: Factor, study: Study, per_side: int | None) -> Factor:
    """The factor with only its levels nearest to the default on each side; unordered ones stay whole."""
    given = factor.multiply or factor.values
    if per_side is None or factor.name == REPEAT:
        return factor
    default = getattr(study.baseline, factor.name)
    values = [value for _, value in factor.levels(study.baseline)]
    if not is_number(default):
        return factor  # no side of the default
    below = sorted({value for value in values if value < default})[-per_side:]
    above = sorted({value for value in values if value > default})[:per_side]
    kept = tuple(g for g, value in zip(given, values, strict=True) if value in (*below, *above))
    if len(kept) == len(given):
        return factor
    if factor.multiply:
        return dataclasses.replace(factor, multiply=kept)
    return dataclasses.replace(factor, values=kept)


def _listed(values: Sequence[Any]) -> str:
    """A list as Hydra reads it from the command line."""
    return "[" + ",".join(str(value) for value in values) + "]"
