"""What the cells of a table's columns say of each run: arm, seed, status, stage, level and cost. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bios_sweep.errors import InputError
from bios_sweep.tables.column_names import COSTS, DIVERGED_WORDS, DONE_WORDS, STAGES, STATUSES, first_column
from bios_sweep.tables.text_table import RawTable, parsed, quiet_numbers, seed_of
from bios_sweep.vocabulary import Stage, Status

DONE = "done"  # Ray's column of trials that ended


def arms_of(raw: RawTable, column: str) -> tuple[str, ...]:
    """The name of every run's arm.

    Raises:
        InputError: one is empty.
    """
    arms = tuple(map(str.strip, raw.columns[column]))
    if "" in arms:
        raise InputError(f"{raw.where(arms.index(''))}: the arm is empty; name every run's arm")
    return arms


def seeds_of(raw: RawTable, column: str) -> tuple[int, ...]:
    """The seed of every run, as a whole number."""
    known: dict[str, int] = {}
    for row, cell in enumerate(raw.columns[column]):
        if cell not in known:
            known[cell] = seed_of(cell, raw.where(row))
    return tuple(known[cell] for cell in raw.columns[column])


def texts_of(raw: RawTable, column: str | None) -> tuple[str, ...] | None:
    """The cells as text, empty where they say `none`."""
    return (
        None
        if column is None
        else tuple("" if text == "none" else text for text in map(str.strip, raw.columns[column]))
    )


def levels_of(raw: RawTable, column: str | None) -> tuple[Any, ...] | None:
    """The cells as numbers, truth values or text."""
    return None if column is None else parsed(raw.columns[column])


def statuses_of(raw: RawTable, plain: dict[str, str]) -> tuple[str, ...]:
    """`completed`, `diverged` or `failed`; a word that is not known is not a completed run."""
    column = first_column(plain, STATUSES)
    if column is None:
        done = [cell.strip().lower() == "false" for cell in raw.columns.get(DONE, ())]
        running = done if not all(done) else []  # Ray: a trial that is not done is running, or was stopped
        return tuple(Status.FAILED if one else Status.COMPLETED for one in running or [False] * raw.rows)
    known = {cell: _status(cell.strip().lower()) for cell in set(raw.columns[column])}
    return tuple(known[cell] for cell in raw.columns[column])


def finished_of(raw: RawTable, plain: dict[str, str]) -> tuple[bool, ...]:
    """Whether the table itself says of a run that it ended as it was to; an empty cell says nothing."""
    column = first_column(plain, STATUSES)
    cells = ("",) * raw.rows if column is None else raw.columns[column]
    return tuple(
        bool(word) and _status(word) == Status.COMPLETED for word in map(str.lower, map(str.strip, cells))
    )


def _status(word: str) -> str:
    word = word.rpartition(".")[2]  # Optuna's TrialState.COMPLETE
    if word in DONE_WORDS:
        return Status.COMPLETED
    return Status.DIVERGED if word in DIVERGED_WORDS else Status.FAILED


def ended_as(statuses: Sequence[str], values: Sequence[float], cells: Sequence[str]) -> tuple[str, ...]:
    """A run without any value has no outcome; one whose value is NaN or infinite diverged."""
    return tuple(
        status
        if status != Status.COMPLETED or math.isfinite(value)
        else (Status.DIVERGED if cell.strip() else Status.FAILED)
        for status, value, cell in zip(statuses, values, cells, strict=True)
    )


def stages_of(raw: RawTable, plain: dict[str, str]) -> tuple[str, ...]:
    """Screening, but for what a table of ours calls confirmation."""
    column = first_column(plain, STAGES)
    if column is None:
        return (Stage.SCREENING,) * raw.rows
    return tuple(
        Stage.CONFIRMATION if cell.strip() == Stage.CONFIRMATION else Stage.SCREENING
        for cell in raw.columns[column]
    )


def costs_of(raw: RawTable, plain: dict[str, str]) -> dict[str, tuple[float, ...]]:
    """Costs per run; a cost that is not written as a number is not used."""
    found = {name: first_column(plain, aliases) for name, aliases in COSTS.items()}
    return {
        name: numbers
        for name, column in found.items()
        if column is not None and (numbers := quiet_numbers(raw.columns[column])) is not None
    }


def untouched_of(raw: RawTable, column: str | None) -> float | None:
    """The metric before any training, where a column tells it."""
    numbers = None if column is None else quiet_numbers(raw.columns[column])
    return next((number for number in numbers or () if math.isfinite(number)), None)
