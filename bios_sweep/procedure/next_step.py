"""The cheapest step that would settle one question, with its trials; others know what they cost. Pure.

docs/statistics.md, item 17. Of what a sweep left open as a whole `suggestion` makes the next study.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bios_sweep.claims import REPEAT
from bios_sweep.decision.bounds import Bound, student
from bios_sweep.decision.choice import NextStep, Step
from bios_sweep.decision.claims.evidence import INSENSITIVE
from bios_sweep.decision.finding import EDGE, Finding, Margin
from bios_sweep.decision.fresh import SEEDS_MISSING
from bios_sweep.decision.gates import BASELINE_DIVERGED, BLOCKS_MISSING
from bios_sweep.decision.question import Question
from bios_sweep.decision.verdicts import NO_CLUSTERS, TOO_FEW_CLUSTERS
from bios_sweep.errors import PlanError
from bios_sweep.procedure.another_baseline import gentler
from bios_sweep.procedure.by_hand import STOPPED
from bios_sweep.procedure.next_levels import (
    FREEDOM,
    LEAST_SEEDS,
    MOST_SEEDS,
    NEAREST,
    POWER,
    extended,
    seeds_needed,
)
from bios_sweep.procedure.questions import arms_asked, factor_of
from bios_sweep.procedure.screening import NO_LEVEL as NONE_TESTED
from bios_sweep.procedure.state import Results, State
from bios_sweep.procedure.suggestion import FRESH_SEEDS, Ask, again, asked
from bios_sweep.reasons import is_any
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Stage, Status, Word

COARSER = (
    2.0,
    3.0,
    4.0,
    6.0,
    8.0,
)  # times the margin that is tried where seeds alone would be too many; chosen


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A step and the trials that it adds. factor: as it would be asked, where that changed."""

    step: NextStep
    trials: tuple[TrialSpec, ...] = ()
    factor: Factor | None = None


def next_step(plan: Plan, question: Question, state: State, results: Results) -> Planned | None:
    """What would settle a question of a sweep that is done; None where it is settled, or nothing would.

    plan: of the question's cell.
    """
    if state.stage != Stage.DONE or question.factor == REPEAT or question not in state.findings:
        return None
    try:
        return _step(plan, question, state, results)
    except PlanError:  # a level beyond what the setting can be
        return None


def _step(plan: Plan, question: Question, state: State, results: Results) -> Planned | None:
    final, screening = state.findings[question], state.screening[question]
    if final.state in (Word.CONFIRM, Word.REFINE):
        return None
    if is_any(final.reasons, BASELINE_DIVERGED):
        study = gentler(plan, state, results).study
        rate = None if study is None else study.baseline.learning_rate
        return _study(Step.RATE, study, results, levels=(rate,))
    if is_any(final.reasons, *STOPPED):
        return _taken_up(plan, question, state, results)
    if is_any(final.reasons, BLOCKS_MISSING, SEEDS_MISSING, NONE_TESTED):
        lost = tuple(t for t in state.needed if t.key in results and results[t.key].status == Status.FAILED)
        return Planned(step=NextStep(kind=Step.AGAIN, trials=len(lost)), trials=lost)
    if is_any(final.reasons, NO_CLUSTERS, TOO_FEW_CLUSTERS):
        return Planned(step=NextStep(kind=Step.NARROWER, trials=0))
    if is_any(final.reasons, INSENSITIVE):
        return _worse(plan, question, state, results)
    margin = state.margins.get(question, state.margin)
    if margin is not None and final.state == Word.INCONCLUSIVE and question.claim.plain:
        wanted = clusters_needed(screening, margin.percent, plan.study.decision.alpha)
        if wanted is not None and not final.fresh:
            return Planned(step=NextStep(kind=Step.EVALUATION, clusters=wanted))
    found = asked(plan, question, state, results)
    if isinstance(found, Ask):
        return _asked(plan, state, found, results)
    if is_any(final.reasons, EDGE):  # no margin moves the end of a grid
        return None
    too_many = found is not None and margin is not None and question.claim.plain and screening.bounds
    return _coarser(plan, question, screening, margin, state) if too_many and margin else None


def _taken_up(plan: Plan, question: Question, state: State, results: Results) -> Planned:
    """The trials that the arms lack on the seeds that the others had."""
    halted = [arm for arm in plan.arms if arm.name in arms_asked(plan, question) & state.halted]
    seeds = {trial.seed for trial in state.needed if trial.stage == Stage.SCREENING}
    names = {arm.name for arm in halted}
    lacking = tuple(
        trial
        for trial in plan.trials
        if trial.arm in names and trial.seed in seeds and trial.key not in results
    )
    levels = tuple(arm.name for arm in halted)
    return Planned(step=NextStep(kind=Step.TAKEN_UP, trials=len(lacking), levels=levels), trials=lacking)


