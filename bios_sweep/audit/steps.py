"""From what a tracker exports to one row per run: parents set aside, the last step of each taken. Pure.

A table with a row per step would make replicates of one run's steps. Where it says which run a row belongs
to, the run's last step is its outcome; where it does not, the sentence says what to export instead.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

from bios_sweep.audit.run_cells import finished_of
from bios_sweep.errors import InputError
from bios_sweep.tables.column_names import (
    ALIASES,
    ARMS,
    CONFIGURED,
    CONTEXTS,
    PARENTS,
    RUNS,
    SEEDS,
    STATUSES,
    STEPS,
    first_column,
    plain_name,
)
from bios_sweep.tables.text_table import RawTable, quiet_numbers
from bios_sweep.vocabulary import Status

CHART = re.compile(r"^(?P<run>.+) - (?P<metric>.+?)(?P<end>__MIN|__MAX)?$")
EXPORT = "export the table of runs (a row per run, with its settings, seed and final metric)"
MOST = 0.5  # of the runs ended at one step: then a shorter one was stopped (chosen, not measured)
NAME = "Name"  # of a chart's runs, as in the tables of runs of the same tracker
MOSTLY = 0.75  # of all runs came as far as their arm; else they end where they will (chosen, not measured)
SAME = 0.98  # of that step; the last logged step of equal trainings may differ a little


@dataclass(frozen=True, kw_only=True)
class RunRows:
    """One row per run. notes: what was done for it. missing: what such an export lacks; empty: nothing."""

    raw: RawTable
    notes: tuple[str, ...] = ()
    missing: str = ""


def one_row_per_run(raw: RawTable, value: str | None) -> RunRows:
    """The table with one row per run. value: the metric's column as the user names it.

    Raises:
        InputError: a row per step of runs that cannot be told apart.
    """
    charted = _from_chart(raw)
    if charted is not None:
        return charted
    kept, parents = _without_parents(raw)
    ended, steps = _last_steps(kept, value)
    return RunRows(raw=ended, notes=(*parents, *steps))


def _from_chart(raw: RawTable) -> RunRows | None:
    """A chart of W&B has a column per run and metric, `RUN - metric`, and a row per step."""
    found = {column: match for column in raw.columns if (match := CHART.match(column))}
    if len(found) < 2 or len(found) < len(raw.columns) - 1:
        return None
    cells: dict[str, dict[str, str]] = {}
    for column, match in found.items():
        if match["end"] is None and not plain_name(match["metric"]).startswith("_"):
            last = next((cell for cell in reversed(raw.columns[column]) if cell.strip()), "")
            cells.setdefault(match["run"], {})[match["metric"]] = last
    metrics = list(dict.fromkeys(metric for own in cells.values() for metric in own))
    table = RawTable(
        source=raw.source,
        columns={
            NAME: tuple(cells),
            **{metric: tuple(own.get(metric, "") for own in cells.values()) for metric in metrics},
        },
        lines=tuple(range(1, len(cells) + 1)),
    )
    missing = (
        f"it is the export of a chart: a row per step and a column for each of {len(cells)} runs, without "
        f"their settings and seeds; {EXPORT}, or give the runs' names as arms with --arm {NAME}"
    )
    return RunRows(
        raw=table, notes=("the last value of every run of the chart is its outcome",), missing=missing
    )


def _without_parents(raw: RawTable) -> tuple[RawTable, tuple[str, ...]]:
    """Without runs that only hold others: named by a child, or without settings, seed and metric."""
    plain = {column: plain_name(column) for column in raw.columns}
    named = {cell for column, own in plain.items() if own in PARENTS for cell in raw.columns[column]} - {""}
    ids = first_column(plain, RUNS[:4])
    parents = set() if ids is None else {r for r, cell in enumerate(raw.columns[ids]) if cell in named}
    configured = [column for column in raw.columns if CONFIGURED.match(column)]
    varied = [column for column in configured if len(set(raw.columns[column])) > 1]
    if any(own in PARENTS for own in plain.values()):
        children = [r for r in range(raw.rows) if _told(raw, varied, r)]
        parents |= {r for r in range(raw.rows) if len(children) > 1 and not _told(raw, varied, r)}
    if not parents or len(parents) == raw.rows:
        return raw, ()
    told = "1 parent run holds others and is set aside" if len(parents) == 1 else (
        f"{len(parents)} parent runs hold others and are set aside"
    )  # fmt: skip
    return raw.kept([row for row in range(raw.rows) if row not in parents]), (told,)


def _told(raw: RawTable, columns: Sequence[str], row: int) -> bool:
    """Whether a run has at least half of the settings that vary."""
    there = sum(bool(raw.columns[column][row].strip()) for column in columns)
    return 2 * there >= len(columns)


def _last_steps(raw: RawTable, value: str | None) -> tuple[RawTable, tuple[str, ...]]:
    """The last step of each run, where a run has several rows."""
    plain = {column: plain_name(column) for column in raw.columns}
    measured = {column: own for column, own in plain.items() if not CONFIGURED.match(column)}
    counter = first_column(measured, STEPS)
    steps = None if counter is None else quiet_numbers(raw.columns[counter])
    if counter is None or steps is None or not all(map(math.isfinite, steps)) or len(set(steps)) < 2:
        return raw, ()
    runs = _runs_of_steps(raw, plain, counter, steps)
    if runs is None:
        return raw, ()
    if len(runs) == 1:
        raise InputError(
            f"{raw.source}: is the course of one run (a row per {counter}), and one run compares nothing; "
            f"{EXPORT}"
        )
    ends = {name: max(rows, key=lambda row: steps[row]) for name, rows in runs.items()}
    table = _ended(raw, value, steps, runs)
    note = f"a row per {counter}: the last of each of {len(runs)} runs is its outcome"
    early = _stopped([steps[row] for row in ends.values()])
    short = [one and not own for one, own in zip(early, finished_of(table, plain), strict=False)]
    if not any(early):
        return table, (note,)
    most = max(steps[row] for row in ends.values())
    what = "and have no outcome" if any(short) else "and are finished, by the table's own word, so counted"
    first = (short if any(short) else early).index(True)
    told = f"{sum(short) or sum(early)} of {len(runs)} runs ended before {counter} {most:g}"
    table = _marked(table, plain, short) if any(short) else table
    return table, (note, f"{told} (line {table.lines[first]}) {what}")


def _runs_of_steps(
    raw: RawTable, plain: Mapping[str, str], counter: str, steps: Sequence[float]
) -> dict[tuple[str, ...], list[int]] | None:
    """The rows of every run, if the table has a row per step; None where it has one per run."""
    named = [column for name in RUNS for column, own in plain.items() if own == name and column != counter]
    fixed = [column for column, own in plain.items() if _is_told(column, own)]
    if not named and not fixed:
        raise InputError(
            f"{raw.source}: has a row per {counter}, and no column says which run a row belongs to or what "
            f"it was told; {EXPORT}"
        )
    for columns in (*([column] for column in named), *([fixed] if fixed else [])):
        runs = _courses(raw, columns, steps)
        several = [rows for rows in runs.values() if len(rows) > 1]
        whole = all(len({steps[row] for row in rows}) == len(rows) for rows in several)
        one_run = all(_one_value(raw, column, rows) for rows in several for column in fixed)
        if sum(map(len, several)) * 2 > raw.rows and whole and one_run and _climbs(several, steps):
            return runs
    return None


def _courses(
    raw: RawTable, columns: Sequence[str], steps: Sequence[float]
) -> dict[tuple[str, ...], list[int]]:
    """Rows that have these cells in common; where their steps begin anew, another run begins."""
    rows: dict[tuple[str, ...], list[int]] = {}
    for row in range(raw.rows):
        rows.setdefault(tuple(raw.columns[column][row] for column in columns), []).append(row)
    first = {key: min(steps[row] for row in own) for key, own in rows.items()}
    runs: dict[tuple[str, ...], list[int]] = {}
    for key, own in rows.items():
        course = 0
        for place, row in enumerate(own):
            course += place > 0 and steps[row] == first[key]
            runs.setdefault((*key, str(course)), []).append(row)
    return runs


def _one_value(raw: RawTable, column: str, rows: Sequence[int]) -> bool:
    return len({raw.columns[column][row].strip() for row in rows} - {""}) < 2


def _is_told(column: str, name: str) -> bool:
    """Whether a column may tell runs apart: a setting, seed or arm, by its name."""
    known = {alias for names in (*ALIASES.values(), *CONTEXTS.values()) for alias in names}
    return name in known or name in SEEDS or name in ARMS or bool(CONFIGURED.match(column))


def _climbs(runs: Sequence[Sequence[int]], steps: Sequence[float]) -> bool:
    """Whether rows of a run come in the order of their steps, or all runs have the same steps."""
    ordered = all(steps[one] < steps[two] for rows in runs for one, two in pairwise(rows))
    same = len({tuple(sorted(steps[row] for row in rows)) for rows in runs}) == 1
    return ordered or same


def _ended(
    raw: RawTable, value: str | None, steps: Sequence[float], runs: Mapping[tuple[str, ...], Sequence[int]]
) -> RawTable:
    """Per run its last cells: a tracker leaves a cell empty where a step did not measure it."""
    ordered = [sorted(rows, key=lambda row: steps[row]) for rows in runs.values()]
    return RawTable(
        source=raw.source,
        columns={
            column: tuple(
                next((cells[row] for row in reversed(rows) if cells[row].strip()), "") for rows in ordered
            )
            for column, cells in raw.columns.items()
        },
        lines=tuple(raw.lines[rows[-1]] for rows in ordered),
    )


def _stopped(ends: Sequence[float]) -> list[bool]:
    """Which runs ended before the step at which most ended; none where they differ anyhow."""
    end, amount = Counter(ends).most_common(1)[0]
    short = [one < SAME * end for one in ends]
    return short if amount > MOST * len(ends) and end == max(ends) and any(short) else []


REACHED = ("steps", "iterations", "epochs", "logged")


def without_stopped(
    statuses: Sequence[str],
    costs: Mapping[str, Sequence[float]],
    arms: Sequence[object],
    lines: Sequence[int],
    finished: Sequence[bool],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Statuses in which a run that ended before the others of its arm has no outcome, and the note of it.

    costs: how far every run came, where the table tells it. arms: what tells the arms apart, per run.
    finished: runs of which the table says so, as of one that ended early by its own rule; they count, with a
    note.
    """
    for kind in REACHED:
        reached = costs.get(kind)
        if reached is None:
            continue
        done = [
            row
            for row, status in enumerate(statuses)
            if status == Status.COMPLETED and math.isfinite(reached[row])
        ]
        own: dict[object, list[int]] = {}
        for row in done:
            own.setdefault(arms[row], []).append(row)
        short = {
            row
            for rows in own.values()
            for row, is_short in zip(rows, _stopped([reached[row] for row in rows]), strict=False)
            if is_short
        }
        if short and len(short) <= (1 - MOSTLY) * len(done):
            cut = {row for row in short if not finished[row]}
            kept = tuple(Status.FAILED if row in cut else status for row, status in enumerate(statuses))
            said = (
                (cut, "stopped, without an outcome"),
                (short - cut, "finished, by the table's own word, so counted; see whether that was meant"),
            )
            return kept, tuple(_ended_early(rows, kind, lines, what) for rows, what in said if rows)
    return tuple(statuses), ()


def _ended_early(rows: Set[int], kind: str, lines: Sequence[int], what: str) -> str:
    some = "1 run" if len(rows) == 1 else f"{len(rows)} runs"
    return (
        f"{some} ended before the others of the same settings (line {lines[min(rows)]}), by the column of "
        f"{kind}: {what}"
    )


def _marked(table: RawTable, plain: Mapping[str, str], short: Sequence[bool]) -> RawTable:
    """The table with the runs that were stopped told as such."""
    column = first_column(dict(plain), STATUSES) or STATUSES[0]
    before = table.columns.get(column, ("",) * table.rows)
    cells = tuple("stopped" if is_short else cell for cell, is_short in zip(before, short, strict=True))
    return RawTable(source=table.source, columns={**table.columns, column: cells}, lines=table.lines)
