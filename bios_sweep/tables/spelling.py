"""Numbers as people and spreadsheets write them, in the one spelling that the rest reads. Pure.

A table says by its other cells what a comma is: `0,5` is no group of three digits, `0.5` leaves the comma to
groups. Where a column has other text than numbers it is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bios_sweep.tables.column_names import DIVERGED_WORDS

GAPS = "'\u2019\u00a0\u202f "  # between groups of three digits, beside the comma or the point
GROUPED = re.compile(rf"[+-]?\d{{1,3}}(?:[,{GAPS}]\d{{3}})+(?:\.\d+)?")
COMMA = re.compile(rf"[+-]?(?:\d+|\d{{1,3}}(?:[.{GAPS}]\d{{3}})+),\d+(?:[eE][+-]?\d+)?")
POINTS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+")  # `1.024`, which may be 1024 where a comma is decimal
PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
MINUS = re.compile(r"^[\u2212\u2013](?=[\d.])")
NONE = frozenset({  # how a cell without a number is written, and how a run that never had one ended
    "", "none", "null", "n/a", "na", "#n/a", "<na>", "nil", "-", "--", "\u2013", "\u2014", "?", "missing",
    "#value!", "failed", "fail", "crashed", "crash", "error", "oom", "cuda oom", "out of memory", "killed",
    "timeout",
})  # fmt: skip


def spelled(columns: dict[str, tuple[str, ...]], delimiter: str) -> tuple[dict[str, tuple[str, ...]], str]:
    """The columns with plain numbers, and what was taken for granted; empty where nothing was.

    A cell without a number is empty in a column of numbers, and `nan` where it says that the run diverged.
    """
    tidy = {name: tuple(map(_tidy, cells)) for name, cells in columns.items()}
    numeric = {name for name, cells in tidy.items() if _is_numeric(cells)}
    written = [cell for name in numeric for cell in set(tidy[name])]
    decimal = _comma_is_decimal(written, delimiter)
    changed = dict(columns)
    shown: dict[str, str] = {}
    for name in numeric:
        plain = {cell: _plain(cell, decimal) for cell in set(tidy[name])}
        changed[name] = tuple(plain[cell] for cell in tidy[name])
        shown |= {cell: plain[cell] for cell in sorted(plain) if "," in cell and "," not in plain[cell]}
    first = next(iter(shown), "")
    return changed, f"{first!r} is read as {shown[first]}" if first else ""


def readings(text: str) -> set[float]:
    """What a number in a command may mean: its comma may be a decimal one, or stand between groups."""
    tidy = _tidy(text)
    said = {tidy, _plain(tidy, True), _plain(tidy, False)}
    return {float(one) for one in said if PLAIN.fullmatch(one)}


def _tidy(cell: str) -> str:
    return MINUS.sub("-", cell.strip())


def _is_numeric(cells: Sequence[str]) -> bool:
    """Whether a column has numbers and, beside them, only words for none."""
    words = set(cells)
    numbers = {cell for cell in words if cell.lower() not in NONE | DIVERGED_WORDS}
    return bool(numbers) and all(map(_is_number, numbers))


def _is_number(cell: str) -> bool:
    number = cell.removesuffix("%").rstrip()
    return any(form.fullmatch(number) for form in (PLAIN, GROUPED, COMMA, POINTS))


def _comma_is_decimal(cells: Iterable[str], delimiter: str) -> bool:
    """Whether the table's commas, as a whole, are decimal ones."""
    cells = [cell.removesuffix("%").rstrip() for cell in cells]
    if any("." in cell and PLAIN.fullmatch(cell) and not POINTS.fullmatch(cell) for cell in cells):
        return False
    commas = [cell for cell in cells if "," in cell]
    if any(not GROUPED.fullmatch(cell) or cell.lstrip("+-").startswith("0") for cell in commas):
        return True
    return delimiter != "," and not any("." in cell for cell in cells)


def _plain(cell: str, decimal: bool) -> str:
    word = cell.lower()
    if word in NONE:
        return ""
    if word in DIVERGED_WORDS:
        return "nan"
    number, percent = cell.removesuffix("%").rstrip(), "%" if cell.endswith("%") else ""
    if decimal and (COMMA.fullmatch(number) or POINTS.fullmatch(number)):
        return re.sub(rf"[.{GAPS}]", "", number).replace(",", ".") + percent
    if not decimal and GROUPED.fullmatch(number):
        return re.sub(rf"[,{GAPS}]", "", number) + percent
    return number + percent
