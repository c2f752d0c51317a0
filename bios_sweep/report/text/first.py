"""The first screen of a result, at any width: a row per setting, then a line per question."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bios_sweep.report.content.first import FirstScreen
from bios_sweep.report.content.recorded import Recorded
from bios_sweep.report.content.setting_rows import Answer, SettingRow
from bios_sweep.report.content.wording import clean, plural
from bios_sweep.report.text.failed import print_failures
from bios_sweep.report.text.layout import HEAD, QUIET, bullets, copyable, indented, line, plain_table

TABLED = 76  # columns from which the rows are a table; below each is a short paragraph
SHOWN = 12  # rows; the rest is in the full text (chosen, not measured)
LINES = 6  # that answer one question (chosen, not measured)
NOTEBOOK = 100  # columns of a screen that is returned as text
STYLES = {
    Answer.HOLDS: "green",
    Answer.KEEP: "green",
    Answer.CHANGE: "bold cyan",
    Answer.OPEN: "yellow",
}
LABELS = ("sure?", "to be sure", "cost")
LABEL = max(map(len, LABELS)) + 1


def print_first(screen: FirstScreen, console: Console, places: Recorded | None = None) -> None:
    """The whole screen. places: where it is recorded; None of what is recorded nowhere."""
    if screen.alert:
        line(console, screen.alert, "yellow")
    line(console, screen.question, HEAD)
    for text in screen.about:
        line(console, text, QUIET)
    console.print()
    if screen.nothing_yet:
        line(console, screen.nothing_yet, "yellow")
    _rows(console, screen.rows)
    _labelled(console, LABELS[0], screen.sure)
    for step in screen.settling:
        _labelled(console, LABELS[1], step.lines)
        if step.command:
            copyable(console, "    ", step.command)
    _labelled(console, LABELS[2], [f"{screen.cost}; {screen.counts}"])
    print_failures(console, screen.failures, places.trials if places else None, most=SHOWN)
    bullets(console, "Damaged", screen.damaged)
    if screen.failures or screen.damaged:
        console.print()
    if places is not None:
        print_places(console, places)
    _more(console, screen, places)


def first_text(screen: FirstScreen, places: Recorded) -> str:
    """The same as plain text, for an interactive session."""
    console = Console(file=io.StringIO(), width=NOTEBOOK, color_system=None)
    with console.capture() as captured:
        print_first(screen, console, places)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def print_places(console: Console, places: Recorded) -> None:
    """A line per place, never wrapped, so that a path can be copied."""
    for text in places.lines:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _more(console: Console, screen: FirstScreen, places: Recorded | None) -> None:
    """Where the rest is told."""
    noted = f"; {plural(screen.cautions, 'note')}" if screen.cautions else ""
    how = f" {places.full}" if places else " the same with --full"
    console.print(Text(f"everything (bounds, claims, scope{noted}):{how}"), soft_wrap=True)


def _rows(console: Console, rows: Sequence[SettingRow]) -> None:
    if not rows:
        return
    if console.width >= TABLED:
        console.print(_table(rows[:SHOWN]))
    else:
        for row in rows[:SHOWN]:
            head = Text(f"{row.setting}: ", style=HEAD).append_text(_answer(row))
            console.print(head.append(f", use {row.use}"))
            for text in (row.means, *row.goals):
                indented(console, text)
    if len(rows) > SHOWN:
        line(console, f"{plural(len(rows) - SHOWN, 'more row')} with --full", QUIET)
    console.print()


def _table(rows: Sequence[SettingRow]) -> Table:
    flexible = ("setting", "answer", "use", "what that gains, or gives away")
    table = plain_table(*flexible, flexible=flexible)
    table.columns[0].min_width = max(len(word) for row in rows for word in row.setting.split())
    table.columns[1].min_width = len("(inconclusive)")
    for row in rows:
        told = "\n".join((row.means, *row.goals))
        table.add_row(Text(row.setting), _answer(row), Text(row.use), Text(told))
    return table


def _answer(row: SettingRow) -> Text:
    word = row.word.replace(" (", ", ").rstrip(")")
    return Text(row.answer, style=STYLES[row.answer]).append(f" ({word})", style="")


def _labelled(console: Console, label: str, lines: Sequence[str]) -> None:
    """One paragraph per line beside a label that is told once; nothing where there are no lines."""
    more = [f"{len(lines) - LINES:,} more with --full"] if len(lines) > LINES else []
    for place, text in enumerate([*lines[:LINES], *more]):
        grid = Table.grid(padding=0)
        grid.add_column(width=LABEL, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(Text("" if place else label, style=HEAD), Text(clean(text)))
        console.print(grid)
