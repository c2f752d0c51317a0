"""Lines, bullets and tables on a console, for every verb.

Whatever comes from a user is put into `Text`, never parsed as rich markup, and cleaned of control
characters. Commands and paths are never wrapped, so that they can be copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bios_sweep.report.content.wording import clean, pasted

HEAD = "bold"
QUIET = "dim"


def plain_table(*header: str, flexible: Sequence[str], right: Sequence[str] = ()) -> Table:
    """A table with one line under its header. Only `flexible` columns wrap; the others stay whole."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style=HEAD)
    for name in header:
        table.add_column(
            name, justify="right" if name in right else "left", no_wrap=name not in flexible, overflow="fold"
        )
    return table


def line(console: Console, text: Any, style: str = "") -> None:
    """A paragraph, wrapped at the console's width."""
    console.print(Text(clean(text), style=style))


def heading(console: Console, text: str) -> None:
    """A title after an empty line."""
    console.print()
    line(console, text, HEAD)


def indented(console: Console, text: str) -> None:
    """A paragraph under the one before it."""
    console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))


def bullets(console: Console, title: str, lines: Sequence[str]) -> None:
    """A titled list; nothing at all where there are no lines."""
    if lines:
        heading(console, title)
    for text in lines:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row("-", Text(clean(text)))
        console.print(grid)


def copyable(console: Console, label: str, text: str) -> None:
    """A command or path on one line however narrow the console is."""
    if not label.startswith(" "):
        console.print()
    console.print(Text(label + pasted(text)), soft_wrap=True)
