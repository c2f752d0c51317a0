"""A sweep as plain values: what `report --json` prints and what every other form is drawn from. Pure."""

from __future__ import annotations

import shlex
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.analysis.bounds import Bound
from bios_sweep.analysis.costs import CostRatio
from bios_sweep.analysis.finding import CONFIRM, EDGE, REFINE, FactorLevels, Finding
from bios_sweep.analysis.frontier import Point, frontier
from bios_sweep.analysis.moderators import Interaction, interaction
from bios_sweep.analysis.statement import Verdict, make_verdict
from bios_sweep.procedure import (
    DONE,
    SEARCH,
    Question,
    Results,
    Search,
    State,
    levels_of,
    questions,
    serves_search,
    table_of,
)
from bios_sweep.settings import is_whole
from bios_sweep.study.arms import Arm
from bios_sweep.study.claims import MINIMUM
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import COMPLETED, DIVERGED, FAILED, SCREENING, TrialResult, TrialSpec


def summarise(plan: Plan, state: State, results: Results, command: str) -> dict[str, Any]:
    """Everything a reader of the sweep is told. `command` reproduces it.

    Keys: `sweep`, `sweep_id`, `question`, `scenario`, `stage`, `metric`, `margin` (percent, absolute),
    `counts`, `verdicts` (see `Verdict`), `baseline` (setting -> value), `origins`, `arms` (one record
    per arm with its mean and per-seed finals), `curves` (arm -> list of per-seed curves), `served`,
    `failures`, `caveats`, `notes`, `command`.
    """
    study = plan.study
    return {
        "sweep": study.name,
        "sweep_id": plan.sweep_id,
        "question": study.question,
        "scenario": study.scenario.name,
        "stage": state.stage,
        "metric": {"name": study.metric.name, "unit": study.metric.unit, "direction": study.metric.direction},
        "margin": {"percent": state.margin.percent, "absolute": state.margin.absolute}
        if state.margin
        else None,
        "counts": count_trials(state, results),
        "verdicts": [_told(plan, verdict, command) for verdict in verdicts_of(plan, state)],
        "baseline": study.baseline.to_dict(),
        "origins": {name: dict(origin) for name, origin in study.origins.items()},
        "arms": [_arm(plan, state, arm, results) for arm in _arms(plan, state)],
        "curves": {arm.name: _curves(state, arm, results) for arm in _arms(plan, state)},
        "served": dict(state.served),
        "profiles": _profiles(state),
        "frontier": _frontier(plan, state),
        "importance": dict(state.search.importance) if state.search else {},
        "search": _search(state),
        "moderators": _moderators(plan, state, results),
        "failures": _failures(state, results),
        "caveats": caveats(plan),
        "notes": list(plan.notes),
        "command": command,
    }


def _told(plan: Plan, verdict: Verdict, command: str) -> dict[str, Any]:
    """A verdict with, where its best level ends the grid, the command that extends it."""
    told = verdict.to_dict()
    factor = next((factor for factor in plan.study.factors if factor.name == verdict.factor), None)
    if factor is not None and any(reason.startswith(EDGE) for reason in verdict.reasons):
        told["extend"] = f"{command} {shlex.quote(_one_level_more(factor, verdict))}"
        told["reasons"] = [*told["reasons"], f"extend the grid: {told['extend']}"]
    return told


def _one_level_more(factor: Factor, verdict: Verdict) -> str:
    """The override that adds the next level beyond the best one: half of the lowest, twice the highest."""
    kind = "multiply" if factor.multiply else "values"
    listed = list(factor.multiply or factor.values)
    higher = verdict.best_level > verdict.default
    beyond = max(listed) * 2 if higher else min(listed) / 2
    if factor.values and is_whole(factor.name):
        beyond = max(1, int(beyond))
    levels = [*listed, beyond] if higher else [beyond, *listed]
    return f"sweeps.factors.{factor.name}.{kind}=[{','.join(f'{level:g}' for level in levels)}]"


def verdicts_of(plan: Plan, state: State) -> tuple[Verdict, ...]:
    """One verdict per question that has been judged so far."""
    told = [
        _verdict(cell, question, state)
        for cell in plan.cells or (plan,)
        for question in questions(cell)
        if question.name in state.findings
    ]
    if SEARCH in state.findings and state.search is not None and state.search.winner is not None:
        told.append(_search_verdict(plan, state, state.search, state.search.winner))
    return tuple(told)


