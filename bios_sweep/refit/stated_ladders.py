"""Ladders from tables that state what others found: brackets, or mean gains with standard errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.errors import InputError
from bios_sweep.refit.design import FACTORS
from bios_sweep.refit.evidence import Ladder, read_errors
from bios_sweep.settings import setting_names
from bios_sweep.tables.text_table import RawTable, numbers, parsed
from bios_sweep.vocabulary import Status

RATE = "learning_rate"
ENDS = ("best_low", "best_high")  # columns of a table that states brackets instead of values
MEANS = ("gain", "standard_error")  # of one that states them per rate, percent of the loss
FIXED = tuple(name for name in setting_names() if name != RATE)

Who = Sequence[tuple[str, str, int]]  # of every row: model, family, hidden size


def stated(raw: RawTable, who: Who) -> tuple[list[Ladder], list[str]] | None:
    """The ladders of such a table, and what was left out with its reason; None where it is another table."""
    if ENDS[0] in raw.columns:
        return _brackets(raw, who), []
    if MEANS[0] in raw.columns and MEANS[1] in raw.columns and "value" not in raw.columns:
        return _means(raw, who)
    return None


def settings_of(raw: RawTable) -> list[dict[str, Any]]:
    """Per row the settings that its table tells of, the learning rate left out."""
    names = [name for name in FIXED if name in raw.columns]
    columns = [parsed(raw.columns[name]) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)] or [
        {} for _ in range(raw.rows)
    ]


def named(values: Mapping[str, Any], model: str) -> str:
    """A ladder's name: its model and the factors that its table tells of."""
    told = [f"{FACTORS[name]} {values[name]}" for name in FACTORS if name in values]
    return ", ".join([model, *told])


def facts_of(values: Mapping[str, Any]) -> dict[str, float]:
    """What was fixed and may move the best rate, where it is known."""
    return {name: float(values[name]) for name in FACTORS if isinstance(values.get(name), int | float)}


def method_of(values: Mapping[str, Any]) -> str:
    """The method of a table that does not say is LoRA."""
    return str(values.get("method", "lora"))


def rate_of(raw: RawTable, rates: Sequence[float], row: int) -> float:
    """A row's learning rate.

    Raises:
        InputError: it is missing, or not above 0.
    """
    if not 0 < rates[row] < math.inf:
        raise InputError(f"{raw.where(row)}: {RATE} {rates[row]:g} is not above 0")
    return rates[row]


def _brackets(raw: RawTable, who: Who) -> list[Ladder]:
    """One ladder per row that states between which rates the best lies; an empty end is open."""
    settings = settings_of(raw)
    if ENDS[1] not in raw.columns:
        raise InputError(f"{raw.source}: has {ENDS[0]} but no {ENDS[1]}; a bracket needs both columns")
    lows, highs = (numbers(raw, name, name) for name in ENDS)
    return [
        Ladder(
            name=raw.where(row),
            model=model,
            family=family,
            hidden_size=size,
            method=method_of(settings[row]),
            facts=facts_of(settings[row]),
            low=0.0 if math.isnan(lows[row]) else lows[row],
            high=math.inf if math.isnan(highs[row]) else highs[row],
        )
        for row, (model, family, size) in enumerate(who)
    ]


def _means(raw: RawTable, who: Who) -> tuple[list[Ladder], list[str]]:
    """Rows that differ in nothing but the rate are one ladder, one row per rate."""
    if RATE not in raw.columns:
        raise InputError(f"{raw.source}: has no column {RATE!r}; gains are stated per learning rate")
    settings, ladders, left_out = settings_of(raw), [], []
    groups: dict[Any, list[int]] = {}
    for row in range(raw.rows):
        study = raw.columns["study"][row] if "study" in raw.columns else ""
        groups.setdefault((who[row], study, tuple(settings[row].items())), []).append(row)
    cells = _Means(rates=numbers(raw, RATE, RATE), **{name: numbers(raw, name, name) for name in MEANS})
    for rows in groups.values():
        model, family, size = who[rows[0]]
        values = settings[rows[0]]
        trained, lost = _by_rate(raw, cells, rows)
        try:
            reading = read_errors(
                {rate: cells.gain[row] for rate, row in trained.items()},
                {rate: cells.standard_error[row] for rate, row in trained.items()},
                lost,
            )
        except InputError as error:
            left_out.append(f"{raw.where(rows[0])}: {named(values, model)}: {error}")
            continue
        ladders.append(
            Ladder(
                name=named(values, model),
                model=model,
                family=family,
                hidden_size=size,
                method=method_of(values),
                facts=facts_of(values),
                **vars(reading),
            )
        )
    return ladders, left_out


@dataclass(frozen=True, kw_only=True)
class _Means:
    """The three columns of numbers, one entry per row."""

    rates: tuple[float, ...]
    gain: tuple[float, ...]
    standard_error: tuple[float, ...]


def _by_rate(raw: RawTable, cells: _Means, rows: Sequence[int]) -> tuple[dict[float, int], list[float]]:
    """Rate -> row of those that trained, and the rates that diverged, whose gains are not read.

    Raises:
        InputError: a fault of a cell, with its table, line and column; a rate that is there twice.
    """
    statuses = raw.columns.get("status", ("",) * raw.rows)
    found: dict[float, int] = {}
    for row in rows:
        rate = rate_of(raw, cells.rates, row)
        if rate in found:
            twice = f"{raw.where(row)}: {RATE} {rate:g} is also in line {raw.lines[found[rate]]}"
            raise InputError(f"{twice}; one row per rate")
        found[rate] = row
    lost = [rate for rate, row in found.items() if statuses[row].strip() == Status.DIVERGED]
    trained = {rate: row for rate, row in found.items() if rate not in lost}
    for row in trained.values():
        _require(raw, row, MEANS[0], math.isfinite(cells.gain[row]), "a number")
        _require(raw, row, MEANS[1], 0 <= cells.standard_error[row] < math.inf, "a number of at least 0")
    return trained, lost


def _require(raw: RawTable, row: int, column: str, allowed: bool, what: str) -> None:
    if not allowed:
        cell = raw.columns[column][row].strip()
        raise InputError(f"{raw.where(row)}: {column} {cell!r} is not allowed; {what}, in percent")
