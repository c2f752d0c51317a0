"""Whether a user's own script honours its seed: what is run to find out, and what was found.

Three answers are told apart. The same seed gives the same value: seeds pair arms as planned. It gives
another value: seeds pair nothing, so that bounds are wider and still right. Different seeds give one value
(a seed fixed inside the script): the replicates are copies, and their spread says nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from bios_sweep.analysis.finding import CONFIRM, INCONCLUSIVE
from bios_sweep.procedure.questions import questions
from bios_sweep.procedure.state import DONE, Results, State
from bios_sweep.study.claims import REPEAT
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import COMPLETED, SCREENING, TrialResult, TrialSpec
from bios_sweep.study.twin import first_trial, twin_arm, twin_trial


def with_twin(plan: Plan, results: Results, state: State) -> State:
    """The state of a sweep that also needs the twin; the state itself where it needs none.

    The twin comes second, beside the trial it repeats: a script that ignores its seed is known early.
    """
    twin = twin_trial(plan)
    if twin is None:
        return state
    state = _doubted(plan, results, state)
    if any(trial.key == twin.key for trial in state.needed):
        return state
    missing = state.missing if twin.key in results else _second(state.missing, twin)
    return dataclasses.replace(
        state,
        needed=_second(state.needed, twin),
        missing=missing,
        extra_arms=(*state.extra_arms, twin_arm(plan)),
        stage=SCREENING if missing and state.stage == DONE else state.stage,
    )


def _doubted(plan: Plan, results: Results, state: State) -> State:
    """A default is not confirmed by levels that changed nothing at all: the script may not read them."""
    reason = "no level changed the metric at all, so the script may not use the setting"
    doubted = {
        question.name: question.factor.name
        for cell in plan.cells or (plan,)
        for question in questions(cell)
        if question.name in state.findings and state.findings[question.name].state == CONFIRM
        if question.factor.name != REPEAT
        if all(unmoved(cell, arm.name, results) for arm in cell.arms_of(question.factor.name))
    }
    if not doubted:
        return state
    findings = {
        name: dataclasses.replace(finding, state=INCONCLUSIVE, reasons=(*finding.reasons, reason))
        if name in doubted
        else finding
        for name, finding in state.findings.items()
    }
    served = {name: value for name, value in state.served.items() if name not in doubted.values()}
    return dataclasses.replace(state, findings=findings, served=served)


def copied_seeds(plan: Plan, baseline: Mapping[int, TrialResult], metric: str) -> str:
    """Why the replicates of a script are none: the baseline's value is the same to the bit at every seed.

    baseline: seed -> result. An empty string where the values differ, and for our own engines.
    """
    values = [r.final.get(metric, math.nan) for r in baseline.values() if r.status == COMPLETED]
    if plan.study.scenario.repeatable or len(values) < 2 or len(set(values)) > 1 or math.isnan(values[0]):
        return ""
    return (
        f"the script ignores the seed: the baseline's {metric} is {values[0]:.6g} at all {len(values)} "
        "seeds, so they are copies and no replicates; let {seed} decide initialisation and example order"
    )


def pairing_lines(plan: Plan, results: Results) -> list[str]:
    """What the report says about a script's seed, and of arms that moved nothing; [] for our engines."""
    twin = twin_trial(plan)
    if twin is None:
        return []
    return [_pairing(plan, twin, results), *_unmoved(plan, results)]


def _pairing(plan: Plan, twin: TrialSpec, results: Results) -> str:
    first, again = results.get(first_trial(plan).key), results.get(twin.key)
    metric, seed = plan.study.metric.name, twin.seed
    if first is None or again is None:
        return (
            f"whether the script honours the seed is not checked yet (the baseline runs twice at seed {seed})"
        )
    if first.status != COMPLETED or again.status != COMPLETED:
        return (
            f"whether the script honours the seed could not be checked: of the baseline's two runs at seed "
            f"{seed} one is {first.status}, the other {again.status}"
        )
    one, two = (result.final.get(metric, math.nan) for result in (first, again))
    copied = copied_seeds(plan, _baseline(plan, results), metric)
    if copied:
        return copied
    if one == two:
        return (
            f"the script honours the seed: the baseline, run twice at seed {seed}, gave the same {metric} "
            f"({one:.6g}), so seeds pair the arms"
        )
    return (
        f"the script does not honour the seed: the baseline, run twice at seed {seed}, gave {metric} "
        f"{one:.6g} and {two:.6g}; seeds pair nothing, and bounds are wide for it but hold"
    )


def _baseline(plan: Plan, results: Results) -> dict[int, TrialResult]:
    trials = [trial for trial in plan.trials if trial.arm == plan.baseline.name and trial.key in results]
    return {trial.seed: results[trial.key] for trial in trials}


def _unmoved(plan: Plan, results: Results) -> list[str]:
    metric = plan.study.metric.name
    return [
        f"{arm.name}: exactly the baseline's {metric} at every seed; "
        f"does the script use {' and '.join(arm.changes)}?"
        for arm in plan.arms[1:]
        if not arm.repeat and unmoved(plan, arm.name, results)
    ]


def unmoved(plan: Plan, arm: str, results: Results) -> bool:
    """Whether a variation gave exactly the baseline's value at every seed."""
    metric = plan.study.metric.name
    base = _values(plan.trials, plan.baseline.name, results, metric)
    own = _values(plan.trials, arm, results, metric)
    return bool(own) and all(base.get(seed) == value for seed, value in own.items())


def _values(trials: Sequence[TrialSpec], arm: str, results: Results, metric: str) -> dict[int, float]:
    """Seed -> value of an arm's completed trials."""
    ended = [(trial, results[trial.key]) for trial in trials if trial.arm == arm and trial.key in results]
    return {trial.seed: r.final[metric] for trial, r in ended if r.status == COMPLETED and metric in r.final}


def _second(trials: Sequence[TrialSpec], twin: TrialSpec) -> tuple[TrialSpec, ...]:
    return (*trials[:1], twin, *trials[1:])
