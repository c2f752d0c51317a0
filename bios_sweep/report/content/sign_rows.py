"""The signs of every arm as rows, each with the advice that the guide has for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bios_sweep.curves.remedies import REMEDIES, remedy_text
from bios_sweep.procedure import Results, State, diagnosis_of
from bios_sweep.report.content.arm_rows import arms_of
from bios_sweep.study.plan import Plan


@dataclass(frozen=True, kw_only=True)
class SignRow:
    """A sign in an arm's curves: what was seen, by which threshold, and the guide's advice.

    numbers: what the rule measured, by name. trials: how many were looked at.
    """

    arm: str
    sign: str
    seen: str
    numbers: Mapping[str, float]
    threshold: float
    source: str
    trials: int
    advice: str
    advice_source: str


def sign_rows(plan: Plan, state: State, results: Results) -> tuple[SignRow, ...]:
    """One row per arm and sign, arms in the order of the plan, an arm's gravest sign first."""
    return tuple(
        SignRow(
            arm=arm.name,
            sign=sign.name,
            seen=sign.seen,
            numbers=sign.numbers,
            threshold=sign.threshold,
            source=sign.source,
            trials=found.trials,
            advice=remedy_text(sign.name, arm.settings),
            advice_source=REMEDIES[sign.name].source,
        )
        for arm in arms_of(plan, state)
        for found in [diagnosis_of(plan, state, arm, results)]
        for sign in found.signs
    )


def unjudged_lines(plan: Plan, state: State, results: Results) -> list[str]:
    """One line on the signs that the baseline's trials could not be looked at for, and why; else none."""
    missing = diagnosis_of(plan, state, plan.baseline, results).unjudged
    return [f"signs not judged: {'; '.join(missing)}"] if missing else []
