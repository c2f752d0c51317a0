"""An audit for the terminal: verdicts, what weakens them, what follows, what would settle it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bios_sweep.audit.auditing import Audit
from bios_sweep.decision.statement import Verdict
from bios_sweep.report.content.advice import advice
from bios_sweep.report.content.first_of_audit import column_lines, first_of_audit
from bios_sweep.report.content.lines import effect, other_reasons, unit_of
from bios_sweep.report.content.sections import roll_up
from bios_sweep.report.content.wording import ENDINGS, changes, clean, number, plural
from bios_sweep.report.text.first import print_first
from bios_sweep.report.text.layout import HEAD, QUIET, bullets, heading, indented, line, plain_table
from bios_sweep.report.text.terminal import print_section
from bios_sweep.units import OWN, headed

LISTED = 24  # sentences of a kind; the rest is in --json (chosen, not measured)
SHOWN = 12  # factors told in full; the rest is in --json (chosen, not measured)
LONG = 12  # characters from which a level is told below the table instead of in it (chosen, not measured)
WIDE = 22  # characters of the longest factor that stays on one line (chosen, not measured)
STYLES = {"serious": "bold red", "caution": "yellow", "note": QUIET}


def print_first_of_audit(answer: Audit, console: Console) -> None:
    """What runs support, on one screen."""
    print_first(first_of_audit(answer), console)
    if answer.roll_up and (section := roll_up(list(answer.roll_up))) is not None:
        print_section(section, console)
    line(console, "recorded nowhere; --json prints it as data, and nothing of a table is served", QUIET)


def print_audit(answer: Audit, console: Console) -> None:
    """Say what runs support."""
    _head(answer, console)
    for text in column_lines(answer):
        line(console, text, QUIET)
    verdicts = answer.verdicts
    section = roll_up(list(answer.roll_up)) if answer.roll_up else None
    if section is not None:
        print_section(section, console)
    if verdicts:
        console.print()
        console.print(_table(verdicts[:SHOWN]))
        line(console, _legend(answer), QUIET)
    for verdict in verdicts[:SHOWN]:
        console.print()
        line(console, f"{_titled(verdict)}: {verdict.verdict}", HEAD)
        step = f"what to do: {advice(verdict)}"
        for text in (clean(step), clean(verdict.sentence), *other_reasons(verdict)):
            indented(console, text)
    if len(verdicts) > SHOWN:
        line(console, f"{plural(len(verdicts) - SHOWN, 'more factor')} in --json")
    _conclusions(answer, console)


def _head(answer: Audit, console: Console) -> None:
    arms, seeds = len(answer.compared), len(answer.seeds)
    line(console, "What do these runs support?", HEAD)
    ended = " + ".join(f"{answer.counts[status]:,} {status}" for status in ENDINGS)
    line(console, f"{answer.source}: {plural(answer.table.rows, 'run')} = {ended}", QUIET)
    compared = f"compared: {plural(arms, 'arm')} at {plural(seeds, 'seed')}"
    if any(flaw.kind == "zero_variance" for flaw in answer.flaws):
        compared += ", for the others repeat its differences"
    line(console, f"{compared}; metric {answer.table.metric.words}")
    baseline = answer.parts[0].arms.baseline
    settings = changes(baseline.settings)
    line(console, f"the default: {baseline.name}" + (f" ({settings})" if settings else ""))


def _some(sentences: Sequence[str]) -> list[str]:
    rest = len(sentences) - LISTED
    return [*sentences[:LISTED], *([f"{rest:,} more in --json"] if rest > 0 else [])]


def _titled(verdict: Verdict) -> str:
    return clean(f"{verdict.factor}, {verdict.cell}" if verdict.cell else verdict.factor)


def _table(verdicts: Sequence[Verdict]) -> Table:
    words, numbers = ("factor", "default", "verdict", "best"), (headed("gain", unit_of(verdicts)), "seeds")
    table = plain_table(*words, *numbers, flexible=words, right=numbers)
    names = [len(part) for verdict in verdicts for part in _titled(verdict).split(" ")]
    table.columns[0].min_width = min(max(names), WIDE)
    table.columns[2].min_width = len("(unconfirmed)")
    for verdict in verdicts:
        table.add_row(
            Text(_titled(verdict)),
            Text(_short(verdict.default)),
            Text(clean(verdict.verdict)),
            Text(_short(verdict.best_level)),
            Text(effect(verdict).replace(" [", "\n[")),
            Text(str(len(verdict.seeds))),
        )
    return table


def _short(level: Any) -> str:
    text = number(level)
    return text if len(text) <= LONG else "see below"


def _legend(answer: Audit) -> str:
    legend = "gain over the default, positive = better, with one-sided bounds"
    margin = answer.margin
    if margin is None:
        return legend
    own = " in the first context" if len(answer.parts) > 1 else ""
    told = f"{legend}; smallest that matters{own}: {margin.told(margin.percent):.2g}"
    return told if margin.scale.unit == OWN else f"{told} ({margin.absolute:.3g})"


def _conclusions(answer: Audit, console: Console) -> None:
    flaws = answer.flaws
    if flaws:
        heading(console, "What weakens them")
    for flaw in flaws[:LISTED]:
        grid = Table.grid(padding=(0, 1, 0, 0))
        word = Text(clean(flaw.severity), style=STYLES[flaw.severity])
        grid.add_row(word, Text(clean(flaw.sentence)))
        console.print(grid)
    if len(flaws) > LISTED:
        line(console, f"{len(flaws) - LISTED:,} more in --json")
    bullets(console, "These runs support", _some(answer.supports))
    bullets(console, "They do not support", _some(answer.not_supported))
    heading(console, "What would settle it")
    indented(console, clean(answer.settle))
    console.print()
    for scope in dict.fromkeys(verdict.scope for verdict in answer.verdicts):
        line(console, f"Scope: {clean(scope)}")
    line(
        console, "Nothing is served as a default from a table: interactions and the runs left out are unknown"
    )
    bullets(console, "Taken for granted", answer.table.notes)
