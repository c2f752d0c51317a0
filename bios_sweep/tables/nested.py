"""Cells that hold a dictionary, as W&B's own export of a project has them: one column per entry. Pure."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bios_sweep.tables.column_names import CONFIGURED, MEASURED

INTERNAL = "_wandb"  # what W&B keeps for itself among them
NUMBERS = re.compile(r"(?<=[:\[,(\s])(-?)(nan|inf)(?=[,}\])\s])")  # which Python writes and does not read
DEEPEST = 100_000  # characters of a cell that is parsed as Python's text (chosen, not measured)


def expanded(columns: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Every column of dictionaries as its entries, `config.lora.r`; all others as they are."""
    found: dict[str, tuple[str, ...]] = {}
    for name, cells in columns.items():
        rows = _dictionaries(cells) if _is_group(name) else None
        if rows is None:
            found[name] = cells
            continue
        told = ({key: value for key, value in row.items() if key != INTERNAL} for row in rows)
        entries = [dict(flat(row, f"{name}.")) for row in told]
        names = dict.fromkeys(entry for row in entries for entry in row)
        found |= {
            entry: tuple(row.get(entry, "") for row in entries) for entry in names if entry not in columns
        }
    return found


def flat(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Nested objects by the path to their values: `config.lora.r`."""
    for name, value in row.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", _cell(value)


def _is_group(name: str) -> bool:
    """Whether a column's name is what stands before the names of settings or results elsewhere."""
    return any(prefix.fullmatch(f"{name}.") for prefix in (CONFIGURED, MEASURED))


def _dictionaries(cells: Sequence[str]) -> list[Mapping[str, Any]] | None:
    """The cells as dictionaries; None where one of them is something else, or all are empty."""
    if not any(cell.lstrip().startswith("{") for cell in cells):
        return None
    rows = [_dictionary(cell.strip()) for cell in cells]
    return None if any(row is None for row in rows) or not any(rows) else [row or {} for row in rows]


def _dictionary(cell: str) -> Mapping[str, Any] | None:
    if not cell:
        return {}
    if not (cell.startswith("{") and cell.endswith("}")):
        return None
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        value = _of_python(cell) if len(cell) <= DEEPEST else None
    return value if isinstance(value, Mapping) else None


def _of_python(cell: str) -> Any:
    """Python's own text of a dictionary, of values alone: nothing is run."""
    try:
        return ast.literal_eval(NUMBERS.sub(r"'\1\2'", cell))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _cell(value: Any) -> str:
    """A value as a table of text has it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence | Mapping | bool):
        try:
            return json.dumps(value)
        except (TypeError, ValueError):  # Python's text has sets and tuples as keys too
            return repr(value)
    return repr(value)
