"""Whether a user's own script honours its seed: what is run to find out, and what was found.

Three answers are told apart. The same seed gives the same value: seeds pair arms as planned. It gives
another value: seeds pair nothing, so that bounds are wider and still right. Different seeds give one value
(a seed fixed inside the script): the replicates are copies, and their spread says nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.claims import REPEAT
from bios_sweep.decision.finding import Finding
from bios_sweep.decision.question import Question
from bios_sweep.procedure.state import Results, State
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.plan import Plan, first_trial, twin_arm, twin_trial
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import Stage, Status, Word

NOTHING_MOVED = Kind("no level changed the metric at all, so the script may not use the setting")
COPIED_SEEDS = Kind(
    "the script ignores the seed: all that the baseline told is the same at all {seeds} seeds "
    "({metric} {value:.6g}), so they are copies and no replicates; let {{seed}} decide "
    "initialisation and example order, or print a metric that tells runs apart"
)


def with_twin(plan: Plan, results: Results, state: State) -> State:
    """The state of a sweep that also needs the twin; the state itself where it needs none.

    The twin comes second, beside the trial it repeats: a script that ignores its seed is known early.
    """
    twin = twin_trial(plan)
    if twin is None:
        return state
    if _differs(plan, twin, results):
        unpaired = {one: dataclasses.replace(found, paired=False) for one, found in state.findings.items()}
        state = dataclasses.replace(state, findings=unpaired)
    if any(trial.key == twin.key for trial in state.needed):
        return state
    missing = state.missing if twin.key in results else _second(state.missing, twin)
    return dataclasses.replace(
        state,
        needed=_second(state.needed, twin),
        missing=missing,
        extra_arms=(*state.extra_arms, twin_arm(plan)),
        stage=Stage.SCREENING if missing and state.stage == Stage.DONE else state.stage,
    )


def _differs(plan: Plan, twin: TrialSpec, results: Results) -> bool:
    """Whether the baseline's two runs at one seed ended with two values."""
    both = [results.get(key) for key in (first_trial(plan).key, twin.key)]
    ended = [one for one in both if one is not None and one.status == Status.COMPLETED]
    values = {one.final.get(plan.study.metric.name, math.nan) for one in ended}
    return len(ended) == 2 and len(values) == 2


def doubted(plan: Plan, results: Results, findings: Mapping[Question, Finding]) -> dict[Question, Finding]:
    """Nothing is settled by levels that changed nothing at all: the script may not read them."""
    return {
        question: dataclasses.replace(
            finding, state=Word.INCONCLUSIVE, test=None, reasons=(*finding.reasons, NOTHING_MOVED())
        )
        if finding.state in (Word.CONFIRM, Word.CANDIDATE, Word.REFINE)
        and _nothing_moved(plan, results, question)
        else finding
        for question, finding in findings.items()
    }


def _nothing_moved(plan: Plan, results: Results, question: Question) -> bool:
    if twin_trial(plan) is None or question.factor == REPEAT:
        return False
    return all(unmoved(plan, arm.name, results) for arm in plan.arms_of(question.factor))


def copied_seeds(plan: Plan, trials: Sequence[TrialSpec], results: Results, metric: str) -> Reason | None:
    """Why the replicates of a script are none: the baseline's value is the same to the bit at every seed.

    trials: of all arms. None where the values differ, or those of another arm do (a baseline that solves
    nothing scores 0 at every seed), and for our own engines.
    """
    own = {trial.seed: results.get(trial.key) for trial in trials if trial.arm == plan.baseline.name}
    ended = [one for one in own.values() if one is not None and one.status == Status.COMPLETED]
    values = [result.final.get(metric, math.nan) for result in ended]
    if plan.study.scenario.repeatable or len(values) < 2 or math.isnan(values[0]):
        return None
    if len({_all_it_told(result, metric) for result in ended}) > 1:
        return None  # one value, but other runs: a coarse metric
    if any(len(set(_values(trials, arm, results, metric).values())) > 1 for arm in {t.arm for t in trials}):
        return None
    return COPIED_SEEDS(seeds=len(values), metric=metric, value=values[0])


def _all_it_told(result: TrialResult, metric: str) -> str:
    """Every number of a run but its times, as one text."""
    return repr(
        (sorted(result.final.items()), [(p.step, p.value(metric), p.train_loss) for p in result.curve])
    )


def pairing_lines(plan: Plan, results: Results) -> list[str]:
    """What the report says about a script's seed, and of settings that moved nothing; [] for our engines."""
    twin = twin_trial(plan)
    if twin is None:
        return []
    return [_pairing(plan, twin, results), *_unmoved(plan, results), *_uncrossed(plan, results)]


