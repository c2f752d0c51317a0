"""A run on a console: warnings, what the nodes have, what comes next, and the live table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bios_sweep.ports import PreflightLine
from bios_sweep.report.content.wording import clean
from bios_sweep.report.text.layout import bullets, heading, plain_table
from bios_sweep.report.text.progress import LiveView

RED = "bold red"


class ConsoleListener:
    """Prints what the driver tells (`ports.Listener`)."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.watch = partial(LiveView, console)

    def warn(self, text: str) -> None:
        """One line, however long, so that it can be searched for."""
        self._console.print(f"warning: {text}", markup=False, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(text, markup=False)

    def preflight(self, lines: tuple[PreflightLine, ...]) -> None:
        """The table."""
        print_preflight(lines, self._console)


def print_preflight(lines: Sequence[PreflightLine], console: Console) -> None:
    """One row per thing looked at and finding; nodes that found the same share a row. Red rows come last."""
    if not lines:
        return
    heading(console, "Nodes")
    console.print(_table(lines))
    ways = dict.fromkeys(line.way_out for line in lines if line.red and line.way_out)
    bullets(console, "What to do", list(ways))


def _table(lines: Sequence[PreflightLine]) -> Table:
    table = plain_table("node", "check", "wanted", "found", "ok", flexible=("node", "wanted", "found"))
    every = len({line.node for line in lines})
    for nodes, line in folded(lines):
        names = nodes[0] if len(nodes) == 1 else f"all {every}" if len(nodes) == every else ", ".join(nodes)
        cells = (names, line.check, line.wanted, line.found, "no" if line.red else "yes")
        table.add_row(*(Text(clean(cell), style=RED if line.red else "") for cell in cells))
    return table


def folded(lines: Sequence[PreflightLine]) -> list[tuple[list[str], PreflightLine]]:
    """(nodes, line) for every different finding, in the order met, red ones last."""
    found: dict[tuple[str, str, str, bool], tuple[list[str], PreflightLine]] = {}
    for line in lines:
        same = (line.check, line.wanted, line.found, line.red)
        found.setdefault(same, ([], line))[0].append(line.node)
    return sorted(found.values(), key=lambda entry: entry[1].red)
