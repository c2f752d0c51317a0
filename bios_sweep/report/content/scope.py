"""How far a sweep's answers reach: the scope of a verdict, and the caveats printed beside all of them."""

from __future__ import annotations

from bios_sweep.decision.finding import Finding
from bios_sweep.report.content.truncation import truncation_lines
from bios_sweep.study.decision import VERSION
from bios_sweep.study.design import Origin
from bios_sweep.study.plan import Plan

EARLIER_RULE = (
    "judged by version 1 of the decision rule, under which this sweep began: one error for all arms, "
    "and every arm of an open question runs on"
)


def scope_of(plan: Plan, finding: Finding) -> str:
    """Where a verdict holds, and no further: data like these where the clusters' error is in its bounds."""
    scenario, hold = plan.study.scenario, plan.study.budget.hold
    count = scenario.data.eval_examples  # 0: only the script knows
    data = f"{count} examples of {scenario.data.name}" if count else f"that of {scenario.data.name}"
    clusters = finding.bound.clusters if finding.bound else 0
    where = (
        f"this data distribution ({data} in {clusters} clusters)"
        if clusters
        else f"this evaluation set ({data})"
    )
    return f"{where}, model {scenario.model.name}, {scenario.method.name}; {hold} held equal"


def caveats(plan: Plan) -> list[str]:
    """What is always printed beside a verdict."""
    baseline, hold = plan.baseline, plan.study.budget.hold
    spent = (
        f"{baseline.examples():,} training examples"
        if hold == "examples"
        else f"{baseline.settings.max_steps:,} steps"
    )
    crossed = ", ".join(moderator.setting for moderator in plan.study.cross)
    interactions = (
        f"interactions were tested with {crossed} only" if crossed else "interactions were not tested"
    )
    doubt = plan.study.metric.doubt
    lines = (
        [f"{doubt}; if so, run it without method.direction, no finished trial is repeated"] if doubt else []
    )
    if plan.study.decision.version < VERSION:
        lines.append(EARLIER_RULE)
    lines += [
        f"each variation changes one setting; all others stay at the baseline; {interactions}",
        f"arms compared: {len(plan.arms)} ({', '.join(arm.name for arm in plan.arms)})",
        f"held equal: {hold} ({spent} per arm, except where the factor itself changes them)",
    ]
    below = below_defaults(plan)
    if below:
        lines.append(f"the baseline is below the recommended defaults: {'; '.join(below)}")
    lines += truncation_lines(plan)
    scenario = plan.study.scenario
    carried = scenario.carried
    if carried is not None:
        told = ", ".join(carried) or "no setting"
        lines.append(f"the script is told {told} and the seed; every other setting is its own")
    if scenario.code:
        read = ", ".join(scenario.files) or "no file"
        lines.append(f"part of what a trial is: {read}; whatever else decides belongs in method.inputs")
    return lines


def below_defaults(plan: Plan) -> list[str]:
    """Baseline values that the configuration set below the heuristic's: `batch_size 32 instead of 128`."""
    found = []
    for name in ("batch_size", "max_steps", "lora_rank"):
        value = getattr(plan.study.baseline, name)
        default = plan.study.origins.get(name, Origin()).recommended
        if isinstance(default, int | float) and value < default:
            found.append(f"{name} {value} instead of {default}")
    return found
