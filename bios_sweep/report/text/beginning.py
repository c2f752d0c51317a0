"""`init` for the terminal: what was found, what it takes, and the command to type next."""

from __future__ import annotations

from rich.console import Console

from bios_sweep.report.content.beginning import Beginning, chance_line, data_line, defaults_line
from bios_sweep.report.content.margins_section import margins_section
from bios_sweep.report.content.plan_cost import cost_lines
from bios_sweep.report.content.wording import count, pasted, plural
from bios_sweep.report.text.layout import HEAD, bullets, copyable, line
from bios_sweep.report.text.terminal import print_section


def print_beginning(answer: Beginning, console: Console) -> None:
    """All of it; the commands on lines of their own."""
    plan = answer.plan
    line(console, f"{plan.question}", HEAD)
    line(console, f"{plan.scenario}, judged on {plan.judged_on}")
    bullets(console, "Warnings", plan.warnings)
    bullets(
        console,
        "What was found",
        [text for text in (defaults_line(plan), data_line(plan), *plan.notes) if text],
    )
    if plan.margins is not None:
        print_section(margins_section(plan.margins, plan.metric), console)
    console.print()
    for text in _takes(answer):
        line(console, text)
    console.print()
    console.print(f"wrote {pasted(answer.file)}", markup=False, highlight=False, soft_wrap=True)
    line(console, "all of the plan, and then the run:")
    for command in (answer.look, answer.command):
        copyable(console, "    ", command)


def _takes(answer: Beginning) -> list[str]:
    plan = answer.plan
    arms, seeds = plural(len(plan.arms), "arm"), plural(len(plan.seeds), "seed")
    trials = f"{plural(plan.trials, 'training')}: {arms} at {seeds}"
    there = f", {plan.reused} of them there already" if plan.reused else ""
    size = f"{count(plan.examples)} examples, {count(plan.tokens)} tokens"
    cost = ["time: none is known yet"] if plan.cost is None else cost_lines(plan.cost, plan.workers)
    return list(filter(None, [f"{trials}{there}; {size}", *cost, chance_line(plan)]))
