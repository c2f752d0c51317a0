"""How a table's values are judged: the metric, which way it is better, and how often was looked.

Our own `results.csv` says it in columns of its own; of any other table the value column's name tells.
"""

from __future__ import annotations

from bios_sweep.errors import InputError
from bios_sweep.records.column_names import DECIDED, DIRECTION, LOOKS, METRIC, VALUE, plain_name
from bios_sweep.records.tables import RawTable, is_number
from bios_sweep.study.metric_names import direction_of
from bios_sweep.study.scenario import Metric

DIRECTIONS = ("minimize", "maximize")


def metric_of(raw: RawTable, column: str, direction: str | None) -> tuple[Metric, tuple[str, ...]]:
    """The metric with its direction: as given, as the table says, as its name tells, else a note.

    Without any of these smaller is taken as better.

    Raises:
        InputError: the table says two metrics, or two directions, for one column of values.
    """
    name = _stated(raw, column, METRIC) or column
    said = _stated(raw, column, DIRECTION)
    direction = direction or (said if said in DIRECTIONS else None)
    if direction is not None:
        return Metric(name=name, direction=direction, unit=""), ()
    told = direction_of(plain_name(name).replace("_", " "))
    metric = Metric(name=name, direction=told or "minimize", unit="")
    if told == "maximize":
        return metric, (f"{name}: larger is taken as better",)
    return metric, () if told else (
        f"{name}: smaller is taken as better; if larger is, say --direction maximize",
    )


def looks_of(raw: RawTable, column: str) -> int:
    """How often the sweep that wrote the table might have decided, which divides alpha; else once."""
    said = _stated(raw, column, LOOKS, text=False)
    return max(1, int(said)) if said.isdecimal() else 1


def decided_of(raw: RawTable, column: str) -> dict[str, float]:
    """What the sweep that wrote the table says of its decision rule: margin and alpha; {} elsewhere."""
    said = {name: _stated(raw, column, title, text=False) for title, name in DECIDED.items()}
    return {name: float(text) for name, text in said.items() if is_number(text)}


def _stated(raw: RawTable, column: str, name: str, *, text: bool = True) -> str:
    """What our column says of all values; empty where it is not ours: another value column, or numbers."""
    cells = raw.columns.get(name)
    if cells is None or column != VALUE:
        return ""
    found = list(dict.fromkeys(filter(None, map(str.strip, cells))))
    if not found or (text and any(map(is_number, found))):
        return ""
    if len(found) > 1:
        told = ", ".join(map(repr, found[:3]))
        raise InputError(f"{raw.source}: column {name!r} says {told}; keep the rows of one")
    return found[0]
