"""The end of a sweep: which values its findings serve to everyone, and which only to a profile. Pure.

Whatever a finding settles is either served to the goal that it is about, or withheld with a reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.claims import REPEAT
from bios_sweep.decision.finding import Finding
from bios_sweep.decision.question import Question
from bios_sweep.procedure.cell import Cell
from bios_sweep.procedure.questions import WINNER, questions
from bios_sweep.procedure.refinement import serves_search
from bios_sweep.procedure.state import State
from bios_sweep.reasons import Kind, Reason
from bios_sweep.settings import IN_KEY, key_of
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Stage, Word

NOT_SERVED = Kind("not served: {why}")
UNFINISHED = Kind("the sweep is not finished")
OTHER_CELL = Kind("it is of a cell whose values are not the study's own")
BEATEN = Kind("it is not shown to hold beside the best single level")
OWN_RATE = Kind("it holds together with the settings of {arm}, so it is not served alone")
OF_KEY = Kind(
    "tuned values hold for one {factor} each, and these for the default's; {key}={value} asks for the others"
)
NOT_TRIED = Kind("it was not tried together with the refined {settings}")
SEARCH_SERVED = Kind("the winner of the joint search is served")
OTHER_SERVED = Kind("another value is served")
NO_OWN_CELL = Kind("no cell of the study has the values of its own baseline")
NO_SETTING = Kind("the study asks about no setting, it repeats its baseline")
NOTHING_SERVED = Kind("the study asks for nothing that is served, only for the {claim}")
UNKNOWN_METHOD = Kind(
    "which model and method the values would hold for is not known "
    "(a script's are said by model=... and method.trains=...)"
)


def done(cell: Cell, state: State, findings: Mapping[Question, Finding]) -> State:
    """The state with its last findings and what they serve; nothing is left to run."""
    findings = dict(findings)
    served: dict[str, Any] = {}
    profiles: dict[str, dict[str, Any]] = {}
    withheld: dict[Question, Reason] = {}
    for question, finding in tuple(findings.items()):
        if not serves(question, finding):
            continue  # the joint search's winner among them: served only where it beats the best single level
        factor, value = question.factor, stands_for(cell.plan, question, finding)
        if factor in IN_KEY and value != getattr(cell.plan.study.baseline, factor):
            withheld[question] = OF_KEY(factor=factor, key=key_of(factor), value=value)
            findings[question] = _with_reason(finding, withheld[question])
            continue
        if finding.test is not None and retuned(cell.plan, finding):
            withheld[question] = OWN_RATE(arm=finding.test.arm)
            continue
        if question.claim.for_everyone:
            served[factor] = value
        elif question.claim.goal is not None:
            profiles.setdefault(question.claim.goal, {})[factor] = value
    return dataclasses.replace(
        state,
        stage=Stage.DONE,
        missing=(),
        findings=findings,
        margins={**(dict.fromkeys(findings, state.margin) if state.margin else {}), **state.margins},
        served=served,
        profiles=profiles,
        withheld=withheld,
    )


def settled(cell: Cell, state: State) -> State:
    """The end of `done`: profiles go with refined settings only where both were tried at once.

    Tried were the default, every level alone, and what is served to everyone. A profile lists only what it
    wants otherwise than everyone.
    """
    state = _without_untried(cell, state)
    profiles = _differing(state.profiles, state.served)
    state = dataclasses.replace(state, profiles=profiles)
    unexplained = _unexplained(cell, state)
    found = {question: why for question, why in unexplained.items() if question not in state.withheld}
    findings = {
        question: _with_reason(finding, found[question]) if question in found else finding
        for question, finding in state.findings.items()
    }
    return dataclasses.replace(state, findings=findings, withheld={**state.withheld, **found})


def _with_reason(finding: Finding, why: Reason) -> Finding:
    return dataclasses.replace(finding, reasons=(*finding.reasons, NOT_SERVED(why=why)))


def _without_untried(cell: Cell, state: State) -> State:
    findings, withheld, kept = dict(state.findings), dict(state.withheld), {}
    for profile, values in state.profiles.items():
        if _tried(cell.plan, state, values):
            kept[profile] = values
            continue
        others = ", ".join(sorted(_moved(cell.plan, state.served).keys() - values.keys()))
        reason = NOT_TRIED(settings=others)
        for question, finding in state.findings.items():
            if question.claim.goal != profile or question in withheld:
                continue
            if finding.state in (Word.CONFIRM, Word.REFINE):
                withheld[question] = reason
                findings[question] = _with_reason(finding, reason)
    return dataclasses.replace(state, findings=findings, profiles=kept, withheld=withheld)


def _tried(plan: Plan, state: State, values: Mapping[str, Any]) -> bool:
    moved = _moved(plan, {**state.served, **values})
    return len(moved) < 2 or moved == _moved(plan, state.served)


def _moved(plan: Plan, values: Mapping[str, Any]) -> dict[str, Any]:
    base = plan.study.baseline
    return {name: value for name, value in values.items() if value != getattr(base, name)}


def _unexplained(cell: Cell, state: State) -> dict[Question, Reason]:
    """A reason for whatever a finding settled and its goal does not get."""
    told = {
        question: _why_other(state, question)
        for question in cell.asked
        if (finding := state.findings.get(question)) is not None
        and serves(question, finding)
        and given(state, question) != stands_for(cell.plan, question, finding)
    }
    search = state.findings.get(WINNER)
    if search is not None and search.state == Word.REFINE and not serves_search(state):
        told[WINNER] = BEATEN()
    return told


def _why_other(state: State, question: Question) -> Reason:
    factor = question.factor
    if serves_search(state) and factor in state.findings[WINNER].value:
        return SEARCH_SERVED()
    return OTHER_SERVED()


def of_other_cells(cells: Sequence[Plan], states: Sequence[State]) -> dict[Question, Reason]:
    """Of a crossed study: what cells settled that are not the study's own is served to nobody."""
    return {
        question: OTHER_CELL()
        for cell, state in zip(cells, states, strict=True)
        for question in questions(cell)
        if (finding := state.findings.get(question)) is not None and serves(question, finding)
    }


