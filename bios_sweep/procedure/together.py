"""Whether refined settings hold together: each was tested alone, and the file serves them at once. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.claims import REPEAT
from bios_sweep.decision.finding import Finding, Margin
from bios_sweep.decision.fresh import KEEP_DEFAULT, SIZE_OPEN, combination_holds
from bios_sweep.decision.question import Question
from bios_sweep.procedure.cell import Cell, Fresh
from bios_sweep.procedure.questions import WINNER, title_of
from bios_sweep.procedure.state import State
from bios_sweep.reasons import Kind, Reason, is_any
from bios_sweep.settings import IN_KEY
from bios_sweep.study.arms import Arm, combine
from bios_sweep.vocabulary import Word

BY_SEARCH = Kind("it moves with the winner of the joint search alone")
NOT_WITH_SEARCH = Kind("it was not tried together with the winner of the joint search, which is served")
NOT_TOGETHER = Kind("together with the other refined settings it does not hold; only {best} is served")


def for_everyone(findings: Mapping[Question, Finding]) -> dict[Question, Finding]:
    """Findings whose level would be served to everyone: those that have to hold together."""
    return {
        question: finding
        for question, finding in findings.items()
        if question.claim.for_everyone and question.factor != REPEAT
    }


def served_alone(cell: Cell, findings: Mapping[Question, Finding]) -> dict[Question, Finding]:
    """Of `for_everyone`, those at the default's own learning rate; the others are not served alone.

    Nor is another method or alpha rule served, which has tuned values of its own: levels that were measured
    at the default's method, a learning rate above all, say nothing about another.
    """
    return {
        question: finding
        for question, finding in for_everyone(findings).items()
        if question.factor not in IN_KEY
        and (finding.test is None or cell.plan.arm(finding.test.arm).rung == 1.0)
    }


def combination_of(cell: Cell, candidates: Mapping[Question, Finding]) -> Arm | None:
    """The candidates' combination, unless it is one of them again: no trial counts for two arms."""
    tests = [finding.test for finding in served_alone(cell, candidates).values()]
    singles = [cell.plan.arm(test.arm) for test in tests if test]
    if len(singles) < 2:
        return None
    together = combine(cell.plan.study, singles)
    return None if any(arm.settings == together.settings for arm in singles) else together


def held_together(
    cell: Cell,
    state: State,
    candidates: Mapping[Question, Finding],
    together: Arm | None,
    fresh: Fresh,
    margin: Margin,
) -> State:
    """The end of a sweep, serving of several refined settings only what was seen to hold at once.

    candidates: as screening sent them. together: their combination, or the joint search's winner.
    """
    sent = served_alone(cell, candidates)
    refined = [question for question in sent if state.findings[question].state == Word.REFINE]
    singles = [test.arm for question in refined if (test := sent[question].test)]
    joint = state.findings.get(WINNER)
    if joint is not None and joint.state != Word.REFINE:
        together = None  # a searched winner that did not replicate holds nothing together
    holds = (
        together is not None
        and bool(singles)  # else there is no single one to hold it against
        and (joint is not None or len(refined) == len(sent))
        and combination_holds(
            fresh.table, together.name, singles, margin, cell.rule.alpha, fresh.guards, fresh.sums
        )
    )
    if joint is not None and joint.state == Word.REFINE and (holds or not refined):
        apart = [question for question in refined if question.factor not in joint.value]
        state = _beside_the_search(_dropped(state, apart, NOT_WITH_SEARCH()), joint.value)
        return dataclasses.replace(state, served={**state.served, **joint.value})
    if len(refined) < 2 or holds:
        return state
    return _only_the_best(cell, state, refined)


def _beside_the_search(state: State, values: Mapping[str, Any]) -> State:
    """A setting that alone would stay as it is moves with the search's winner; its own finding says so."""
    findings = {
        question: dataclasses.replace(finding, reasons=_by_search(finding.reasons))
        if question.factor in values
        else finding
        for question, finding in state.findings.items()
    }
    return dataclasses.replace(state, findings=findings)


def _by_search(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """Reasons with the search in the place of the default, or behind those that keep nothing."""
    told = tuple(
        reason.kind(**{**reason.facts, "then": BY_SEARCH()})
        if reason.facts.get("then") == KEEP_DEFAULT()
        else reason
        for reason in reasons
    )
    return (*told, BY_SEARCH()) if is_any(told, SIZE_OPEN) else told


def _only_the_best(cell: Cell, state: State, refined: Sequence[Question]) -> State:
    """Refined factors that do not hold together: only the best of them is served."""
    best = max(refined, key=lambda question: _gain(state.findings[question]))
    reason = NOT_TOGETHER(best=title_of(cell.plan, best))
    state = _told(state, [best], reason)
    return _dropped(state, [question for question in refined if question != best], reason)


def _dropped(state: State, dropped: Sequence[Question], reason: Reason) -> State:
    """Without the values of some findings, which say why."""
    factors = {question.factor for question in dropped}
    served = {name: value for name, value in state.served.items() if name not in factors}
    withheld = {**state.withheld, **dict.fromkeys(dropped, reason)}
    return dataclasses.replace(_told(state, dropped, reason), served=served, withheld=withheld)


def _told(state: State, asked: Sequence[Question], reason: Reason) -> State:
    findings = {
        question: dataclasses.replace(finding, reasons=(*finding.reasons, reason))
        if question in asked
        else finding
        for question, finding in state.findings.items()
    }
    return dataclasses.replace(state, findings=findings)


def _gain(finding: Finding) -> float:
    return finding.bound.gain if finding.bound else float("-inf")
