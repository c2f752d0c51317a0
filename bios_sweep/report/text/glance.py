"""Short answers in lines: a plan as an interactive session shows it, and the next study."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rich.console import Console

from bios_sweep.report.content.answers import SuggestionSummary
from bios_sweep.report.content.plan_summary import PlanSummary
from bios_sweep.report.content.wording import clean, duration, pasted, plural

LINES = 10
COLUMNS = 110  # chosen: a line of a notebook


def plan_lines(plan: PlanSummary) -> list[str]:
    """What would run, at what cost, and each arm."""
    cost = "" if plan.estimate_seconds is None else f", about {duration(plan.estimate_seconds)}"
    head = [
        f"{plan.sweep_id}: {plan.scenario}",
        f"judged on {plan.judged_on}",
        f"{plural(plan.trials, 'trial')}: {plan.to_run} to run, {plan.reused} reused{cost}",
    ]
    arms = [f"{arm.arm}: {plural(arm.to_run, 'trial')} to run, {arm.reused} reused" for arm in plan.arms]
    return _fitting([*head, *arms], LINES)


def html_of(lines: Sequence[str]) -> str:
    """The lines as a notebook shows them; everything in them is escaped."""
    first, *rest = (escape(line) for line in lines)
    return f"<b>{first}</b><br>" + "<br>".join(rest)


def _fitting(lines: Sequence[str], most: int) -> list[str]:
    short = [line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…" for line in map(clean, lines)]
    if len(short) <= most:
        return short
    return [*short[: most - 1], f"and {len(short) - most + 1} more"]


def print_suggestion(answer: SuggestionSummary, console: Console) -> None:
    """What is open, the file that was written, what it costs and how to run it."""
    for line in suggestion_lines(answer):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def suggestion_lines(answer: SuggestionSummary) -> list[str]:
    """The lines; without a study nothing would be settled by one."""
    lines = [f"after {clean(answer.sweep_id)}, judged on {clean(answer.judged_on)}"]
    lines += [f"- to bear in mind: {clean(text)}" for text in answer.warnings]
    lines += [f"- {clean(why)}" for why in answer.why]
    lines += [f"- stays open: {clean(one)}" for one in answer.open]
    study = answer.study
    if study is None:
        return [*lines, "no further study is suggested"]
    trials = f"{study.trials} trials ({len(study.arms)} arms), {study.reused} of them there already"
    more = study.most_trials - study.trials
    return [
        *lines,
        f"{trials}; up to {more} more to confirm a candidate" if more > 0 else trials,
        f"written: {clean(study.file)}",
        f"run it: {pasted(study.command)}",
        "or: bios-sweep run --next",
    ]
