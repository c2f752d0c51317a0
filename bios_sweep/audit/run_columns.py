"""From a foreign table to runs: which column is the arm, the seed, the metric, which are settings."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.audit.runs import RunTable
from bios_sweep.claims import REPEAT
from bios_sweep.errors import InputError
from bios_sweep.tables.column_names import (
    ACCUMULATED,
    ALIASES,
    ARMS,
    CONFIGURED,
    CONTEXTS,
    COSTS,
    DEVICES,
    DIVERGED_WORDS,
    DONE_WORDS,
    MEASURED,
    METRICS,
    OUTCOME_BLIND,
    PER_DEVICE,
    SEEDS,
    STAGES,
    STATUSES,
    UNTOUCHED,
    first_column,
    plain_name,
)
from bios_sweep.tables.judged import decided_of, looks_of, metric_of
from bios_sweep.tables.text_table import RawTable, numbers, parsed, quiet_numbers, seed_of
from bios_sweep.vocabulary import Stage, Status


@dataclass(frozen=True, kw_only=True)
class ColumnNames:
    """What the user names: columns of arms, seeds and values, and which way the metric improves."""

    arm: str | None = None
    seed: str | None = None
    value: str | None = None
    direction: str | None = None


def to_runs(raw: RawTable, names: ColumnNames) -> RunTable:
    """Read a raw table as runs.

    Raises:
        InputError: a named column is missing (with the nearest), no value or arm can be found, text
            stands in a number.
    """
    raw = _trials_only(raw)
    plain = {column: plain_name(column) for column in raw.columns}
    value = _value_column(raw, plain, names.value)
    seed = _chosen(raw, plain, names.seed, SEEDS, "--seed")
    arm = _chosen(raw, plain, names.arm, ARMS, "--arm")
    statuses = _statuses(raw, plain)
    values = numbers(raw, value, "value")
    metric, notes = metric_of(raw, value, names.direction)
    taken = {value, seed, arm} | {first_column(plain, names) for names in (STATUSES, STAGES)}
    settings, more = _settings(raw, {c: p for c, p in plain.items() if c not in taken}, needed=arm is None)
    return RunTable(
        source=raw.source,
        arms=None if arm is None else _arms(raw, arm),
        seeds=None if seed is None else _seeds(raw, seed),
        values=values,
        statuses=_ended(statuses, values, raw.columns[value]),
        stages=_stages(raw, plain),
        metric=metric,
        settings=settings,
        factors=_cells(raw, first_column(plain, ("factor",))) if arm is not None else None,
        levels=_levels(raw, first_column(plain, ("level",))) if arm is not None else None,
        costs=_costs(raw, plain),
        contexts=_contexts(raw, plain),
        aliases={alias: name for name, aliases in ALIASES.items() for alias in aliases}
        | {column: own for column, own in plain.items() if own in settings},
        untouched=_untouched(raw, first_column(plain, UNTOUCHED)),
        looks=looks_of(raw, value),
        decided=decided_of(raw, value),
        places=tuple(f"line {line}" for line in raw.lines),
        notes=(*notes, *more),
    )


def _trials_only(raw: RawTable) -> RawTable:
    """Without the rows that no verdict uses: our own sweeps in an export of MLflow, and controls."""
    kinds = raw.columns.get("tags.kind")
    if kinds is not None and "trial" in kinds:
        raw = raw.kept([row for row, kind in enumerate(kinds) if kind == "trial"])
    stages = raw.columns.get("stage", ())
    if Stage.CONTROL in stages:
        raw = raw.kept([row for row, stage in enumerate(stages) if stage != Stage.CONTROL])
    return raw


def _chosen(
    raw: RawTable, plain: dict[str, str], given: str | None, names: Sequence[str], flag: str
) -> str | None:
    return first_column(plain, names) if given is None else _existing(raw, plain, given, flag)


def _existing(raw: RawTable, plain: dict[str, str], given: str, flag: str) -> str:
    """A column by its whole name, else by the name without the tracker's prefix."""
    if given in raw.columns:
        return given
    same = [column for column, own in plain.items() if own == plain_name(given)]
    if len(same) == 1:
        return same[0]
    near = difflib.get_close_matches(given, [*raw.columns], n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"{raw.source}: {flag}: there is no column {given!r}{hint}; {_there(raw)}")


def _there(raw: RawTable, limit: int = 12) -> str:
    names = list(raw.columns)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"the columns are {', '.join(names[:limit])}{more}"


def _value_column(raw: RawTable, plain: dict[str, str], given: str | None) -> str:
    if given is not None:
        return _existing(raw, plain, given, "--value")
    found = first_column(plain, METRICS)
    if found is None:
        near = difflib.get_close_matches("value", [*raw.columns], n=1, cutoff=0.6)
        hint = f" (is it {near[0]!r}?)" if near else ""
        raise InputError(
            f"{raw.source}: no column 'value'{hint}; name the metric's column with --value COL; {_there(raw)}"
        )
    return found


def _arms(raw: RawTable, column: str) -> tuple[str, ...]:
    arms = tuple(map(str.strip, raw.columns[column]))
    if "" in arms:
        raise InputError(f"{raw.where(arms.index(''))}: the arm is empty; name every run's arm")
    return arms


def _seeds(raw: RawTable, column: str) -> tuple[int, ...]:
    known: dict[str, int] = {}
    for row, cell in enumerate(raw.columns[column]):
        if cell not in known:
            known[cell] = seed_of(cell, raw.where(row))
    return tuple(known[cell] for cell in raw.columns[column])


def _cells(raw: RawTable, column: str | None) -> tuple[str, ...] | None:
    return (
        None
        if column is None
        else tuple("" if text == "none" else text for text in map(str.strip, raw.columns[column]))
    )


