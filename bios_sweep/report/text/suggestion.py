"""The next study, told on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from bios_sweep.report.content.wording import clean


def print_suggestion(answer: Mapping[str, Any], console: Console) -> None:
    """What is open, the file that was written, what it costs and how to run it."""
    for line in suggestion_lines(answer):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def suggestion_lines(answer: Mapping[str, Any]) -> list[str]:
    """The lines; without a file nothing would be settled by a study."""
    lines = [f"after {clean(answer['sweep_id'])}, judged on {clean(answer['judged_on'])}"]
    lines += [f"- to bear in mind: {clean(text)}" for text in answer["warnings"]]
    lines += [f"- {clean(why)}" for why in answer["why"]]
    lines += [f"- stays open: {clean(one)}" for one in answer["open"]]
    if "file" not in answer:
        return [*lines, "no further study is suggested"]
    trials = (
        f"{answer['trials']} trials ({len(answer['arms'])} arms), {answer['reused']} of them there already"
    )
    more = answer["most_trials"] - answer["trials"]
    lines.append(f"{trials}; up to {more} more to confirm a candidate" if more > 0 else trials)
    return [
        *lines,
        f"written: {clean(answer['file'])}",
        f"run it: {clean(answer['command'])}",
        "or: bios-sweep run --next",
    ]
