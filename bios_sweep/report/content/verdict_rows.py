"""Verdicts as a reader is told them: one per judged question, with the way to extend a short grid."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.finding import EDGE
from bios_sweep.decision.question import Question
from bios_sweep.decision.statement import Verdict, make_verdict
from bios_sweep.procedure import (
    UNFINISHED,
    UNTESTED,
    WINNER,
    State,
    factor_of,
    levels_of,
    questions,
    serves,
    stands_for,
    untested_reasons,
)
from bios_sweep.reasons import Reason, is_any
from bios_sweep.report.content.advice import EXTEND, advice
from bios_sweep.report.content.goals import settings_of
from bios_sweep.report.content.scope import scope_of
from bios_sweep.report.content.search_row import search_verdict
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Goal, Stage


def verdicts_of(plan: Plan, state: State) -> tuple[Verdict, ...]:
    """One verdict per question that has been judged so far."""
    told = [
        _verdict(cell, question, state)
        for cell in plan.cells or (plan,)
        for question in questions(cell)
        if question in state.findings
    ]
    if WINNER in state.findings and state.search is not None and state.search.winner is not None:
        told.append(search_verdict(plan, state, state.search, state.search.winner))
    return tuple(told)


def _verdict(plan: Plan, question: Question, state: State) -> Verdict:
    study, factor = plan.study, question.factor
    verdict = make_verdict(
        levels_of(plan, factor, state.untested),
        state.screening[question],
        state.findings[question],
        state.margins.get(question, state.margin),
        role=factor_of(plan, question).role,
        claim=question.claim,
        arms=[arm.name for arm in plan.arms if arm.name not in state.untested],
        hold=study.budget.hold,
        scope=scope_of(plan, state.findings[question]),
        alpha=study.decision.alpha,
        looks=len(study.decision.looks),
        limit=judgement_of(question.claim).limit(study.decision),
        served=_served(plan, state, question),
        withheld=_withheld(state, question),
        recommended=_recommended(plan, state, question),
        cell=question.cell,
        metric=study.metric.name,
    )
    return replace(verdict, reasons=(*verdict.reasons, *untested_reasons(plan, factor, state.untested)))


def _served(plan: Plan, state: State, question: Question) -> Any:
    """The value that this very claim serves; an open one serves nothing, whatever another claim does."""
    finding = state.findings[question]
    if state.stage != Stage.DONE or question in state.withheld or not serves(question, finding):
        return None
    return stands_for(plan, question, finding)


def _withheld(state: State, question: Question) -> Reason | None:
    if state.stage != Stage.DONE and serves(question, state.findings[question]):
        return UNFINISHED()
    return state.withheld.get(question)


def _recommended(plan: Plan, state: State, question: Question) -> Any:
    """What the file gives the claim's goal for the factor; the default while nothing is served.

    plan: of the question's cell; another than the study's own is about no file.
    """
    if not question.served or plan.baseline.name != BASELINE:
        return None
    if state.stage != Stage.DONE:
        return getattr(plan.study.baseline, question.factor)
    return getattr(settings_of(plan, state, question.claim.goal or Goal.BALANCED), question.factor)


def told_verdict(plan: Plan, verdict: Verdict, command: str) -> Verdict:
    """A verdict with its advice and, where its best level ends a grid that can grow, the command for it."""
    told = replace(verdict, advice=advice(verdict))
    if is_any(verdict.reasons, UNTESTED):
        return told
    factor = next((factor for factor in plan.study.factors if factor.name == verdict.factor), None)
    if factor is not None and is_any(verdict.reasons, EDGE):
        extend = f"{command} {shlex.quote(_one_level_more(factor, plan.study.baseline, verdict))}"
        return replace(told, extend=extend, reasons=(*told.reasons, EXTEND(command=extend)))
    return told


def _one_level_more(factor: Factor, baseline: TrainingSettings, verdict: Verdict) -> str:
    """The override that adds the next level beyond the best one: half of the lowest, twice the highest."""
    kind = "multiply" if factor.multiply else "values"
    listed = list(factor.multiply or factor.values)
    higher = verdict.best_level > verdict.default
    beyond = max(listed) * 2 if higher else min(listed) / 2
    if factor.values and baseline.counts(factor.name):
        beyond = max(1, int(beyond))
    levels = [*listed, beyond] if higher else [beyond, *listed]
    return f"sweeps.factors.{factor.name}.{kind}=[{','.join(f'{level:g}' for level in levels)}]"
