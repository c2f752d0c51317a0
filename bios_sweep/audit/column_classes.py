"""What every column of a foreign table is: setting, context, outcome, or a label that says nothing. Pure.

Known names and a tracker's prefixes tell first. Of the rest a column is a setting if the runs behave as if
they had been told it: constant over the seeds of an arm, recurring over runs. What differs from run to run is
an outcome. Whoever knows better says so by name (docs/statistics.md, item 16).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bios_sweep.study.metric_names import direction_of
from bios_sweep.tables.column_names import ADJUSTS, CONFIGURED, MEASURED, OUTCOME_BLIND, RATES, RESULTS
from bios_sweep.tables.text_table import RawTable, parsed, quiet_numbers

ALIKE = 0.75  # of a crossing setting's values recur at every other seed (chosen, not measured)
AGREE = 4  # further runs of arms in which a recurring value never changed (chosen, not measured)
FEW = 2  # a value recurs if, on average, it stands in that many runs

BITS = re.compile(r"[a-z]_?bits$")  # of weights or activations; alone they are a metric's unit
Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ColumnClasses:
    """What the columns were taken for, for a reader and for the flags that change it.

    settings: canonical name -> column. behaved: settings that only their behaviour tells. contexts: one
    judgement per value. labels: names, dates, paths, costs: what decides nothing.
    """

    value: str = ""
    seed: str | None = None
    arm: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    behaved: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """The columns whose name tells nothing, beside what is known of the runs.

    groups: per row what it is known to have been told (its arm, or its known settings). known: the columns
    that this is taken from. seeds: per row, None
    without such a column or where no two runs share one. finished: whether the row has an outcome.
    """

    raw: RawTable
    columns: Sequence[str]
    groups: Sequence[Key]
    known: Sequence[str]
    seeds: Sequence[str] | None
    finished: Sequence[bool]


def is_blind(name: str) -> bool:
    """Whether a plain name is that of an identity, a place, a date: two runs of one arm may differ in it."""
    return OUTCOME_BLIND.search(name) is not None


def is_label(column: str) -> bool:
    """Whether a tracker's own prefix tells that a column is about the run and not about what came out."""
    return re.match(r"^(?:tags|system_attrs)[./_]", column) is not None


def is_result(column: str, name: str) -> bool:
    """Whether a column tells by its name what a training came to."""
    if MEASURED.match(column):
        return not is_label(column)
    if CONFIGURED.match(column):
        return False
    if direction_of(column) is not None and not BITS.search(name):
        return True
    words = re.split(r"[\W_]+", name.lower())
    return not RESULTS.isdisjoint(words) or RATES.search("_".join(words)) is not None


def settings_by_behaviour(unknown: Unknown) -> tuple[str, ...]:
    """The columns that behave as something that the runs were told.

    One after the other: a column that is needed to tell the runs of one seed apart, then those that are
    constant within what is one arm so far.
    """
    rows = [row for row, done in enumerate(unknown.finished) if done] or list(range(unknown.raw.rows))
    candidates = [column for column in unknown.columns if _may_be(unknown, column, rows)]
    groups = list(unknown.groups)
    found: list[str] = []
    while True:
        chosen = _crossing(unknown, candidates, groups, rows)
        if chosen is None:
            break
        candidates.remove(chosen)
        found.append(chosen)
        groups = _with(unknown.raw, groups, chosen)
    found += [column for column in candidates if _told(unknown, column, groups, rows)]
    return tuple(column for column in unknown.columns if column in found)


def _may_be(unknown: Unknown, column: str, rows: Sequence[int]) -> bool:
    """Whether it varies, and is not empty exactly where a run has no outcome, as what is written last is."""
    cells = unknown.raw.columns[column]
    if len({cells[row] for row in rows}) < 2:
        return False
    if _is_name_of_arms(unknown, column):
        return False
    lost = [row for row, done in enumerate(unknown.finished) if not done]
    return not lost or any(cells[row].strip() for row in lost)