def _levels(raw: RawTable, column: str | None) -> tuple[Any, ...] | None:
    return None if column is None else parsed(raw.columns[column])


def _statuses(raw: RawTable, plain: dict[str, str]) -> tuple[str, ...]:
    """`completed`, `diverged` or `failed`; a word that is not known is not a completed run."""
    column = first_column(plain, STATUSES)
    if column is None:
        return (Status.COMPLETED,) * raw.rows
    known = {cell: _status(cell.strip().lower()) for cell in set(raw.columns[column])}
    return tuple(known[cell] for cell in raw.columns[column])


def _status(word: str) -> str:
    word = word.rpartition(".")[2]  # Optuna's TrialState.COMPLETE
    if word in DONE_WORDS:
        return Status.COMPLETED
    return Status.DIVERGED if word in DIVERGED_WORDS else Status.FAILED


def _ended(statuses: Sequence[str], values: Sequence[float], cells: Sequence[str]) -> tuple[str, ...]:
    """A run without any value has no outcome; one whose value is NaN or infinite diverged."""
    return tuple(
        status
        if status != Status.COMPLETED or math.isfinite(value)
        else (Status.DIVERGED if cell.strip() else Status.FAILED)
        for status, value, cell in zip(statuses, values, cells, strict=True)
    )


def _stages(raw: RawTable, plain: dict[str, str]) -> tuple[str, ...]:
    column = first_column(plain, STAGES)
    if column is None:
        return (Stage.SCREENING,) * raw.rows
    return tuple(
        Stage.CONFIRMATION if cell.strip() == Stage.CONFIRMATION else Stage.SCREENING
        for cell in raw.columns[column]
    )


def _settings(
    raw: RawTable, plain: dict[str, str], *, needed: bool
) -> tuple[dict[str, tuple[Any, ...]], tuple[str, ...]]:
    """Canonical name -> values, and what had to be assumed.

    A column that the table itself calls a factor is a setting, whatever its name.

    Raises:
        InputError: arms must be made of settings and there are none.
    """
    factors = {cell.strip() for cell in raw.columns.get("factor", ())} - {REPEAT}
    used: dict[str, str] = {}
    for name, aliases in ALIASES.items():
        column = _by_alias(plain, aliases)
        if column is not None and column not in used.values():
            used[name] = column
    settings = {name: parsed(raw.columns[column]) for name, column in used.items()}
    notes: tuple[str, ...] = ()
    if "batch_size" not in settings:
        product, notes = _product(raw, plain)
        settings |= {"batch_size": product} if product else {}
    parts = {*PER_DEVICE, *ACCUMULATED, *DEVICES}
    for column, name in plain.items():
        if column in used.values() or name in parts:
            continue
        if column in factors:
            settings[column] = parsed(raw.columns[column])
        elif _is_setting(column, name):
            settings.setdefault(name, parsed(raw.columns[column]))
    if needed and not settings:
        raise InputError(
            f"{raw.source}: no column 'arm' and none that is known as a setting; name the arms' column with "
            f"--arm COL; {_there(raw)}"
        )
    return settings, notes


def _by_alias(plain: dict[str, str], aliases: Sequence[str]) -> str | None:
    """A column that goes by an alias, whole or as the last part of a path (`optimizer.lr`)."""
    found = first_column(plain, aliases)
    if found is not None:
        return found
    return next(
        (column for alias in aliases for column, own in plain.items()
         if len(alias) > 1 and re.split(r"[.]", own)[-1] == alias and not MEASURED.match(column)),
        None,
    )  # fmt: skip


def _is_setting(column: str, name: str) -> bool:
    """Whether a column that has no known name was marked as configured and may decide an outcome."""
    known = {*SEEDS, *(alias for group in (*COSTS.values(), *CONTEXTS.values()) for alias in group)}
    return bool(CONFIGURED.match(column)) and name not in known and not OUTCOME_BLIND.search(name)


def _product(raw: RawTable, plain: dict[str, str]) -> tuple[tuple[Any, ...] | None, tuple[str, ...]]:
    """The effective batch of a trainer that accumulates: per device x accumulation x devices."""
    each = first_column(plain, PER_DEVICE)
    if each is None:
        return None, ()
    found = (first_column(plain, names) for names in (ACCUMULATED, DEVICES))
    others = [column for column in found if column is not None]
    factors = [parsed(raw.columns[column]) for column in (each, *others)]
    product = tuple(
        math.prod(cells) if all(isinstance(cell, int) for cell in cells) else None
        for cells in zip(*factors, strict=True)
    )
    return product, (f"batch_size is taken as {' x '.join((each, *others))}",)


def _costs(raw: RawTable, plain: dict[str, str]) -> dict[str, tuple[float, ...]]:
    """Costs per run; a cost that is not written as a number is not used."""
    found = {name: first_column(plain, aliases) for name, aliases in COSTS.items()}
    return {
        name: numbers
        for name, column in found.items()
        if column is not None and (numbers := quiet_numbers(raw.columns[column])) is not None
    }


def _untouched(raw: RawTable, column: str | None) -> float | None:
    numbers = None if column is None else quiet_numbers(raw.columns[column])
    return next((number for number in numbers or () if math.isfinite(number)), None)


def _contexts(raw: RawTable, plain: dict[str, str]) -> dict[str, dict[str, tuple[str, ...]]]:
    stripped: Callable[[str], tuple[str, ...]] = lambda column: tuple(map(str.strip, raw.columns[column]))  # noqa: E731
    return {
        kind: {column: stripped(column) for column, own in plain.items() if own in aliases}
        for kind, aliases in CONTEXTS.items()
    }