def _served(state: State, question: Question) -> Any:
    """The value that this very claim serves; an open one serves nothing, whatever another claim does."""
    if question.claim == MINIMUM or state.findings[question.name].state not in (CONFIRM, REFINE):
        return None
    everyone = state.served.get(question.factor.name)
    return state.profiles.get(question.claim, {}).get(question.factor.name, everyone)


def _search_verdict(plan: Plan, state: State, search: Search, winner: Arm) -> Verdict:
    """The winner of the joint search, judged like any candidate; its levels are settings, not one value."""
    study = plan.study
    values = {name: getattr(winner.settings, name) for name in search.ranges}
    levels = FactorLevels(
        name=SEARCH,
        default={name: getattr(study.baseline, name) for name in search.ranges},
        arms=(winner.name,),
        levels=(values,),
        labels=(winner.name,),
    )
    return make_verdict(
        levels,
        state.screening[SEARCH],
        state.findings[SEARCH],
        state.margin,
        role="optimum",
        claim="joint",
        arms=[arm.name for arm in (plan.baseline, *search.arms)],
        hold=study.budget.hold,
        scope=scope_of(plan, state.findings[SEARCH]),
        alpha=study.decision.alpha,
        looks=len(study.decision.looks),
        served=values if serves_search(state) else None,
    )


def _verdict(plan: Plan, question: Question, state: State) -> Verdict:
    study, factor = plan.study, question.factor.name
    return make_verdict(
        levels_of(plan, factor),
        state.screening[question.name],
        state.findings[question.name],
        state.margins.get(question.name, state.margin),
        role=question.factor.role,
        claim=question.claim,
        arms=[arm.name for arm in plan.arms],
        hold=study.budget.hold,
        scope=scope_of(plan, state.findings[question.name]),
        alpha=study.decision.alpha,
        looks=len(study.decision.looks),
        served=_served(state, question),
        cell=question.cell,
    )


def _profiles(state: State) -> dict[str, dict[str, Any]]:
    """What is served, for whoever wants quality, balance or speed; {} where nothing differs."""
    if not state.profiles:
        return {}
    served = dict(state.served)
    return {name: {**served, **state.profiles.get(name, {})} for name in ("quality", "balanced", "speed")}


def _frontier(plan: Plan, state: State) -> list[dict[str, Any]]:
    """Arms whose gain and cost are both known, cheapest first; the default among them at 0 % and 1."""
    bounds = {bound.arm: bound for finding in state.screening.values() for bound in finding.bounds}
    name = plan.baseline.name
    bounds[name] = Bound(arm=name, gain=0.0, lower=0.0, upper=0.0, standard_error=0.0, pooled=True)
    costs = {name: CostRatio(arm=name, ratio=1.0, lower=1.0, upper=1.0), **state.costs}
    points = [
        Point(
            arm=arm.name,
            gain=bounds[arm.name],
            cost=costs[arm.name],
            steps=arm.settings.max_steps,
            examples=arm.examples(),
        )
        for arm in plan.arms
        if arm.name in bounds and arm.name in costs
    ]
    if len(points) < 2 or plan.cells:
        return []
    return [
        {
            "arm": point.arm,
            "gain": _finite(point.gain.gain),
            "lower": _finite(point.gain.lower),
            "upper": _finite(point.gain.upper),
            "cost_ratio": point.cost.ratio,
            "cost_lower": point.cost.lower,
            "cost_upper": point.cost.upper,
            "steps": point.steps,
            "examples": point.examples,
            "on_frontier": point.efficient,
        }
        for point in frontier(points)
    ]


def _moderators(plan: Plan, state: State, results: Results) -> list[dict[str, Any]]:
    """Per variation of a crossed study, how its gain differs between the first cell and each other one."""
    if not plan.cells or state.stage != DONE:
        return []
    first, *others = plan.cells
    start = table_of(first, _ended_screening(first, results), results)
    pairs = [
        (own, arm, cell)
        for cell in others
        for own, arm in zip(first.arms[1:], cell.arms[1:], strict=False)
        if own.factor is not None and (own.factor, own.label) == (arm.factor, arm.label)
    ]
    told = []
    alpha = plan.study.decision.alpha / len(plan.study.decision.looks)
    for own, arm, cell in pairs:
        table = table_of(cell, _ended_screening(cell, results), results)
        found = interaction(start, table, (own.name, arm.name), alpha, len(pairs))
        if found is not None:
            told.append(_moderator(plan, own, cell, found))
    return told


