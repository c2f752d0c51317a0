"""Logs of trials for people: a table of them, and a text that moves nobody's cursor."""

from __future__ import annotations

import re

from rich.table import Table
from rich.text import Text

from bios_sweep.report.content.answers import SweepLogs
from bios_sweep.report.content.wording import clean
from bios_sweep.report.text.layout import plain_table

ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])")
KEPT = "\n\t"
KIB = 1024


def readable(text: str) -> str:
    """Without escapes and control characters; of a line that was drawn over, what stood there last."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in ESCAPES.sub("", text).split("\n"))
    return "".join(char if char in KEPT or char.isprintable() else " " for char in "\n".join(lines))


def log_table(told: SweepLogs) -> Table:
    """One line per trial; the size is that of all its files together."""
    table = plain_table(
        "trial", "arm", "seed", "stage", "status", "log", flexible=("arm",), right=("seed", "log")
    )
    for one in told.trials:
        size = sum(log.size for log in one.logs)
        row = (one.key, one.arm, str(one.seed), one.stage, one.status, _size(size) if size else "none")
        table.add_row(*(Text(clean(cell)) for cell in row))
    return table


def _size(size: int) -> str:
    return f"{size:,} B" if size < 10 * KIB else f"{size // KIB:,} KiB"
