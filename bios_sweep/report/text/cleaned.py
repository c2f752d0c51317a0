"""What `clean` found, for people: a line per kind with its size, and how to free it."""

from __future__ import annotations

from collections import Counter

from rich.console import Console

from bios_sweep.report.content.answers import Cleaning
from bios_sweep.report.content.wording import clean


def print_cleaning(found: Cleaning, console: Console) -> None:
    """Evidence is never among it."""
    for text in _lines(found):
        console.print(clean(text), markup=False, highlight=False, soft_wrap=True)


def _lines(found: Cleaning) -> list[str]:
    if not found.files:
        return [f"{found.workspace}: nothing to clean; results, evidence, reports and the ledger stay always"]
    count = Counter(file.kind for file in found.files)
    width = max(map(len, found.kinds))
    lines = [f"{kind:<{width}}  {count[kind]:>6}  {_size(size):>9}" for kind, size in found.kinds.items()]
    lines += [f"cannot be removed: {path}" for path in found.left]
    if found.removed:
        return [*lines, f"{found.workspace}: {_size(found.bytes)} freed"]
    return [
        *lines,
        f"{found.workspace}: {_size(found.bytes)} can be freed, with --yes; --json lists the files. Results, "
        "evidence, reports and the ledger stay always",
    ]


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