def _pairing(plan: Plan, twin: TrialSpec, results: Results) -> str:
    first, again = results.get(first_trial(plan).key), results.get(twin.key)
    metric, seed = plan.study.metric.name, twin.seed
    if first is None or again is None:
        return (
            f"whether the script honours the seed is not checked yet (the baseline runs twice at seed {seed})"
        )
    if first.status != Status.COMPLETED or again.status != Status.COMPLETED:
        return (
            f"whether the script honours the seed could not be checked: of the baseline's two runs at seed "
            f"{seed} one is {first.status}, the other {again.status}"
        )
    one, two = (result.final.get(metric, math.nan) for result in (first, again))
    copied = copied_seeds(plan, plan.trials, results, metric)
    if copied is not None:
        return str(copied)
    if one == two:
        return (
            f"the script honours the seed: the baseline, run twice at seed {seed}, gave the same {metric} "
            f"({one:.6g}), so seeds pair the arms"
        )
    return (
        f"the script does not honour the seed: the baseline, run twice at seed {seed}, gave {metric} "
        f"{one:.6g} and {two:.6g}; seeds pair nothing, and bounds are wide for it but hold; "
        f"{_where_they_part(first, again, metric)}"
    )


def _where_they_part(first: TrialResult, again: TrialResult, metric: str) -> str:
    """At which measurement two runs of one seed are no longer one, and what that tells of the script."""
    way_out = "set the seed before the model, its adapter and the order of the examples are made"
    values = ({point.step: point.value(metric) for point in result.curve} for result in (first, again))
    one, two = values
    steps = sorted(set(one) & set(two))
    apart = [step for step in steps if one[step] != two[step]]
    if not apart:
        return way_out
    if apart[0] == 0:
        return (
            "they differ at step 0, before any training: something is drawn before the seed is set, a new "
            f"head or the model itself; {way_out}"
        )
    if apart[0] == steps[0]:
        return f"they differ from the first measurement on, at step {apart[0]}; {way_out}"
    return (
        f"they differ from step {apart[0]} on and not before: an adapter initialised before the seed "
        "is set, an order of examples or dropout without it, or a device that adds in no fixed order; "
        f"{way_out}"
    )


def _unmoved(plan: Plan, results: Results) -> list[str]:
    metric = plan.study.metric.name
    return [
        f"{arm.name}: exactly the baseline's {metric} at every seed; "
        f"does the script use {' and '.join(arm.changes)}?"
        for cell in plan.cells or (plan,)  # an arm of a crossed study varies its own cell's baseline
        for arm in cell.arms
        if arm.name != cell.baseline.name and not arm.repeat and unmoved(cell, arm.name, results)
    ]


def _uncrossed(plan: Plan, results: Results) -> list[str]:
    """Crossed settings whose cells have one baseline: what differs between such cells is nothing at all."""
    metric = plan.study.metric.name
    return [
        f"{crossed.setting} (crossed): the baseline's {metric} is exactly the same with "
        f"{', '.join(map(str, crossed.values))} at every seed; does the script use {crossed.setting}?"
        for crossed in plan.study.cross
        if all(_one_value(plan, cells, results) for cells in _apart_in(plan, crossed.setting))
    ]


def _apart_in(plan: Plan, setting: str) -> list[list[Plan]]:
    """The cells in groups that agree in every other crossed setting."""
    others = [crossed.setting for crossed in plan.study.cross if crossed.setting != setting]
    groups: dict[tuple[Any, ...], list[Plan]] = {}
    for cell in plan.cells:
        groups.setdefault(tuple(getattr(cell.study.baseline, name) for name in others), []).append(cell)
    return list(groups.values())


def _one_value(plan: Plan, cells: Sequence[Plan], results: Results) -> bool:
    metric = plan.study.metric.name
    first, *rest = (_values(cell.trials, cell.baseline.name, results, metric) for cell in cells)
    return bool(first) and all(values == first for values in rest)


def unmoved(plan: Plan, arm: str, results: Results) -> bool:
    """Whether a variation gave exactly the baseline's value at every seed."""
    metric = plan.study.metric.name
    base = _values(plan.trials, plan.baseline.name, results, metric)
    own = _values(plan.trials, arm, results, metric)
    return bool(own) and all(base.get(seed) == value for seed, value in own.items())


def _values(trials: Sequence[TrialSpec], arm: str, results: Results, metric: str) -> dict[int, float]:
    """Seed -> value of an arm's completed trials."""
    ended = [(trial, results[trial.key]) for trial in trials if trial.arm == arm and trial.key in results]
    return {
        trial.seed: r.final[metric]
        for trial, r in ended
        if r.status == Status.COMPLETED and metric in r.final
    }


def _second(trials: Sequence[TrialSpec], twin: TrialSpec) -> tuple[TrialSpec, ...]:
    return (*trials[:1], twin, *trials[1:])
