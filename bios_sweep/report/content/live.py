"""A sweep while it runs, as people watch it: arms by their gain so far, running trials, what failed. Pure.

The same value for `run` and for `status --watch`: who watches knows the plan, the state, the results so far
and what runs. Gains between two looks are told and decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bios_sweep.decision.bounds import Bound, paired_bound, unbounded
from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.looks import out_of
from bios_sweep.procedure.state import Results, State
from bios_sweep.report.content.expense import Tariff, hours_of
from bios_sweep.report.content.failure_rows import FailureRow, failure_rows
from bios_sweep.report.content.tally import Progress
from bios_sweep.report.content.wording import plural
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Stage, Status

FAILURES = 3  # that are told; the report has them all. Chosen


@dataclass(frozen=True, kw_only=True)
class LiveArm:
    """A variation on the seeds it shares with the default so far.

    gain, lower, upper: percent of the default's mean, positive = better; None where nothing is known yet, or
    one seed has no bound. ended, planned: its trials of this stage. word: what is special about it.
    """

    arm: str
    gain: float | None
    lower: float | None
    upper: float | None
    ended: int
    planned: int
    word: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the results so far amount to.

    arms: the best first. next_look: what a verdict waits for. hours: of training so far, one
    trial after the other, and those that the missing trials take at this pace, None while none was timed.
    money, money_left: what these cost, None where an hour has no price.
    """

    stage: str
    arms: tuple[LiveArm, ...]
    next_look: str
    failures: tuple[FailureRow, ...]
    hours: float
    hours_left: float | None
    money: float | None
    money_left: float | None


@dataclass(frozen=True, kw_only=True)
class LiveSweep:
    """All that is shown of a sweep that runs.

    workers: where trials run, or empty. judged_on: the metric in words. standing: None until it was asked
    for. seconds: since it began, and left, None before anything was measured.
    """

    title: str
    workers: str
    judged_on: str
    stage: str
    progress: Progress
    standing: Standing | None
    seconds: float
    seconds_left: float | None


def standing_of(
    plan: Plan, state: State, results: Results, stopped: frozenset[str], tariff: Tariff
) -> Standing:
    """Where the arms stand. stopped: those that somebody stopped by hand."""
    ended = [results[trial.key] for trial in state.needed if trial.key in results]
    hours = sum(result.wall_seconds for result in ended) / 3600.0
    left = hours_of(state.missing, state, results)
    cells = plan.cells or (plan,)
    arms = [row for cell in cells for row in _rows(cell, state, results, stopped)]
    return Standing(
        stage=state.stage,
        arms=tuple(sorted(arms, key=_rank)),
        next_look=_next_look(plan, state),
        failures=failure_rows(state, results)[-FAILURES:],
        hours=hours,
        hours_left=left,
        money=tariff.money(hours),
        money_left=tariff.money(left),
    )


def _rank(row: LiveArm) -> float:
    return math.inf if row.gain is None else -row.gain


def _rows(cell: Plan, state: State, results: Results, stopped: frozenset[str]) -> list[LiveArm]:
    stage = Stage.CONFIRMATION if state.stage == Stage.CONFIRMATION else Stage.SCREENING
    trials = [trial for trial in state.needed if trial.stage == stage]
    base = _values(cell, cell.baseline.name, trials, results)
    excluded = _excluded(state)
    names = [arm.name for arm in (*cell.arms[1:], *state.extra_arms) if arm.name.endswith(cell.suffix)]
    of_arm: dict[str, list[TrialSpec]] = {name: [] for name in names}
    for trial in trials:
        if trial.arm in of_arm:
            of_arm[trial.arm].append(trial)
    words = {**dict.fromkeys(stopped, "stopped by hand"), **dict.fromkeys(excluded, "excluded at a look")}
    return [_row(cell, name, base, own, results, words.get(name, "")) for name, own in of_arm.items() if own]


def _excluded(state: State) -> set[str]:
    """Arms that a look has shown to gain less than matters, where that ends what is asked of them."""
    return {
        arm
        for question, finding in state.screening.items()
        if judgement_of(question.claim).excludes and (margin := state.margins.get(question)) is not None
        for arm in out_of(finding, margin)
    }


def _row(
    cell: Plan, arm: str, base: Mapping[int, float], own: Sequence[TrialSpec], results: Results, word: str
) -> LiveArm:
    ended = [results[trial.key] for trial in own if trial.key in results]
    diverged = sum(result.status == Status.DIVERGED for result in ended)
    bound = None if diverged else _bound(cell, arm, base, _values(cell, arm, own, results))
    bounded = bound is not None and bound.seeds > 1
    return LiveArm(
        arm=arm,
        gain=bound.gain if bound else None,
        lower=bound.lower if bound and bounded else None,
        upper=bound.upper if bound and bounded else None,
        ended=len(ended),
        planned=len(own),
        word=f"diverged at {plural(diverged, 'seed')}" if diverged else word,
    )


def _values(plan: Plan, arm: str, trials: Sequence[TrialSpec], results: Results) -> dict[int, float]:
    """Seed -> final value of an arm's completed trials."""
    metric = plan.study.metric.name
    ended = [
        (trial.seed, results[trial.key]) for trial in trials if trial.arm == arm and trial.key in results
    ]
    return {
        seed: result.final[metric]
        for seed, result in ended
        if result.status == Status.COMPLETED and math.isfinite(result.final.get(metric, math.nan))
    }


def _bound(plan: Plan, arm: str, base: Mapping[int, float], own: Mapping[int, float]) -> Bound | None:
    """The gain on shared seeds with its own one-sided bounds; the verdict's come at a look, moderated."""
    shared = sorted(base.keys() & own.keys())
    level = abs(sum(base[seed] for seed in shared) / len(shared)) if shared else 0.0
    if not level:
        return None
    rule, sign = plan.study.decision, plan.study.metric.sign
    gains = np.array([100.0 * sign * (own[seed] - base[seed]) / level for seed in shared])
    if len(shared) < 2:
        return unbounded(arm, float(gains[0]))
    return paired_bound(arm, gains, rule.alpha / len(rule.looks))


def _next_look(plan: Plan, state: State) -> str:
    missing = len(state.missing)
    if state.stage == Stage.DONE:
        return ""
    waits = f"{plural(missing, 'trial')} to go"
    if state.stage == Stage.CONFIRMATION:
        return f"no verdict before all fresh seeds are in ({waits})"
    if state.stage == Stage.REFINEMENT:
        return f"a joint search runs ({waits} of those proposed)"
    seeds = [trial.seed for trial in state.missing if trial.seed in plan.study.seeds]
    place = max((plan.study.seeds.index(seed) + 1 for seed in seeds), default=1)
    looks = plan.study.decision.looks
    look = next((look for look in looks if look >= place), looks[-1])
    if max(looks) < 2:
        return f"one seed gives no verdict ({waits})"
    return f"no verdict before the look at {plural(look, 'seed')} ({waits})"


def sparkline(values: Sequence[float], marks: str) -> str:
    """A curve in so many characters as it has values, the lowest mark for its smallest."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    steps = (len(marks) - 1) / (high - low) if high > low else 0.0
    return "".join(marks[round((value - low) * steps)] if math.isfinite(value) else " " for value in values)
