"""A plan as plain values: what would run, what differs from the baseline, and what it costs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.jsonable import OPTIONAL
from bios_sweep.procedure.decidable import Decidable
from bios_sweep.procedure.state import State
from bios_sweep.report.content.evaluation import PlanEvaluation
from bios_sweep.report.content.margin_rows import MarginTable
from bios_sweep.report.content.plan_cost import PlanCost, Prices, examples_of, plan_cost
from bios_sweep.report.content.scope import Truncation, caveats, truncation
from bios_sweep.report.content.summary import MetricRow, metric_row
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.arms import Arm
from bios_sweep.study.design import Origin
from bios_sweep.study.plan import Plan
from bios_sweep.study.stable import steps_saved
from bios_sweep.study.stages import most_confirmation_trials, most_search_trials
from bios_sweep.vocabulary import Stage


@dataclass(frozen=True, kw_only=True)
class PlanArm:
    """An arm and its screening trials. tokens: None where they are not known."""

    arm: str
    factor: str | None
    level: Any
    changes: Mapping[str, Any]
    settings: Mapping[str, Any]
    trials: int
    reused: int
    to_run: int
    steps: int
    examples: int
    tokens: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PlanConfirmation:
    """trials_per_candidate: on fresh seeds, for each candidate and for the default; trials: needed so far."""

    seeds: int
    trials_per_candidate: int
    trials: int


@dataclass(frozen=True, kw_only=True)
class PlanSearch:
    """The joint search: its trials at most, and those that are needed so far."""

    most_trials: int
    trials: int


@dataclass(frozen=True, kw_only=True)
class PlanScoring:
    """What it costs to answer and score the evaluation examples, once per trial and once per worker.

    asked: as `data.score` says it. most_tokens: generated at most, by all trials to run. trial_seconds: what
    a trial's scoring takes, by earlier trials of the model (from_trials of them); None without any.
    """

    metric: str
    asked: str
    items: int
    clusters: int
    new_tokens: int
    most_tokens: int
    trial_seconds: float | None
    from_trials: int


def plan_scoring(plan: Plan, to_run: int, speed: tuple[float, int] | None) -> PlanScoring | None:
    """None where answers are not scored. speed: seconds per answer, and over how many trials."""
    score = plan.study.scenario.data.score
    if score is None:
        return None
    return PlanScoring(
        metric=score.metric,
        asked=score.asked,
        items=score.items,
        clusters=score.clusters,
        new_tokens=score.new_tokens,
        most_tokens=to_run * score.most_tokens,
        trial_seconds=None if speed is None else speed[0] * score.items,
        from_trials=0 if speed is None else speed[1],
    )


@dataclass(frozen=True, kw_only=True)
class PlanSummary:
    """What a plan would run and cost; `to_json` of it is what `plan --json` prints.

    `trials`, `to_run` and `reused` count what is known to be needed now: screening, and the confirmation once
    screening has named a candidate. most_trials, most_seconds: when every factor gets a candidate.
    estimate_seconds: None while neither a trial was timed nor the model's arithmetic is known; cost: the same
    in hours, GPU-hours and money. ends: of the data.
    """

    sweep: str
    sweep_id: str
    question: str
    scenario: str
    metric: MetricRow
    judged_on: str
    files: tuple[str, ...]
    baseline: Mapping[str, Any]
    origins: Mapping[str, Origin]
    arms: tuple[PlanArm, ...]
    seeds: tuple[int, ...]
    looks: tuple[int, ...]
    hold: str
    trials: int
    to_run: int
    reused: int
    examples: int
    tokens: int | None
    workers: int
    estimate_seconds: float | None
    most_seconds: float | None
    estimate_from_trials: int
    confirmation: PlanConfirmation
    search: PlanSearch
    most_trials: int
    truncation: Truncation | None
    ends: tuple[str, ...]
    notes: tuple[str, ...]
    caveats: tuple[str, ...]
    margins: MarginTable | None = field(default=None, metadata=OPTIONAL)
    warnings: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    scoring: PlanScoring | None = field(default=None, metadata=OPTIONAL)
    decidable: tuple[Decidable, ...] | None = field(default=None, metadata=OPTIONAL)
    cost: PlanCost | None = field(default=None, metadata=OPTIONAL)
    evaluation: PlanEvaluation | None = field(default=None, metadata=OPTIONAL)


def summarise_plan(
    plan: Plan, state: State, finished: Collection[str], prices: Prices | None, workers: int
) -> PlanSummary:
    """A plan by what is finished already.

    finished: keys of trials whose results will be reused.
    """
    study = plan.study
    arms = [_arm(plan, arm, finished) for arm in plan.arms]
    needed = {trial.key: trial for trial in (*plan.trials, *state.needed)}
    confirmation = [trial for trial in needed.values() if trial.stage == Stage.CONFIRMATION]
    searched = [trial for trial in needed.values() if trial.stage == Stage.REFINEMENT]
    if state.stage == Stage.SCREENING:
        to_run = [trial for trial in needed.values() if trial.key not in finished]
    else:  # what an early look decided needs no more seeds
        to_run = list(state.missing)
    examples = examples_of(to_run)
    saved = steps_saved(to_run)
    tokens = [_tokens(plan, trial.settings, saved.get(trial.key, 0)) for trial in to_run]
    more = _most_more(plan, state)
    cost = None
    if prices is not None:
        weighed = prices.weighed(to_run)
        cost = plan_cost(plan, weighed, weighed + prices.most_after(plan.arms, more), prices)
    return PlanSummary(
        sweep=study.name,
        sweep_id=plan.sweep_id,
        question=study.question,
        scenario=study.scenario.name,
        metric=metric_row(study.metric),
        judged_on=study.metric.words,
        files=tuple(study.scenario.files),
        baseline=study.scenario.engine_settings(study.baseline.by_name()),
        origins=study.origins,
        arms=tuple(arms),
        seeds=tuple(study.seeds),
        looks=tuple(study.decision.looks),
        hold=study.budget.hold,
        trials=len(needed),
        to_run=len(to_run),
        reused=sum(key in finished for key in needed),
        examples=examples,
        tokens=None if None in tokens else sum(filter(None, tokens)),
        workers=workers,
        estimate_seconds=None if cost is None else 3600.0 * cost.hours,
        most_seconds=None if cost is None else 3600.0 * cost.most_hours,
        estimate_from_trials=0 if cost is None else cost.from_trials,
        cost=cost,
        confirmation=PlanConfirmation(
            seeds=study.decision.confirmation_seeds,
            trials_per_candidate=study.decision.confirmation_seeds,
            trials=len(confirmation),
        ),
        search=PlanSearch(most_trials=most_search_trials(study), trials=len(searched)),
        most_trials=len(needed) + more,
        truncation=truncation(study.scenario.data),
        ends=tuple(study.scenario.data.ends),
        notes=(*plan.notes, *study.scenario.data.told, *study.scenario.data.ends),
        caveats=tuple(caveats(plan)),
    )


def _most_more(plan: Plan, state: State) -> int:
    """Trials that may follow those known to be needed: a search's proposals, candidates' fresh seeds."""
    study = plan.study
    if state.stage == Stage.SCREENING:
        known = sum(trial.stage == Stage.CONFIRMATION for trial in state.needed)  # of candidates found early
        return most_search_trials(study) + max(0, most_confirmation_trials(study) - known)
    if state.stage == Stage.REFINEMENT and state.search is not None:
        return state.search.wanted + most_confirmation_trials(study)
    return 0


def _tokens(plan: Plan, settings: TrainingSettings, saved: int = 0) -> int | None:
    """What a trial reads, by the mean of the examples as its own `max_length` cuts them.

    saved: steps that another trial trains for it.
    """
    tokens = plan.study.scenario.data.tokens_at(settings.max_length)
    return None if tokens is None else round(tokens * (settings.max_steps - saved) * settings.batch_size)


def _arm(plan: Plan, arm: Arm, finished: Collection[str]) -> PlanArm:
    keys = [trial.key for trial in plan.trials if trial.arm == arm.name]
    reused = sum(key in finished for key in keys)
    return PlanArm(
        arm=arm.name,
        factor=arm.factor,
        level=arm.level,
        changes=arm.changes,
        settings=arm.settings.by_name(),
        trials=len(keys),
        reused=reused,
        to_run=len(keys) - reused,
        steps=arm.settings.max_steps,
        examples=arm.examples(),
        tokens=_tokens(plan, arm.settings),
        notes=tuple(arm.notes),
    )
