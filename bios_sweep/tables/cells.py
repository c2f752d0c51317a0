"""Cells of a text table as numbers, seeds and settings, with errors that say where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from bios_sweep.errors import InputError
from bios_sweep.tables.text_table import RawTable, is_number


def numbers(raw: RawTable, column: str, what: str) -> tuple[float, ...]:
    """Cells as numbers; an empty one is NaN.

    Raises:
        InputError: text in a number.
    """
    cells = raw.columns[column]
    try:
        return tuple(float(cell) if cell else math.nan for cell in cells)
    except ValueError:
        return tuple(_one_number(cell.strip(), raw.where(row), what) for row, cell in enumerate(cells))


def _one_number(cell: str, where: str, what: str) -> float:
    if not cell or is_number(cell):
        return float(cell or math.nan)
    if is_number(cell.replace(",", ".", 1)):
        raise InputError(f"{where}: {what} {cell!r} has a decimal comma; write decimals with a point")
    raise InputError(f"{where}: {what} {cell[:40]!r} is not a number")


def seed_of(cell: str, where: str) -> int:
    """A whole number however large; `3.0`, as data frames write a column with gaps, is 3."""
    text = cell.strip()
    if not text:
        raise InputError(f"{where}: the seed is empty; runs without a seed cannot be paired")
    try:
        return int(text)
    except ValueError:
        number = float(text) if is_number(text) else math.nan
    if not math.isfinite(number) or not number.is_integer() or abs(number) > 2**53:
        raise InputError(f"{where}: seed {text[:40]!r} is not a whole number")
    return int(number)


def parsed(cells: Iterable[str]) -> tuple[Any, ...]:
    """Cells as settings: None, whole numbers, decimals or text, with one spelling per number."""
    cells = tuple(cells)
    known = {cell: parsed_setting(cell.strip()) for cell in set(cells)}
    return tuple(known[cell] for cell in cells)


def parsed_setting(text: str) -> Any:
    """A cell as a setting: None, a whole number, a decimal or text; 32 and 32.0 are one value."""
    if text.lower() in ("", "none", "null", "nan"):
        return None
    if not is_number(text):
        return text
    number = float(text)
    if number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number if math.isfinite(number) else text


def quiet_numbers(cells: Sequence[str]) -> tuple[float, ...] | None:
    """As `numbers`, None where some cell is no number."""
    try:
        return tuple(float(cell) if cell else math.nan for cell in cells)
    except ValueError:
        return None
