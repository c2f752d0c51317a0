"""A sweep whose questions a later study judged again: it serves them no more. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bios_sweep.decision.statement import Verdict
from bios_sweep.procedure.looks import Asked, Overtaken, factors_served
from bios_sweep.reasons import Kind
from bios_sweep.report.content.summary import Summary
from bios_sweep.study.plan import Plan

JUDGED_AGAIN = Kind("{sweep} {how}")


def how_again(one: Overtaken) -> str:
    """What the later study did, after its name: with which trials, and by which rule."""
    trials = "with all trials together" if one.together else "on seeds that nobody had seen"
    rule = f", by another rule ({', '.join(one.rule)})" if one.rule else ""
    return f"judged it again, {trials}{rule}"


def withdrawn(summary: Summary, plan: Plan, overtaken: Mapping[Asked, Overtaken]) -> Summary:
    """A sweep as it is told once a later study judged its questions again."""
    if not overtaken:
        return summary
    factors = factors_served(plan, overtaken)
    lines = [
        f"{factor} ({claim}): {one.by} {how_again(one)}, and its word is served"
        for (factor, claim, _), one in overtaken.items()
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
        anew=tuple(f"{factor} ({claim}) by {one.by}" for (factor, claim, _), one in overtaken.items()),
    )


def _withdrawn(verdict: Verdict, overtaken: Mapping[Asked, Overtaken]) -> Verdict:
    one = overtaken.get((verdict.factor, verdict.claim, verdict.cell))
    if one is None or verdict.served is None:
        return verdict
    return replace(verdict, served=None, withheld=JUDGED_AGAIN(sweep=one.by, how=how_again(one)))
