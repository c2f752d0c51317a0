"""The end of a sweep: which values its findings serve to everyone, and which only to a profile. Pure.

Whatever a finding settles is either served to the goal that it is about, or withheld with a reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.decision.finding import CONFIRM, REFINE, Finding
from bios_sweep.procedure.cell import Cell
from bios_sweep.procedure.questions import Question, questions
from bios_sweep.procedure.refinement import SEARCH, serves_search
from bios_sweep.procedure.state import DONE, State
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.claims import FOR_ALL, QUALITY, REPEAT, SPEED, claimed_level
from bios_sweep.study.plan import Plan

SERVED = (*FOR_ALL, QUALITY, SPEED)  # claims whose value somebody is to use: not the least that pays
UNFINISHED = "the sweep is not finished"
OTHER_CELL = "it is of a cell whose values are not the study's own"
BEATEN = "it is not shown to hold beside the best single level"


def done(cell: Cell, state: State, findings: Mapping[str, Finding]) -> State:
    """The state with its last findings and what they serve; nothing is left to run."""
    served: dict[str, Any] = {}
    profiles: dict[str, dict[str, Any]] = {}
    withheld: dict[str, str] = {}
    for name, finding in findings.items():
        if name == SEARCH:
            continue  # served only where it holds against the best single level
        question = cell.asked[name]
        if not _serves(question, finding):
            continue
        if finding.test is not None and retuned(cell.plan, finding):
            withheld[name] = own_rate(finding.test.arm)
            continue
        factor, value = question.factor.name, stands_for(cell.plan, question, finding)
        if question.claim in FOR_ALL:
            served[factor] = value
        else:
            profiles.setdefault(question.claim, {})[factor] = value
    return dataclasses.replace(
        state,
        stage=DONE,
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
    found = {name: why for name, why in _unexplained(cell, state).items() if name not in state.withheld}
    findings = {
        name: _with_reason(finding, found[name]) if name in found else finding
        for name, finding in state.findings.items()
    }
    return dataclasses.replace(state, findings=findings, withheld={**state.withheld, **found})


def _with_reason(finding: Finding, why: str) -> Finding:
    return dataclasses.replace(finding, reasons=(*finding.reasons, f"not served: {why}"))


def _without_untried(cell: Cell, state: State) -> State:
    findings, withheld, kept = dict(state.findings), dict(state.withheld), {}
    for profile, values in state.profiles.items():
        if _tried(cell.plan, state, values):
            kept[profile] = values
            continue
        others = ", ".join(sorted(_moved(cell.plan, state.served).keys() - values.keys()))
        reason = f"it was not tried together with the refined {others}"
        for name, finding in state.findings.items():
            question = cell.asked.get(name)
            if question is None or question.claim != profile or name in withheld:
                continue
            if finding.state in (CONFIRM, REFINE):
                withheld[name] = reason
                findings[name] = _with_reason(finding, reason)
    return dataclasses.replace(state, findings=findings, profiles=kept, withheld=withheld)


def _tried(plan: Plan, state: State, values: Mapping[str, Any]) -> bool:
    moved = _moved(plan, {**state.served, **values})
    return len(moved) < 2 or moved == _moved(plan, state.served)


def _moved(plan: Plan, values: Mapping[str, Any]) -> dict[str, Any]:
    base = plan.study.baseline
    return {name: value for name, value in values.items() if value != getattr(base, name)}


def _unexplained(cell: Cell, state: State) -> dict[str, str]:
    """A reason for whatever a finding settled and its goal does not get."""
    told = {
        name: _why_other(state, question)
        for name, question in cell.asked.items()
        if (finding := state.findings.get(name)) is not None
        and _serves(question, finding)
        and given(state, question) != stands_for(cell.plan, question, finding)
    }
    search = state.findings.get(SEARCH)
    if search is not None and search.state == REFINE and not serves_search(state):
        told[SEARCH] = BEATEN
    return told


def _why_other(state: State, question: Question) -> str:
    factor = question.factor.name
    if serves_search(state) and factor in state.findings[SEARCH].value:
        return "the winner of the joint search is served"
    return "another value is served"


def of_other_cells(cells: Sequence[Plan], states: Sequence[State]) -> dict[str, str]:
    """Of a crossed study: what cells settled that are not the study's own is served to nobody."""
    return {
        question.name: OTHER_CELL
        for cell, state in zip(cells, states, strict=True)
        for question in questions(cell)
        if (finding := state.findings.get(question.name)) is not None and _serves(question, finding)
    }


def own_cell(plan: Plan) -> Plan | None:
    """The plan whose findings may be served: of a crossed study its own values' cell, if any."""
    if not plan.cells:
        return plan
    return plan.cells[0] if plan.cells[0].baseline.name == BASELINE else None


def no_file(plan: Plan, state: State) -> str:
    """Why a sweep leaves no tuned defaults, whatever it found or may find; empty where it leaves some."""
    own = own_cell(plan)
    if own is None:
        return "no cell of the study has the values of its own baseline"
    asked = [question for question in questions(own) if question.factor.name != REPEAT]
    if not asked:
        return "the study asks about no setting, it repeats its baseline"
    if not any(question.claim in SERVED for question in asked):
        return f"the study asks for nothing that is served, only for the {asked[0].claim}"
    if not plan.study.scenario.known:
        return (
            "which model and method the values would hold for is not known "
            "(a script's are said by model=... and method.trains=...)"
        )
    return "" if state.stage == DONE else UNFINISHED


def given(state: State, question: Question) -> Any:
    """What the goal of a question gets for its factor; None where nothing is served."""
    everyone = state.served.get(question.factor.name)
    return state.profiles.get(question.claim, {}).get(question.factor.name, everyone)


def own_rate(arm: str) -> str:
    """Why a level with a learning rate of its own is not served."""
    return f"it holds together with the settings of {arm}, so it is not served alone"


def retuned(plan: Plan, finding: Finding) -> bool:
    """Whether a refined level was tested with a learning rate of its own: alone it may not be served."""
    if finding.state != REFINE or finding.test is None:
        return False
    arm = finding.test.arm
    return next((known.rung for known in plan.arms if known.name == arm), 1.0) != 1.0


def _serves(question: Question, finding: Finding) -> bool:
    """Whether a finding settles a value that somebody is to use; a control's is none."""
    wanted = question.claim in SERVED and question.factor.name != REPEAT
    return wanted and finding.state in (CONFIRM, REFINE)


def stands_for(plan: Plan, question: Question, finding: Finding) -> Any:
    """The level that a confirmed or refined claim stands for."""
    if finding.value is not None:
        return finding.value
    if finding.state == CONFIRM or finding.best is None:
        default = getattr(plan.study.baseline, question.factor.name)
        claimed = claimed_level(question.claim, default)
        return default if claimed is None else claimed
    return plan.arm(finding.best).level


def _differing(
    profiles: Mapping[str, Mapping[str, Any]], served: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    kept = {
        profile: {name: value for name, value in values.items() if served.get(name) != value}
        for profile, values in profiles.items()
    }
    return {profile: values for profile, values in kept.items() if values}
