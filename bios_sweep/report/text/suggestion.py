"""The next study, told on the terminal."""

from __future__ import annotations

from rich.console import Console

from bios_sweep.report.content.suggestion import SuggestionSummary
from bios_sweep.report.content.wording import clean


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
        f"run it: {clean(study.command)}",
        "or: bios-sweep run --next",
    ]