def _moderator(plan: Plan, arm: Arm, cell: Plan, found: Interaction) -> dict[str, Any]:
    first = plan.cells[0]
    shown = found.lower > 0 or found.upper < 0
    word = "depends on" if shown else "is not shown to depend on"
    settings = ", ".join(moderator.setting for moderator in plan.study.cross)
    sentence = (
        f"the gain of {arm.name.partition(' @ ')[0]} {word} {settings}: "
        f"{found.gains[0]:+.2f} % at {first.cell}, {found.gains[1]:+.2f} % at {cell.cell}, "
        f"difference {found.difference:+.2f} % "
        f"({found.lower:+.2f} to {found.upper:+.2f} %, {found.seeds} paired seeds)"
    )
    cells = [
        {"cell": name, "verdict": "", "gain": gain, "lower": None, "upper": None}
        for name, gain in zip((first.cell, cell.cell), found.gains, strict=True)
    ]
    return {
        "factor": arm.factor,
        "moderator": settings,
        "arm": arm.name,
        "cells": cells,
        "difference": found.difference,
        "lower": found.lower,
        "upper": found.upper,
        "sentence": sentence,
    }


def _ended_screening(plan: Plan, results: Results) -> list[TrialSpec]:
    return [trial for trial in plan.trials if trial.key in results]


def _search(state: State) -> dict[str, Any] | None:
    """What the joint search did, the estimate that chose its winner beside the one from fresh seeds."""
    search = state.search
    if search is None:
        return None
    confirmed = state.findings.get(SEARCH)
    return {
        "trials": len(search.arms),
        "ranges": {name: list(ends) for name, ends in search.ranges.items()},
        "best": {name: getattr(search.winner.settings, name) for name in search.ranges}
        if search.winner
        else None,
        "screening_gain": search.gain,
        "confirmed_gain": confirmed.bound.gain if confirmed and confirmed.bound else None,
        "confirmed_lower": _finite(confirmed.bound.lower) if confirmed and confirmed.bound else None,
    }


def count_trials(state: State, results: Results) -> dict[str, int]:
    """Planned = completed + diverged + failed once the sweep is done; `waiting` is what has no result yet."""
    ended = Counter(results[trial.key].status for trial in state.needed if trial.key in results)
    return {
        "planned": len(state.needed),
        "completed": ended[COMPLETED],
        "diverged": ended[DIVERGED],
        "failed": ended[FAILED],
        "waiting": len(state.needed) - sum(ended.values()),
    }


def scope_of(plan: Plan, finding: Finding) -> str:
    """Where a verdict holds, and no further: data like these where the clusters' error is in its bounds."""
    scenario, hold = plan.study.scenario, plan.study.budget.hold
    data = f"{scenario.data.eval_examples} examples of {scenario.data.name}"
    clusters = finding.bound.clusters if finding.bound else 0
    where = (
        f"this data distribution ({data} in {clusters} clusters)"
        if clusters
        else f"this evaluation set ({data})"
    )
    return f"{where}, model {scenario.model.name}, {scenario.method}; {hold} held equal"


def caveats(plan: Plan) -> list[str]:
    """What is always printed beside a verdict."""
    baseline, hold = plan.baseline, plan.study.budget.hold
    spent = (
        f"{baseline.examples():,} training examples"
        if hold == "examples"
        else f"{baseline.settings.max_steps:,} steps"
    )
    crossed = ", ".join(moderator.setting for moderator in plan.study.cross)
    interactions = (
        f"interactions were tested with {crossed} only" if crossed else "interactions were not tested"
    )
    lines = [
        f"each variation changes one setting; all others stay at the baseline; {interactions}",
        f"arms compared: {len(plan.arms)} ({', '.join(arm.name for arm in plan.arms)})",
        f"held equal: {hold} ({spent} per arm, except where the factor itself changes them)",
    ]
    below = below_defaults(plan)
    if below:
        lines.append(f"the baseline is below the recommended defaults: {'; '.join(below)}")
    return lines


