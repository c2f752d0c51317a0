"""What `init` answers: what was found in model and data, and what a first sweep of them would take."""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.report.content.plan_summary import PlanSummary
from bios_sweep.report.content.wording import count, number, plural


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """A first sweep; `to_json` of it is what `init --json` prints.

    file: that was written. command: runs it; look: shows its plan, which launches nothing. plan: as
    `plan --json` prints it.
    """

    file: str
    command: str
    look: str
    plan: PlanSummary


def data_line(plan: PlanSummary) -> str:
    """How much is trained on and learned, and what a cut takes; empty where no tokenizer was read."""
    if plan.truncation is None or not plan.truncation.train:
        return ""
    row = plan.truncation.train[0]
    text = (
        f"{plural(row.examples, 'example')} to train on, {count(row.tokens)} tokens, "
        f"{count(row.supervised_tokens)} of them learned"
    )
    if not row.truncated:
        return f"{text}; none is longer than the {row.max_length} tokens of method.max_length"
    lost = f"{count(row.lost_supervised_tokens)} learned tokens are lost"
    return f"{text}; {plural(row.truncated, 'example')} cut at {row.max_length} tokens, {lost}"


def defaults_line(plan: PlanSummary) -> str:
    """The defaults that the sweep starts from, each with how sure it is."""
    told = [f"{name} {number(plan.baseline[name])} ({why.confidence})" for name, why in plan.origins.items()]
    return f"the default: {', '.join(told)}"


def chance_line(plan: PlanSummary) -> str:
    """How likely the study answers, at the margin that is chosen; empty where no noise is known."""
    chosen = next((row for row in plan.margins.rows if row.chosen), None) if plan.margins else None
    if chosen is None or chosen.confirms is None or chosen.finds is None:
        return ""
    return (
        f"chance of an answer: {100 * chosen.confirms:.0f} % that a default that nothing beats is confirmed, "
        f"{100 * chosen.finds:.0f} % that a gain of twice the margin is found"
    )
