"""Confirmation: the candidates meet their rivals once more, on seeds that did not choose them. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from bios_sweep.decision.finding import Finding, FreshTest, Margin
from bios_sweep.decision.fresh import judge_fresh
from bios_sweep.decision.question import Question
from bios_sweep.procedure.budgets import seen_budgets, without_equal_budget
from bios_sweep.procedure.by_hand import UNMET, halted_arms
from bios_sweep.procedure.cell import Cell, Fresh, fresh_of, joined
from bios_sweep.procedure.questions import WINNER
from bios_sweep.procedure.served import OWN_RATE, done, retuned
from bios_sweep.procedure.state import State
from bios_sweep.procedure.together import combination_of, held_together
from bios_sweep.reasons import Kind
from bios_sweep.study.arms import Arm, duration_arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.stages import confirmation_trials
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Stage, Word

NO_FRESH_SEEDS = Kind("no confirmation seeds: no value is served")


def confirmed(cell: Cell, state: State, candidates: Mapping[Question, Finding], margin: Margin) -> State:
    """The state while fresh seeds are missing, and the end of the sweep once they are there."""
    winner = state.search.winner if state.search else None
    arms, tests = _sent(cell, candidates, winner)
    together = winner or combination_of(cell, candidates)
    if together is not None:
        arms[together.name] = together
    trials = confirmation_trials(cell.plan.study, tuple(arms.values()), _met_before(cell.plan, candidates))
    gone = halted_arms(trials, cell.known.stopped, cell.results)
    if gone:
        return _without(cell, state, candidates, tests, trials, gone, margin)
    extra = [arm for arm in arms.values() if arm not in cell.plan.arms and arm != winner]
    state = dataclasses.replace(
        state,
        stage=Stage.CONFIRMATION,
        needed=joined(state.needed, trials),
        missing=cell.missing(trials),
        combination=together,
        extra_arms=(*(state.search.arms if state.search else ()), *extra),
    )
    if state.missing:
        return state
    fresh = fresh_of(cell, trials)
    margins = {question: state.margins.get(question, margin) for question in candidates}
    ended = done(cell, state, {**state.findings, **_judged(cell, candidates, tests, fresh, margins, trials)})
    return held_together(cell, ended, candidates, together, fresh, margin)


def _without(
    cell: Cell,
    state: State,
    candidates: Mapping[Question, Finding],
    tests: Mapping[Question, FreshTest],
    trials: Sequence[TrialSpec],
    gone: frozenset[str],
    margin: Margin,
) -> State:
    """The confirmation of the candidates that still run; fresh seeds that were seen stay needed."""
    lost = {question: gone & {tests[question].arm, tests[question].over} for question in candidates}
    left_open = {
        question: _stopped(cell.plan, finding, lost[question])
        for question, finding in candidates.items()
        if lost[question]
    }
    state = dataclasses.replace(
        state,
        needed=joined(state.needed, [trial for trial in trials if trial.key in cell.results]),
        findings={**state.findings, **left_open},
        halted=state.halted.union(gone),
    )
    rest = {question: finding for question, finding in candidates.items() if not lost[question]}
    return confirmed(cell, state, rest, margin) if rest else done(cell, state, state.findings)


def _stopped(plan: Plan, finding: Finding, arms: Collection[str]) -> Finding:
    unmet = (UNMET(level=plan.arm(arm).label or arm) for arm in sorted(arms))
    reasons = (*finding.reasons, *unmet)
    return dataclasses.replace(finding, state=Word.INCONCLUSIVE, test=None, reasons=reasons)


def foreseen(cell: Cell, state: State, candidates: Mapping[Question, Finding]) -> State:
    """Screening with the fresh trials of candidates that were found at an earlier look.

    The word of a look stands: a candidate, its rival and the seeds on which they meet are what they are,
    whatever the questions come to that are still open. So a worker without another trial may begin theirs.
    What is judged, when, and by which trials stays the same, and so does every error rate. Where an earlier
    study's answers may decide the seeds, the candidates are not known before the last of them is.
    """
    if not candidates or not cell.rule.confirmation_seeds or cell.plan.study.history is not None:
        return state
    arms, _ = _sent(cell, candidates, None)
    trials = [
        trial
        for trial in confirmation_trials(cell.plan.study, tuple(arms.values()))
        if trial.arm not in cell.known.stopped or trial.key in cell.results
    ]
    return dataclasses.replace(
        state,
        needed=joined(state.needed, trials),
        ahead=cell.missing(trials),
        extra_arms=tuple(arm for arm in arms.values() if arm not in cell.plan.arms),
    )


def _met_before(plan: Plan, candidates: Iterable[Question]) -> tuple[int, ...]:
    """The seeds on which all of these met the default already, where their words stand; else none.

    An answer that stands costs nothing: its trials are there. A candidate beside them that is new needs fresh
    seeds, and the others meet it there, for what holds together is a new question.
    """
    history = plan.study.history
    known = (
        {}
        if history is None
        else {
            (factor.factor, one.claim, one.cell): one.fresh
            for factor in history.factors
            for one in factor.stands
        }
    )
    met = {known.get((asked.factor, asked.claim.name, asked.cell), ()) for asked in candidates}
    return met.pop() if len(met) == 1 else ()


def unconfirmed(cell: Cell, state: State, candidates: Mapping[Question, Finding]) -> State:
    """The end of a sweep whose candidates meet nobody: the study plans no fresh seeds."""
    left = {
        question: dataclasses.replace(finding, state=Word.UNCONFIRMED, reasons=(NO_FRESH_SEEDS(),))
        for question, finding in candidates.items()
    }
    return done(cell, state, {**state.findings, **left})


def _sent(
    cell: Cell, candidates: Mapping[Question, Finding], winner: Arm | None
) -> tuple[dict[str, Arm], dict[Question, FreshTest]]:
    """The arms that run on fresh seeds, the default first, and each candidate's test against its rival."""
    arms, tests = {cell.plan.baseline.name: cell.plan.baseline}, {}
    for question, finding in candidates.items():
        assert finding.test is not None  # chosen so
        rival = _rival(cell, finding.test)
        arm = winner if winner and question == WINNER else cell.plan.arm(finding.test.arm)
        arms |= {arm.name: arm, rival.name: rival}
        tests[question] = dataclasses.replace(finding.test, over=rival.name)
    return arms, tests


