"""Screening: every variation on the study's own seeds, look after planned look. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from bios_sweep.claims import Against, Claim
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.finding import Finding, Margin
from bios_sweep.decision.fresh import Guard, broken_guards
from bios_sweep.decision.gates import margin_of, stopped
from bios_sweep.decision.looks import last_bounds, out_of
from bios_sweep.decision.question import Question
from bios_sweep.decision.verdicts import Asked, screen_claims
from bios_sweep.procedure.budgets import judged_as_seen
from bios_sweep.procedure.by_hand import Rival, halted_arms, held_against, rivals_of
from bios_sweep.procedure.cell import Cell
from bios_sweep.procedure.pairing import doubted
from bios_sweep.procedure.questions import factor_of, ladder_of, levels_of
from bios_sweep.procedure.state import State
from bios_sweep.procedure.tables import costs_of, guards_of, sums_of, table_of
from bios_sweep.procedure.untested import untested_arms
from bios_sweep.reasons import Kind
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Stage, Word

NO_LEVEL = Kind("no level of the factor could be tested")


def screened(cell: Cell) -> State:
    """The state at the first look that lacks a trial, or after the last look, with every question closed."""
    needed: dict[str, TrialSpec] = {}
    findings: dict[Question, Finding] = {}
    still_open = list(cell.asked)
    margins: dict[Question, Margin] = {}
    margin = None
    untested: dict[str, str] = {}
    halted: frozenset[str] = frozenset()
    for look in cell.rule.looks:
        excluded = {one: excluded_arms(cell, one, findings.get(one), margins.get(one)) for one in still_open}
        wanted = look_trials(cell.plan, excluded, look)
        gone = halted_arms(wanted, cell.known.stopped, cell.results)
        halted |= gone
        trials = [trial for trial in wanted if trial.arm not in gone]
        ended = [trial for trial in wanted if trial.arm in gone and trial.key in cell.results]
        needed.update({trial.key: trial for trial in (*trials, *ended) if trial.key not in needed})
        missing = cell.missing(trials)
        if missing:
            return _screening(needed, findings, margins, untested=untested, missing=missing, halted=halted)
        asked_again = {trial.arm for trial in trials}
        untested = {arm: how for arm, how in untested.items() if arm not in asked_again}
        untested |= untested_arms(cell.plan, trials, cell.results)
        rivals = {
            one: rivals_of(cell.plan, one, gone.difference(excluded[one]), findings.get(one))
            for one in still_open
        }
        asked = [
            Asked(
                question=one,
                levels=levels_of(cell.plan, one.factor, {*untested, *(rival.arm for rival in rivals[one])}),
                ladder=ladder_of(cell.plan, one),
                excluded=excluded[one],
                bracket=findings[one].bracket if one in findings else None,
            )
            for one in still_open
        ]
        tested = [trial for trial in trials if trial.arm not in untested]
        margin, found = _look(cell, tested, asked, _before(cell, trials, findings), rivals)
        found = judged_as_seen(cell.plan, trials, cell.results, doubted(cell.plan, cell.results, found))
        found = {one: held_against(finding, rivals[one], margin) for one, finding in found.items()}
        findings |= found
        margins |= dict.fromkeys(found, margin) if margin else {}
        still_open = [question for question in still_open if findings[question].state == Word.UNDECIDED]
        if not still_open:
            break
    for question in still_open:
        findings[question] = dataclasses.replace(findings[question], state=Word.INCONCLUSIVE)
    return _screening(needed, findings, margins, margin, untested, halted=halted)


def excluded_arms(
    cell: Cell, question: Question, finding: Finding | None, margin: Margin | None
) -> dict[str, Bound]:
    """The arms that are out of a question, with the bounds that showed it; they run no more for its sake.

    Out is an arm that gains less than the margin, where nothing else is asked of it: of an optimum, and not
    inside a ladder, whose rungs stand for each other. finding, margin: of the look before.
    """
    alone = judgement_of(question.claim).excludes and factor_of(cell.plan, question).nuisance is None
    if finding is None or margin is None or not alone or not cell.rule.excludes:
        return {}
    return out_of(finding, margin)


def look_trials(plan: Plan, still_open: Mapping[Question, Collection[str]], look: int) -> list[TrialSpec]:
    """The trials that the open questions need at a look; what was decided runs no more seeds.

    still_open: question -> its arms that are out.
    """
    arms = {plan.baseline.name}
    for question, excluded in still_open.items():
        arms |= {arm.name for arm in plan.arms_of(question.factor) if arm.name not in excluded}
        if question.claim.against == Against.AS_LONG:
            arms |= set(plan.durations.values())
        for ladder in plan.ladders.get(question.factor, {}).values():
            arms |= set(ladder)
    seeds = plan.study.seeds[:look]
    return [trial for trial in plan.trials if trial.seed in seeds and trial.arm in arms]


def _before(
    cell: Cell, trials: Sequence[TrialSpec], findings: Mapping[Question, Finding]
) -> dict[str, Bound]:
    """Arm -> its bound at its last look, of the arms that run no more."""
    if not cell.rule.excludes:
        return {}
    return last_bounds(findings.values(), {trial.arm for trial in trials})


def _look(
    cell: Cell,
    trials: Sequence[TrialSpec],
    asked: Sequence[Asked],
    before: Mapping[str, Bound],
    rivals: Mapping[Question, Sequence[Rival]],
) -> tuple[Margin | None, dict[Question, Finding]]:
    """The margin and what each open question comes to, by the look's trials of the arms that were tested.

    Where a rival is no plain level of its factor, what levels are held against is gone: nothing is judged.
    """
    table = table_of(cell.plan, trials, cell.results)
    whole = [one for one in asked if one.levels.arms and not _without_yardstick(cell.plan, one, rivals)]
    found = screen_claims(
        table,
        whole,
        cell.rule,
        costs=costs_of(cell.plan, cell.known.timing),
        durations=cell.plan.durations,
        variations=cell.tried,
        sums=sums_of(cell.plan, trials, cell.results, cell.known),
        before=before,
    )
    found |= {one.question: stopped(table, one.levels, NO_LEVEL()) for one in asked if one not in whole}
    guards = guards_of(cell.plan, trials, cell.results, cell.known)
    alpha = cell.rule.alpha / len(cell.rule.looks)
    kept = {one.question: _guarded(found[one.question], one.question.claim, guards, alpha) for one in asked}
    return margin_of(table, cell.rule), kept


def _without_yardstick(plan: Plan, asked: Asked, rivals: Mapping[Question, Sequence[Rival]]) -> bool:
    own = {arm.name for arm in plan.levels_of(asked.question.factor)}
    gone = {rival.arm for rival in rivals[asked.question]}
    return bool(gone) and (asked.ladder is not None or not gone <= own)


def _guarded(finding: Finding, claim: Claim, guards: Sequence[Guard], alpha: float) -> Finding:
    """A claim of another level than the default serves it without fresh seeds: its guardrails hold here."""
    if not (claim.of_another_level and claim.served) or finding.state != Word.CONFIRM or finding.best is None:
        return finding
    broken = broken_guards(guards, finding.best, alpha)
    return dataclasses.replace(finding, state=Word.UNDECIDED, reasons=broken) if broken else finding


def _screening(
    needed: Mapping[str, TrialSpec],
    findings: dict[Question, Finding],
    margins: dict[Question, Margin],
    margin: Margin | None = None,
    untested: Mapping[str, str] | None = None,
    missing: tuple[TrialSpec, ...] = (),
    halted: frozenset[str] = frozenset(),
) -> State:
    return State(
        stage=Stage.SCREENING,
        needed=tuple(needed.values()),
        missing=missing,
        findings=findings,
        screening=findings,
        margin=margin,
        margins=margins,
        untested=untested or {},
        halted=halted,
    )