def clusters_needed(screening: Finding, margin: float, alpha: float) -> int | None:
    """Clusters of the evaluation that would do, where their error alone keeps more seeds from deciding."""
    near = [
        bound for bound in screening.bounds if bound.clusters and bound.upper >= margin and bound.lower <= 0
    ]
    needed = [_clusters(bound, margin, alpha) for bound in near]
    told = [count for count in needed if count is not None]
    return max(told) if told else None


def _clusters(bound: Bound, margin: float, alpha: float) -> int | None:
    """None where seeds can do it. Half of the variance that is allowed is left to the seeds."""
    own = bound.standard_error**2 - bound.noise / max(1, bound.seeds)
    distance = max(margin - bound.gain, NEAREST * margin)
    allowed = (distance / (student(alpha, FREEDOM) + POWER)) ** 2
    if not math.isfinite(own) or own < allowed:
        return None
    return math.ceil(bound.clusters * own / (allowed / 2.0))


def _asked(plan: Plan, state: State, ask: Ask, results: Results) -> Planned | None:
    study = again(plan, state, [ask], ()).study
    if study is None:
        return None
    if ask.kind == Step.CONFIRMATION:
        count = study.decision.confirmation_seeds or FRESH_SEEDS
        one = plan.trials[:1]
        return Planned(
            step=NextStep(kind=ask.kind, seeds=count, trials=2 * count),
            trials=one * (2 * count),
            factor=ask.factor,
        )
    if ask.kind in (Step.SEEDS, Step.SEVERAL):
        levels = tuple(level for _, level in ask.factor.levels(study.baseline))
        return _study(ask.kind, study, results, levels=levels, seeds=len(study.seeds), factor=ask.factor)
    used = {trial.seed for trial in state.needed if trial.stage == Stage.SCREENING}
    before = {arm.level for arm in plan.arms_of(ask.factor.name)}
    new = tuple(level for _, level in ask.factor.levels(study.baseline) if level not in before)
    return _study(ask.kind, study, results, levels=new, used=used, factor=ask.factor)


def _study(
    kind: Step,
    study: Study | None,
    results: Results,
    *,
    levels: tuple[Any, ...],
    seeds: int | None = None,
    used: Collection[int] | None = None,
    factor: Factor | None = None,
) -> Planned | None:
    """A step that is a study: its trials that are not there yet. used: seeds that count; None: all."""
    if study is None:
        return None
    new = tuple(
        trial
        for trial in build_plan(study).trials
        if trial.key not in results and (used is None or trial.seed in used)
    )
    step = NextStep(kind=kind, trials=len(new), seeds=seeds, levels=levels)
    return Planned(step=step, trials=new, factor=factor)


def _worse(plan: Plan, question: Question, state: State, results: Results) -> Planned | None:
    """One level further out, where a loss would show."""
    factor, study = factor_of(plan, question), plan.study
    tested = [level for _, level in factor.levels(study.baseline)]
    default = getattr(study.baseline, factor.name, None)
    if not all(isinstance(level, int | float) for level in (default, *tested)):
        return None
    far = max(tested) if factor.name == "learning_rate" else min(tested)
    ask = Ask(factor=extended(factor, study.baseline, far), why="", kind=Step.WORSE)
    return _asked(plan, state, ask, results)


def _coarser(
    plan: Plan, question: Question, screening: Finding, margin: Margin, state: State
) -> Planned | None:
    """The least coarse margin that a number of fresh seeds one would pay for could decide."""
    for times in COARSER:
        needed = seeds_needed(screening, times * margin.percent, plan.study.decision.alpha)
        if needed is not None and needed <= MOST_SEEDS:
            open_levels = [one for one in screening.bounds if one.upper >= times * margin.percent]
            names = {bound.arm for bound in open_levels or screening.bounds[:1]}
            arms = [arm for arm in plan.arms if arm.name in names]
            trials = tuple(trial for trial in plan.trials if trial.arm in {*names, plan.baseline.name})[
                : needed * (1 + len(arms))
            ]
            step = NextStep(
                kind=Step.MARGIN,
                trials=needed * (1 + len(arms)),
                seeds=max(LEAST_SEEDS, needed),
                levels=tuple(arm.level for arm in arms),
                margin=times * margin.percent,
            )
            return Planned(step=step, trials=trials)
    return None