def _rival(cell: Cell, test: FreshTest) -> Arm:
    """What a candidate is held against: an arm of the plan, or the default trained for the same cost."""
    over = cell.plan.arm(test.over)
    if test.duration is None:
        return over
    longer = duration_arm(cell.plan.study, test.duration, over)
    longer = dataclasses.replace(longer, name=longer.name + cell.plan.suffix)
    same = [arm for arm in cell.plan.arms if arm.settings == longer.settings and not arm.repeat]
    return same[0] if same else longer


def _judged(
    cell: Cell,
    candidates: Mapping[Question, Finding],
    tests: Mapping[Question, FreshTest],
    fresh: Fresh,
    margins: Mapping[Question, Margin],
    trials: Sequence[TrialSpec],
) -> dict[Question, Finding]:
    """Every candidate by its own test; one with a learning rate of its own says that it goes with it."""
    judged = {}
    for question, test in tests.items():
        found = judge_fresh(
            candidates[question],
            test,
            fresh.table,
            margins[question],
            cell.rule.alpha,
            fresh.guards,
            fresh.sums,
        )
        spent = seen_budgets(cell.plan, trials, cell.results, (test.arm, test.over))
        found = without_equal_budget(cell.plan, found, spent)
        if retuned(cell.plan, found):
            found = dataclasses.replace(found, reasons=(*found.reasons, OWN_RATE(arm=test.arm)))
        judged[question] = found
    return judged
