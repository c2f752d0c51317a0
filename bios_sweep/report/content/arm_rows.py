"""Arms and trials as rows: means, curves, and the results table."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.procedure.state import Results, State
from bios_sweep.procedure.tables import table_of
from bios_sweep.report.content.wording import finite_or_none
from bios_sweep.study.arms import Arm
from bios_sweep.study.design import JUDGING
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import Stage, Status


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """One arm. factor: None of a default's own. changes: setting -> value, against the baseline.

    finals: stage -> seed -> final metric of its completed trials, None where it is not known. mean: over its
    screening trials, and only when none is missing. statuses: how its trials ended -> how many.
    """

    arm: str
    factor: str | None
    level: Any
    label: str
    changes: Mapping[str, Any]
    settings: Mapping[str, Any]
    examples: int
    notes: tuple[str, ...]
    finals: Mapping[str, Mapping[str, float | None]]
    mean: float | None
    statuses: Mapping[str, int]
    trial_keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A measurement on a curve. fraction: of the training; value: the study's metric; None: not finite."""

    step: int
    fraction: float
    eval_loss: float | None
    value: float | None


def arms_of(plan: Plan, state: State) -> tuple[Arm, ...]:
    """The arms of the plan, then those that joined it on the way."""
    return (*plan.arms, *state.extra_arms)


def arm_row(plan: Plan, state: State, arm: Arm, results: Results) -> ArmRow:
    """What is told of one arm."""
    trials = _trials(state, arm)
    finals = {
        stage: {
            str(trial.seed): results[trial.key].final.get(plan.study.metric.name)
            for trial in trials
            if trial.stage == stage and trial.key in results and results[trial.key].status == Status.COMPLETED
        }
        for stage in dict.fromkeys(trial.stage for trial in trials)
    }
    statuses = Counter(results[t.key].status for t in trials if t.key in results)
    screened = [value for value in finals.get(Stage.SCREENING, {}).values() if value is not None]
    whole = bool(screened) and len(screened) == sum(trial.stage == Stage.SCREENING for trial in trials)
    return ArmRow(
        arm=arm.name,
        factor=arm.factor,
        level=arm.level,
        label=arm.label,
        changes=arm.changes,
        settings=arm.settings.by_name(),
        examples=arm.examples(),
        notes=tuple(arm.notes),
        finals=finals,
        mean=statistics.fmean(screened) if whole else None,
        statuses=dict(statuses),
        trial_keys=tuple(trial.key for trial in trials),
    )


def curves_of(plan: Plan, state: State, arm: Arm, results: Results) -> tuple[tuple[CurvePoint, ...], ...]:
    """One curve per screening trial with a result."""
    metric = plan.study.metric.name
    return tuple(
        _points(results[t.key], metric)
        for t in _trials(state, arm)
        if t.key in results and t.stage == Stage.SCREENING
    )


def _points(result: TrialResult, metric: str) -> tuple[CurvePoint, ...]:
    """The last measurement at each step; a script may say its final value twice."""
    last = {point.step: point for point in result.curve}
    return tuple(
        CurvePoint(
            step=point.step,
            fraction=point.fraction,
            eval_loss=finite_or_none(point.eval_loss),
            value=None if (value := point.value(metric)) is None else finite_or_none(value),
        )
        for _, point in sorted(last.items())
    )


def results_rows(plan: Plan, state: State, results: Results) -> list[dict[str, Any]]:
    """The results table: one row per trial with a result, in the contract's columns.

    Its last columns are what a reader of the table alone needs for the sweep's own margin and bounds.
    """
    arms, judged = {arm.name: arm for arm in arms_of(plan, state)}, _judged(plan, state, results)
    said = {name for trial in state.needed for name in trial.settings.by_name()}
    names = [name for name in plan.study.baseline.names if name in said]
    return [
        {
            **_row(plan, trial, arms[trial.arm], results[trial.key]),
            **{name: getattr(trial.settings, name) for name in names},
            **judged,
        }
        for trial in state.needed
        if trial.key in results
    ]


def _judged(plan: Plan, state: State, results: Results) -> dict[str, Any]:
    """How the values are judged, the same in every row. looks: how often screening might have decided.

    untouched: the metric of the untrained model, by which the margin may shrink; None where unknown.
    """
    metric, start = plan.study.metric, table_of(plan, state.needed, results).untouched
    return {
        "metric": metric.name,
        "direction": metric.direction,
        "untouched": None if start is None else finite_or_none(start),
        "looks": len(plan.study.decision.looks),
        **{f"decision.{name}": getattr(plan.study.decision, name) for name in JUDGING},
    }


def _row(plan: Plan, trial: TrialSpec, arm: Arm, result: TrialResult) -> dict[str, Any]:
    return {
        "arm": trial.arm,
        "seed": trial.seed,
        "value": result.final.get(plan.study.metric.name),
        "factor": arm.factor or "",
        "level": "" if arm.level is None else arm.level,
        "status": result.status,
        "stage": trial.stage,
        **_joined(plan, trial),
        "wall_seconds": round(result.wall_seconds, 3),
        "tokens": result.tokens,
        "trial_key": trial.key,
    }


def _joined(plan: Plan, trial: TrialSpec) -> dict[str, Any]:
    """At which of several looks the trial's seed joined: an arm that was out by then has fewer."""
    seeds, rule = plan.study.seeds, plan.study.decision
    if len(rule.looks) < 2:
        return {}
    screened = trial.stage == Stage.SCREENING
    return {"look": rule.look_at(seeds.index(trial.seed)) if screened else ""}


def _trials(state: State, arm: Arm) -> list[TrialSpec]:
    return [trial for trial in state.needed if trial.arm == arm.name]
