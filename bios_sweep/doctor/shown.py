"""A diagnosis for people: a line per thing looked at, the way out below it, the sum at the end."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from bios_sweep.doctor.line import Diagnosis
from bios_sweep.vocabulary import Health

STYLES = {Health.OK: "green", Health.WARNING: "yellow", Health.RED: "bold red"}
COLUMN = max(map(len, Health)) + 2


def print_diagnosis(diagnosis: Diagnosis, console: Console, following: str) -> None:
    """Words say what colours say too. following: the command to type next, where nothing is red."""
    width = max(len(line.check) for line in diagnosis.lines)
    for line in diagnosis.lines:
        state = Text(f"{line.state:<{COLUMN}}", style=STYLES[line.state])
        console.print(Text.assemble(state, f"{line.check:<{width}}  {line.found}"), soft_wrap=True)
        if line.way_out:
            console.print(
                f"{'':{COLUMN + width + 2}}-> {line.way_out}", markup=False, highlight=False, soft_wrap=True
            )
    counts = [
        (diagnosis.red, "red"),
        (diagnosis.warnings, "warning" if diagnosis.warnings == 1 else "warnings"),
    ]
    told = ", ".join(f"{count} {name}" for count, name in counts if count) or "all is as it should be"
    console.print(told, markup=False, highlight=False)
    if not diagnosis.red:
        console.print(f"next: {following}", markup=False, highlight=False, soft_wrap=True)
