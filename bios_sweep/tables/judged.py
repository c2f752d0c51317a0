"""How a table's values are judged: the metric, which way it is better, and how often was looked.

Our own `results.csv` says it in columns of its own; of any other table the value column's name tells.
"""

from __future__ import annotations

from bios_sweep.errors import InputError
from bios_sweep.study.metric_names import BETTER, DIRECTIONS, MINIMIZE, ask_for, direction_of
from bios_sweep.study.scenario import Metric
from bios_sweep.tables.column_names import ARMS, DECIDED, DIRECTION, JOINED, LOOKS, METRIC, SEEDS, VALUE
from bios_sweep.tables.text_table import RawTable, is_number

OWN_COLUMNS = frozenset((ARMS[0], SEEDS[0]))  # beside `value`: the table has the form of our own


def metric_of(raw: RawTable, column: str, direction: str | None) -> tuple[Metric, tuple[str, ...]]:
    """The metric with its direction: as given, as the table says, as its name tells; and what to note of it.

    `value` beside `arm` or `seed` is by that table's own definition the held-out loss.

    Raises:
        InputError: the table says two metrics, or two directions, for one column of values, or nothing
            says which way the metric is better.
    """
    name, said = metric_name(raw, column), stated_direction(raw, column)
    given = direction or said
    if given is not None:
        metric = Metric(name=name, direction=given, unit="")
        against = ""
        if said not in (None, given):
            against = f"{name} is judged as {BETTER[given]}, but its table says that {BETTER[said]}"
        return metric, tuple(filter(None, (metric.doubt, against)))
    if is_own_value(raw, name):
        note = f"{name}: the held-out loss, as such a table has it, so smaller is taken as better"
        return Metric(name=name, unit=""), (f"{note}; if larger is, say --direction maximize",)
    return named_metric(raw.source, name)


def named_metric(source: str, name: str) -> tuple[Metric, tuple[str, ...]]:
    """A metric by its name alone, and what was taken for granted.

    Raises:
        InputError: the name does not say which way is better.
    """
    direction = direction_of(name)
    if direction is None:
        raise InputError(f"{source}: {ask_for(name, '--direction ')}")
    note = () if direction == MINIMIZE else (f"{name}: larger is taken as better",)
    return Metric(name=name, direction=direction, unit=""), note


def metric_name(raw: RawTable, column: str) -> str:
    """What a column of values is called: as our own results table says, else as the column is."""
    return _stated(raw, column, METRIC) or column


def stated_direction(raw: RawTable, column: str) -> str | None:
    """What our own results table says of its values; None of any other table."""
    said = _stated(raw, column, DIRECTION)
    return said if said in DIRECTIONS else None


def is_own_value(raw: RawTable, name: str) -> bool:
    """Whether the name is that of the values in a table of our own form, which needs no further name."""
    return name.strip().casefold() == VALUE and not OWN_COLUMNS.isdisjoint(
        title.strip().casefold() for title in raw.columns
    )


def looks_of(raw: RawTable, column: str) -> int:
    """How often the sweep that wrote the table might have decided, which divides alpha; else once."""
    said = _stated(raw, column, LOOKS, text=False)
    return max(1, int(said)) if said.isdecimal() else 1


def joined_of(raw: RawTable, column: str) -> tuple[int, ...] | None:
    """At which look each run's seed joined, 0 where it says none; None of a table that is not ours."""
    cells = tuple(map(str.strip, raw.columns.get(JOINED, ())))
    if looks_of(raw, column) < 2 or not cells or not all(cell.isdecimal() or not cell for cell in cells):
        return None
    return tuple(int(cell or 0) for cell in cells)


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
        values = ", ".join(map(repr, found[:3]))
        way = f", as --value {found[0]} does" if name == METRIC else ""
        raise InputError(f"{raw.source}: column {name!r} says {values}; keep the rows of one{way}")
    return found[0]