def below_defaults(plan: Plan) -> list[str]:
    """Baseline values that the configuration set below the heuristic's: `batch_size 32 instead of 128`."""
    found = []
    for name in ("batch_size", "max_steps", "lora_rank"):
        value = getattr(plan.study.baseline, name)
        default = plan.study.origins.get(name, {}).get("recommended")
        if isinstance(default, int | float) and value < default:
            found.append(f"{name} {value} instead of {default}")
    return found


def _arms(plan: Plan, state: State) -> tuple[Arm, ...]:
    return (*plan.arms, *state.extra_arms)


def _trials(state: State, arm: Arm) -> list[TrialSpec]:
    return [trial for trial in state.needed if trial.arm == arm.name]


def _arm(plan: Plan, state: State, arm: Arm, results: Results) -> dict[str, Any]:
    """One arm's record; means are over its completed screening trials, and only when none is missing."""
    trials = _trials(state, arm)
    finals = {
        stage: {
            trial.seed: results[trial.key].final.get(plan.study.metric.name)
            for trial in trials
            if trial.stage == stage and trial.key in results and results[trial.key].status == COMPLETED
        }
        for stage in dict.fromkeys(trial.stage for trial in trials)
    }
    statuses = Counter(results[t.key].status for t in trials if t.key in results)
    screened = [value for value in finals.get("screening", {}).values() if value is not None]
    whole = bool(screened) and len(screened) == sum(trial.stage == SCREENING for trial in trials)
    return {
        "arm": arm.name,
        "factor": arm.factor,
        "level": arm.level,
        "label": arm.label,
        "changes": dict(arm.changes),
        "settings": arm.settings.to_dict(),
        "examples": arm.examples(),
        "notes": list(arm.notes),
        "finals": {
            stage: {str(seed): value for seed, value in seeds.items()} for stage, seeds in finals.items()
        },
        "mean": statistics.fmean(screened) if whole else None,
        "statuses": dict(statuses),
        "trial_keys": [trial.key for trial in trials],
    }


def _curves(state: State, arm: Arm, results: Results) -> list[list[dict[str, Any]]]:
    return [
        _points(results[t.key]) for t in _trials(state, arm) if t.key in results and t.stage == "screening"
    ]


def _points(result: TrialResult) -> list[dict[str, Any]]:
    return [
        {"step": point.step, "fraction": point.fraction, "eval_loss": _finite(point.eval_loss)}
        for point in result.curve
    ]


def _finite(value: float) -> float | None:
    return value if value - value == 0.0 else None


def _failures(state: State, results: Results) -> list[dict[str, Any]]:
    return [
        {
            "arm": trial.arm,
            "seed": trial.seed,
            "key": trial.key,
            "status": result.status,
            "cause": result.cause,
        }
        for trial in state.needed
        if (result := results.get(trial.key)) is not None and result.status != COMPLETED
    ]


def results_rows(plan: Plan, state: State, results: Results) -> list[dict[str, Any]]:
    """The results table: one row per trial with a result, in the contract's columns."""
    arms = {arm.name: arm for arm in _arms(plan, state)}
    return [
        _row(plan, trial, arms[trial.arm], results[trial.key])
        for trial in state.needed
        if trial.key in results
    ]


def _row(plan: Plan, trial: TrialSpec, arm: Arm, result: TrialResult) -> dict[str, Any]:
    return {
        "arm": trial.arm,
        "seed": trial.seed,
        "value": result.final.get(plan.study.metric.name),
        "factor": arm.factor or "",
        "level": "" if arm.level is None else arm.level,
        "status": result.status,
        "stage": trial.stage,
        "wall_seconds": round(result.wall_seconds, 3),
        "tokens": result.tokens,
        "trial_key": trial.key,
        **trial.settings.to_dict(),
    }


def is_final(summary: Mapping[str, Any]) -> bool:
    """Whether the sweep has reached its verdicts."""
    return bool(summary["stage"] == DONE)


def exit_code(counts: Mapping[str, int]) -> int:
    """0, or 3 when trials failed: the verdicts stand on what is left."""
    return 3 if counts["failed"] else 0


def worst_first(failures: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Failed trials before diverged ones: the first need repair, the second are outcomes."""
    return sorted(failures, key=lambda failure: failure["status"] != FAILED)
