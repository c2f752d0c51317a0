"""Runs as JSON, one object per line or a list of them, as the same plain columns that a text table has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bios_sweep.errors import InputError
from bios_sweep.tables.text_table import RawTable, read_csv, text_of

WANTED = "one JSON object per line, or a list of them, with one entry per run"


def read_table(path: Path) -> RawTable:
    """A table of runs: JSON where the file begins as JSON does, else text with separators.

    Raises:
        InputError: no such file, not text, no JSON where it began so, or no table in it.
    """
    if not path.is_file():
        return read_csv(path)  # which says what is wrong with it
    text = text_of(path)
    return _from_json(path, text) if text.lstrip()[:1] in ("{", "[") else read_csv(path)


def _from_json(path: Path, text: str) -> RawTable:
    rows = _rows(path, text)
    if not rows:
        raise InputError(f"{path}: the list is empty; it needs {WANTED}")
    wrong = next((line for line, row in rows if not isinstance(row, Mapping)), None)
    if wrong is not None:
        raise InputError(f"{path}: line {wrong} is no JSON object; a table of runs needs {WANTED}")
    flat = [dict(_flat(row)) for _, row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    if not names:
        raise InputError(f"{path}: the objects are empty; each needs a run's settings, seed and metric")
    return RawTable(
        source=str(path),
        columns={name: tuple(row.get(name, "") for row in flat) for name in names},
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
    if any(isinstance(part, list | Mapping) for part in whole.values()) and len(text.splitlines()) > 1:
        inside = ", ".join(list(whole)[:4])
        raise InputError(f"{path}: is one JSON object ({inside}), not a table of runs; it needs {WANTED}")
    return [(1, whole)]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    return ((line, part) for line, part in enumerate(text.splitlines(), start=1) if part.strip())


def _parsed(path: Path, line: int, part: str) -> Any:
    try:
        return json.loads(part)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: line {line} is no JSON ({error}); it needs {WANTED}") from error


def _flat(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Nested objects by the path to their values: `config.lora.r`."""
    for name, value in row.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", _cell(value)


def _cell(value: Any) -> str:
    """A value as a table of text has it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, Sequence | Mapping | bool) else repr(value)
