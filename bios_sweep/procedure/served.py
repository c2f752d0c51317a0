"""The end of a sweep: which values its findings serve to everyone, and which only to a profile. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from bios_sweep.analysis.finding import CONFIRM, REFINE, Finding
from bios_sweep.procedure.cell import Cell
from bios_sweep.procedure.questions import Question
from bios_sweep.procedure.refinement import SEARCH
from bios_sweep.procedure.state import DONE, State
from bios_sweep.study.claims import FOR_ALL, QUALITY, REPEAT, SPEED, claimed_level
from bios_sweep.study.plan import Plan


def done(cell: Cell, state: State, findings: Mapping[str, Finding]) -> State:
    """The state with its last findings and what they serve; nothing is left to run."""
    served: dict[str, Any] = {}
    profiles: dict[str, dict[str, Any]] = {}
    for name, finding in findings.items():
        if name == SEARCH:
            continue  # served only where it holds against the best single level
        question = cell.asked[name]
        if not _serves(cell.plan, question, finding):
            continue
        factor, value = question.factor.name, _value(cell.plan, question, finding)
        if question.claim in FOR_ALL:
            served[factor] = value
        elif question.claim in (QUALITY, SPEED):
            profiles.setdefault(question.claim, {})[factor] = value
    return dataclasses.replace(
        state,
        stage=DONE,
        missing=(),
        findings=findings,
        margins={**(dict.fromkeys(findings, state.margin) if state.margin else {}), **state.margins},
        served=served,
        profiles=_differing(profiles, served),
    )


def without_untried(cell: Cell, state: State) -> State:
    """A profile's values go together with refined settings only where both were tried at once: not here."""
    base = cell.plan.study.baseline
    moved = {name for name, value in state.served.items() if value != getattr(base, name)}
    apart = {profile: moved - set(values) for profile, values in state.profiles.items()}
    findings = dict(state.findings)
    for name, finding in state.findings.items():
        question = cell.asked.get(name)
        if question is not None and apart.get(question.claim) and finding.state in (CONFIRM, REFINE):
            others = ", ".join(sorted(apart[question.claim]))
            reason = f"not served: it was not tried together with the refined {others}"
            findings[name] = dataclasses.replace(finding, reasons=(*finding.reasons, reason))
    kept = {profile: values for profile, values in state.profiles.items() if not apart[profile]}
    return dataclasses.replace(state, findings=findings, profiles=kept)


def retuned(plan: Plan, finding: Finding) -> bool:
    """Whether a refined level was tested with a learning rate of its own: alone it may not be served."""
    if finding.state != REFINE or finding.test is None:
        return False
    arm = finding.test.arm
    return next((known.rung for known in plan.arms if known.name == arm), 1.0) != 1.0


def _serves(plan: Plan, question: Question, finding: Finding) -> bool:
    settled = finding.state in (CONFIRM, REFINE) and question.factor.name != REPEAT
    return settled and not retuned(plan, finding)


def _value(plan: Plan, question: Question, finding: Finding) -> Any:
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
    """A profile lists only what it wants otherwise than everyone."""
    kept = {
        profile: {name: value for name, value in values.items() if served.get(name) != value}
        for profile, values in profiles.items()
    }
    return {profile: values for profile, values in kept.items() if values}
