"""A plan on a narrow console: a paragraph in place of a row, so that no word is cut."""

from __future__ import annotations

from rich.console import Console

from bios_sweep.checks import is_number
from bios_sweep.report.content.plan_summary import PlanSummary
from bios_sweep.report.content.wording import changes, clean, count, number, plural
from bios_sweep.report.text.layout import indented, line

NARROW = 70  # columns; chosen: below them the words of a table's cells are cut


def print_baseline(console: Console, plan: PlanSummary) -> None:
    """Each setting with its value, how sure that is, and where it came from."""
    for name, origin in plan.origins.items():
        value, default = plan.baseline[name], origin.recommended
        below = is_number(value) and is_number(default) and value < default
        told = f" (default {number(default)})" if below else ""
        line(console, f"{name}: {number(value)}{told}, {origin.confidence}")
        sources = [origin.rule, *([origin.source] if origin.source and origin.confidence != "given" else [])]
        indented(console, clean("; ".join(sources)))


def print_arms(console: Console, plan: PlanSummary) -> None:
    """Each arm with what differs, and what it takes."""
    for arm in plan.arms:
        line(console, f"{arm.arm}: {changes(arm.changes) or 'nothing differs'}")
        takes = f"{plural(arm.steps, 'step')}, {count(arm.examples)} examples, {count(arm.tokens)} tokens"
        indented(console, f"{takes}; {plural(arm.trials, 'trial')}, {arm.reused} reused")