def own_cell(plan: Plan) -> Plan | None:
    """The plan whose findings may be served: of a crossed study its own values' cell, if any."""
    if not plan.cells:
        return plan
    return plan.cells[0] if plan.cells[0].baseline.name == BASELINE else None


def no_file(plan: Plan, state: State) -> Reason | None:
    """Why a sweep leaves no tuned defaults, whatever it found or may find; None where it leaves some."""
    own = own_cell(plan)
    if own is None:
        return NO_OWN_CELL()
    asked = [question for question in questions(own) if question.factor != REPEAT]
    if not asked:
        return NO_SETTING()
    if not any(question.claim.served for question in asked):
        return NOTHING_SERVED(claim=asked[0].claim)
    if not plan.study.scenario.servable:
        return UNKNOWN_METHOD()
    return None if state.stage == Stage.DONE else UNFINISHED()


def given(state: State, question: Question) -> Any:
    """What the goal of a question gets for its factor; None where nothing is served."""
    everyone = state.served.get(question.factor)
    profile = state.profiles.get(question.claim.goal, {}) if question.claim.goal else {}
    return profile.get(question.factor, everyone)


def retuned(plan: Plan, finding: Finding) -> bool:
    """Whether a refined level was tested with a learning rate of its own: alone it may not be served."""
    if finding.state != Word.REFINE or finding.test is None:
        return False
    arm = finding.test.arm
    return next((known.rung for known in plan.arms if known.name == arm), 1.0) != 1.0


def serves(question: Question, finding: Finding) -> bool:
    """Whether a finding settles a value that somebody is to use; a control's is none."""
    return question.served and finding.state in (Word.CONFIRM, Word.REFINE)


def stands_for(plan: Plan, question: Question, finding: Finding) -> Any:
    """The level that a confirmed or refined claim stands for."""
    if finding.value is not None:
        return finding.value
    if finding.state == Word.CONFIRM or finding.best is None:
        return question.claim.claimed(getattr(plan.study.baseline, question.factor))
    return plan.arm(finding.best).level


def _differing(
    profiles: Mapping[str, Mapping[str, Any]], served: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    kept = {
        profile: {name: value for name, value in values.items() if served.get(name) != value}
        for profile, values in profiles.items()
    }
    return {profile: values for profile, values in kept.items() if values}