def _is_name_of_arms(unknown: Unknown, column: str) -> bool:
    """Whether each cell only writes out what is known of its arm, such as `lr_0.0002`, and names one arm."""
    cells, raw = unknown.raw.columns[column], unknown.raw
    varied = [raw.columns[known] for known in unknown.known if len(set(raw.columns[known])) > 1]
    pairs = set(zip(cells, unknown.groups, strict=True))
    if not varied or len(pairs) > len(set(cells)) or len(pairs) > len(set(unknown.groups)):
        return False
    return all(
        any(own[row] and own[row] in cell and own[row] != cell for own in varied)
        for row, cell in enumerate(cells)
        if cell
    )


def _crossing(
    unknown: Unknown, candidates: Sequence[str], groups: Sequence[Key], rows: Sequence[int]
) -> str | None:
    """The column that best tells apart runs that share settings and seed; None where there are no such."""
    seeds = unknown.seeds
    if seeds is None or _twice(groups, seeds, rows) == 0:
        return None
    best: tuple[int, str] | None = None
    for column in candidates:
        recurs = len({unknown.raw.columns[column][row] for row in rows}) * FEW <= len(rows)
        if not recurs or _alike(unknown, column, groups, rows) < ALIKE:
            continue
        left = _twice(_with(unknown.raw, groups, column), seeds, rows)
        if left < _twice(groups, seeds, rows) and (best is None or left < best[0]):
            best = (left, column)
    return None if best is None else best[1]


def _twice(groups: Sequence[Key], seeds: Sequence[str], rows: Sequence[int]) -> int:
    """How many runs share group and seed with an earlier one."""
    return len(rows) - len({(groups[row], seeds[row]) for row in rows})


def _alike(unknown: Unknown, column: str, groups: Sequence[Key], rows: Sequence[int]) -> float:
    """How alike a column's values are at the seeds of a group: what runs are told recurs at every seed."""
    assert unknown.seeds is not None
    cells = unknown.raw.columns[column]
    at: dict[Key, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for row in rows:
        at[groups[row]][unknown.seeds[row]][cells[row]] += 1
    shared, every = 0, 0
    for own in at.values():
        most: Counter[str] = Counter()
        for counted in own.values():
            most |= counted
        shared += sum(sum(counted.values()) for counted in own.values())
        every += len(own) * sum(most.values())
    return shared / every if every else 0.0


def _told(unknown: Unknown, column: str, groups: Sequence[Key], rows: Sequence[int]) -> bool:
    """Whether a column is constant over the repeats of an arm; without repeats, what its cells look like."""
    cells = unknown.raw.columns[column]
    own: dict[Key, list[str]] = defaultdict(list)
    for row in rows:
        own[groups[row]].append(cells[row])
    repeated = [values for values in own.values() if len(values) > 1]
    constant = all(len(set(values)) == 1 for values in repeated)
    paired = unknown.seeds is not None
    distinct = len({cells[row] for row in rows})
    recurs = distinct * FEW <= len(rows)
    if repeated and (constant or paired):
        # single runs of further arms may still show it, unless many repeats already do
        often = sum(map(len, repeated)) - len(repeated) >= AGREE
        return constant and (len(repeated) * FEW >= len(own) or (recurs and often))
    words = set(re.split(r"[\W_]+", column.lower()))
    if not ADJUSTS.isdisjoint(words):
        return True
    if quiet_numbers([cells[row] for row in rows]) is None:
        return recurs
    return recurs and bool(repeated)


def _with(raw: RawTable, groups: Sequence[Key], column: str) -> list[Key]:
    return [(*group, cell) for group, cell in zip(groups, parsed_text(raw, column), strict=True)]


def parsed_text(raw: RawTable, column: str) -> tuple[str, ...]:
    """A column with one spelling per number: 32 and 32.0 are one value."""
    return tuple(map(str, parsed(raw.columns[column])))


def without_names_of_runs(
    raw: RawTable, settings: Mapping[str, str], sure: Callable[[str], bool]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Settings without those that are other in every run while all others repeat: they name the run.

    sure: whether a canonical name is known beyond doubt.
    """
    kept = dict(settings)
    names = []
    for name, column in settings.items():
        if sure(name) or len(set(raw.columns[column])) < raw.rows or raw.rows < 3:
            continue
        rest = [parsed_text(raw, other) for key, other in kept.items() if key != name]
        if not rest or len(set(zip(*rest, strict=True))) * FEW <= raw.rows:
            names.append(column)
            del kept[name]
    return kept, tuple(names)
