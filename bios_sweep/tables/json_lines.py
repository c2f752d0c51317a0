"""Runs as JSON, one object per line or a list of them, as the same plain columns that a text table has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bios_sweep.errors import InputError
from bios_sweep.tables.nested import flat
from bios_sweep.tables.text_table import RawTable

WANTED = "one JSON object per line, or a list of them, with one entry per run"


def read_json(path: Path, text: str) -> RawTable:
    """A table from what a file of JSON holds.

    Raises:
        InputError: no JSON, or no table in it.
    """
    rows = _rows(path, text)
    if not rows:
        raise InputError(f"{path}: the list is empty; it needs {WANTED}")
    wrong = next((line for line, row in rows if not isinstance(row, Mapping)), None)
    if wrong is not None:
        raise InputError(f"{path}: line {wrong} is no JSON object; a table of runs needs {WANTED}")
    cells = [dict(flat(row)) for _, row in rows]
    names = list(dict.fromkeys(name for row in cells for name in row))
    if not names:
        raise InputError(f"{path}: the objects are empty; each needs a run's settings, seed and metric")
    return RawTable(
        source=str(path),
        columns={name: tuple(row.get(name, "") for row in cells) for name in names},
        lines=tuple(line for line, _ in rows),
    )


def _rows(path: Path, text: str) -> list[tuple[int, Any]]:
    """(line, value) of every run; the entries of a list count as lines."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return [(line, _parsed(path, line, part)) for line, part in _lines(text)]
    if isinstance(whole, list):
        return list(enumerate(whole, start=1))
    records = _records(whole)
    if records:
        return list(enumerate(records, start=1))
    if any(isinstance(part, list | Mapping) for part in whole.values()):
        inside = ", ".join(list(whole)[:4])
        raise InputError(f"{path}: is one JSON object ({inside}), not a table of runs; it needs {WANTED}")
    return [(1, whole)]


def _records(whole: Mapping[str, Any]) -> list[Any]:
    """The runs of one object that holds them all, as pandas and people write it; [] of another."""
    parts = list(whole.values())
    names, data = whole.get("columns"), whole.get("data")
    if isinstance(names, list) and isinstance(data, list):
        return [dict(zip(map(str, names), row, strict=False)) for row in data if isinstance(row, list)]
    if len(parts) == 1 and isinstance(parts[0], list):
        return parts[0]
    if len(parts) < 2 or not all(
        isinstance(part, Mapping) and part.keys() == parts[0].keys() for part in parts
    ):
        return []
    if all(key.isdecimal() for key in parts[0]):  # pandas: column -> number of the row -> cell
        return [{name: part[row] for name, part in whole.items()} for row in parts[0]]
    return [{"name": name, **part} for name, part in whole.items()]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    return ((line, part) for line, part in enumerate(text.splitlines(), start=1) if part.strip())


def _parsed(path: Path, line: int, part: str) -> Any:
    try:
        return json.loads(part)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: line {line} is no JSON ({error}); it needs {WANTED}") from error
