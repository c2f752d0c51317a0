"""A run on a console: warnings, what the nodes have, what comes next, and the live table."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from bios_sweep.ports import PreflightLine
from bios_sweep.report.text.preflight import print_preflight
from bios_sweep.report.text.progress import LiveView


class ConsoleListener:
    """Prints what the driver tells (`ports.Listener`)."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def warn(self, text: str) -> None:
        """One line, however long, so that it can be searched for."""
        self._console.print(f"warning: {text}", markup=False, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(text, markup=False)

    def preflight(self, lines: tuple[PreflightLine, ...]) -> None:
        """The table."""
        print_preflight(lines, self._console)

    def watch(self, *, planned: int, workers: str, title: str, judged_on: str, trials_dir: Path) -> LiveView:
        """The live table, or plain lines where nobody sits before the console."""
        return LiveView(
            self._console,
            planned=planned,
            workers=workers,
            title=title,
            judged_on=judged_on,
            trials_dir=trials_dir,
        )
