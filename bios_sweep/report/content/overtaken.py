"""A sweep whose questions a later study judged again, with all trials: it serves them no more. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bios_sweep.decision.statement import Verdict
from bios_sweep.procedure.looks import Asked, factors_served
from bios_sweep.reasons import Kind
from bios_sweep.report.content.summary import Summary
from bios_sweep.study.plan import Plan

JUDGED_AGAIN = Kind("{sweep} judged it again, with all trials together")


def withdrawn(summary: Summary, plan: Plan, overtaken: Mapping[Asked, str]) -> Summary:
    """A sweep as it is told once a later study judged its questions with all trials."""
    if not overtaken:
        return summary
    factors = factors_served(plan, overtaken)
    lines = [
        f"{factor} ({claim}): judged again with all trials by {sweep}, whose word is served"
        for (factor, claim, _), sweep in overtaken.items()
    ]
    return replace(
        summary,
        verdicts=tuple(_withdrawn(verdict, overtaken) for verdict in summary.verdicts),
        served={name: value for name, value in summary.served.items() if name not in factors},
        profiles={
            goal: {name: value for name, value in values.items() if name not in factors}
            for goal, values in summary.profiles.items()
        },
        recommended={
            goal: {name: summary.baseline[name] if name in factors else values[name] for name in values}
            for goal, values in summary.recommended.items()
        },
        caveats=(*lines, *summary.caveats),
    )


def _withdrawn(verdict: Verdict, overtaken: Mapping[Asked, str]) -> Verdict:
    by = overtaken.get((verdict.factor, verdict.claim, verdict.cell))
    if by is None or verdict.served is None:
        return verdict
    return replace(verdict, served=None, withheld=JUDGED_AGAIN(sweep=by))
