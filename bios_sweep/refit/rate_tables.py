"""Rate studies from one table: of trials, or of what others found (brackets, mean gains with errors)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bios_sweep.decision.table import Outcome
from bios_sweep.defaults.measured import plain_number
from bios_sweep.defaults.rules import setting_heuristic
from bios_sweep.errors import InputError
from bios_sweep.refit.design import FACTORS
from bios_sweep.refit.evidence import Collected, RateStudy, read_errors, read_seeds
from bios_sweep.settings import FULL, GROWTH, KNOWN, REFERENCE_RANK, setting_names
from bios_sweep.study.scenario import Metric
from bios_sweep.tables.text_table import RawTable, numbers, parsed, seed_of
from bios_sweep.vocabulary import Stage, Status

RATE = "learning_rate"
KEY = "trial_key"
ENDS = ("best_low", "best_high")  # columns of a table that states brackets instead of values
DATA = ("data", "dataset", "dataset_name")  # columns that say what was trained on
ALPHAS = {"lora_alpha": "alpha", "alpha_rule": "alpha rule"}  # column -> its name in words
MEANS = ("gain", "standard_error")  # of one that states them per rate, percent of the loss

Who = Sequence[tuple[str, str, int]]  # of every row: model, family, hidden size


def studies_of(raw: RawTable, who: Who, metric: Metric, data: str = "") -> Collected:
    """The rows that differ in nothing but learning rate and seed, as one study each; the rest is told.

    Rows of confirmation stay out: they have other seeds and only two arms. data: what all rows were trained
    on, where no column says it.
    """
    for name in (RATE, "seed", "value"):
        if name not in raw.columns:
            raise InputError(f"{raw.source}: has no column {name!r}; refitting needs {RATE}, seed and value")
    stages, keys = (raw.columns.get(name, ("",) * raw.rows) for name in ("stage", KEY))
    screened = [row for row in range(raw.rows) if stages[row] != Stage.CONFIRMATION]
    studies: list[RateStudy] = []
    elsewhere: list[RateStudy] = []
    left_out, alphas = [], set()
    for values, rows in _alike(raw, who, screened):
        if len({raw.columns[RATE][row] for row in rows}) < 3:
            continue
        common = {"data": data, **_common(who[rows[0]], values)}
        alphas |= {
            (common["method"], name, str(values[column]))
            for column, name in ALPHAS.items()
            if values.get(column) is not None
        }
        try:
            other = _of_another_rule(values)
            reading = read_seeds(_outcomes(raw, rows), metric)
        except InputError as error:
            left_out.append(f"{raw.source}: {common['name']}: {error}")
            continue
        trials = frozenset(filter(None, (keys[row] for row in rows)))
        (elsewhere if other else studies).append(RateStudy(**common, trials=trials, **vars(reading)))
        if other:
            left_out.append(f"{raw.source}: {common['name']}: {other}; it tells of the terms alone")
    if not studies and not left_out:
        left_out.append(f"{raw.source}: no three learning rates with everything else alike")
    return Collected(
        studies=tuple(studies),
        elsewhere=tuple(elsewhere),
        left_out=tuple(left_out),
        alphas=frozenset(alphas),
    )


def stated(raw: RawTable, who: Who) -> Collected | None:
    """The studies of a table that states what others found; None where it is another table."""
    if ENDS[0] in raw.columns:
        return Collected(studies=tuple(_brackets(raw, who)))
    if MEANS[0] in raw.columns and MEANS[1] in raw.columns and "value" not in raw.columns:
        return _means(raw, who)
    return None


def _brackets(raw: RawTable, who: Who) -> Iterator[RateStudy]:
    """One study per row that states between which rates the best lies; an empty end is open."""
    if ENDS[1] not in raw.columns:
        raise InputError(f"{raw.source}: has {ENDS[0]} but no {ENDS[1]}; a bracket needs both columns")
    settings = _settings(raw)
    lows, highs = (numbers(raw, name, name) for name in ENDS)
    for row, low, high in zip(range(raw.rows), lows, highs, strict=True):
        yield RateStudy(
            **{**_common(who[row], settings[row]), "name": raw.where(row)},
            low=0.0 if math.isnan(low) else low,
            high=math.inf if math.isnan(high) else high,
        )


def _means(raw: RawTable, who: Who) -> Collected:
    """Rows that differ in nothing but the rate are one study, one row per rate."""
    if RATE not in raw.columns:
        raise InputError(f"{raw.source}: has no column {RATE!r}; gains are stated per learning rate")
    rates, gains, errors = (numbers(raw, name, name) for name in (RATE, *MEANS))
    studies, left_out = [], []
    for values, rows in _alike(raw, who, range(raw.rows)):
        common, of_rate = _common(who[rows[0]], values), _by_rate(raw, rates, rows)
        lost = [rate for rate, row in of_rate.items() if _status(raw, row) == Status.DIVERGED]
        trained = {rate: row for rate, row in of_rate.items() if rate not in lost}  # their gains are read
        for row in trained.values():
            _require(raw, row, MEANS[0], math.isfinite(gains[row]), "a number")
            _require(raw, row, MEANS[1], 0 <= errors[row] < math.inf, "a number of at least 0")
        try:
            reading = read_errors(
                {rate: gains[row] for rate, row in trained.items()},
                {rate: errors[row] for rate, row in trained.items()},
                lost,
            )
        except InputError as error:
            left_out.append(f"{raw.where(rows[0])}: {common['name']}: {error}")
            continue
        studies.append(RateStudy(**common, **vars(reading)))
    return Collected(studies=tuple(studies), left_out=tuple(left_out))


def _settings(raw: RawTable) -> list[dict[str, Any]]:
    """Per row the settings that its table tells of, and the data; the learning rate left out."""
    names = [name for name in setting_names() if name != RATE and name in raw.columns]
    columns = {name: parsed(raw.columns[name]) for name in names}
    if on := [name for name in DATA if name in raw.columns]:
        columns["data"] = raw.columns[on[0]]
    return [{name: values[row] for name, values in columns.items()} for row in range(raw.rows)]


def _alike(raw: RawTable, who: Who, rows: Iterable[int]) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Rows by everything but learning rate and seed, with the settings that they have in common."""
    settings = _settings(raw)
    groups: dict[Any, list[int]] = {}
    for row in rows:
        study = raw.columns["study"][row] if "study" in raw.columns else ""
        groups.setdefault((who[row], study, tuple(settings[row].items())), []).append(row)
    for group in groups.values():
        yield settings[group[0]], group


def _common(who: tuple[str, str, int], values: Mapping[str, Any]) -> dict[str, Any]:
    """What a study is of, as fields of `RateStudy`; the method of a table that does not say is LoRA."""
    model, family, size = who
    told = [f"{FACTORS[name]} {values[name]}" for name in FACTORS if name in values]
    on = {"data": str(values["data"])} if values.get("data") else {}
    return {
        **on,
        "name": ", ".join([model, *on.values(), *told]),
        "model": model,
        "family": family,
        "hidden_size": size,
        "method": str(values.get("method", "lora")),
        "facts": {
            **{name: float(values[name]) for name in FACTORS if isinstance(values.get(name), int | float)},
            **_alpha(values),
        },
    }


def _alpha(values: Mapping[str, Any]) -> dict[str, float]:
    """The adapter's own alpha, by its rule; a table that does not say has ours."""
    alpha, rule = _said(values, "lora_alpha", "alpha"), _said(values, "alpha_rule", "alpha_rule")
    rank = values.get("lora_rank")
    if values.get("method") == FULL or not isinstance(alpha, int | float) or rule not in GROWTH:
        return {}
    if isinstance(rank, int | float):
        return {"alpha": float(alpha * (rank / REFERENCE_RANK) ** GROWTH[rule])}
    return {} if GROWTH[rule] else {"alpha": float(alpha)}


def _said(values: Mapping[str, Any], name: str, ours: str) -> Any:
    said = values.get(name)
    said = setting_heuristic(RATE)["rule"][ours] if said is None else said
    return KNOWN[name].meant(said)


def _of_another_rule(values: Mapping[str, Any]) -> str:
    """Why it is no evidence for our rule, of whose identity alpha and its rule are part; empty where it is.

    Raises:
        InputError: an alpha rule that nobody knows.
    """
    rule = setting_heuristic(RATE)["rule"]
    for name, ours in (("lora_alpha", rule["alpha"]), ("alpha_rule", rule["alpha_rule"])):
        if values.get(name, ours) not in (ours, None):  # full fine-tuning has no alpha
            told = f"{name} {values[name]} belongs to another learning-rate rule than {plain_number(ours)}"
            if name == "alpha_rule" and values[name] not in GROWTH:
                raise InputError(told)
            return told
    return ""


def _outcomes(raw: RawTable, rows: Sequence[int]) -> dict[tuple[float, int], Outcome]:
    """By (rate, seed); a trial that the table has twice, as the control of a repeat, counts once."""
    rates, values = numbers(raw, RATE, RATE), numbers(raw, "value", "value")
    outcomes: dict[tuple[float, int], Outcome] = {}
    for row in rows:
        rate, seed = _rate(raw, rates, row), seed_of(raw.columns["seed"][row], raw.where(row))
        status = raw.columns["status"][row] if "status" in raw.columns else Status.COMPLETED
        if status == Status.COMPLETED and not math.isfinite(values[row]):
            status = Status.DIVERGED
        outcomes.setdefault((rate, seed), Outcome(status=status, value=values[row]))
    return outcomes


def _by_rate(raw: RawTable, rates: Sequence[float], rows: Sequence[int]) -> dict[float, int]:
    """Rate -> row."""
    found: dict[float, int] = {}
    for row in rows:
        rate = _rate(raw, rates, row)
        if rate in found:
            twice = f"{raw.where(row)}: {RATE} {rate:g} is also in line {raw.lines[found[rate]]}"
            raise InputError(f"{twice}; one row per rate")
        found[rate] = row
    return found


def _rate(raw: RawTable, rates: Sequence[float], row: int) -> float:
    if not 0 < rates[row] < math.inf:
        raise InputError(f"{raw.where(row)}: {RATE} {rates[row]:g} is not above 0")
    return rates[row]


def _status(raw: RawTable, row: int) -> str:
    return raw.columns["status"][row].strip() if "status" in raw.columns else ""


def _require(raw: RawTable, row: int, column: str, allowed: bool, what: str) -> None:
    if not allowed:
        cell = raw.columns[column][row].strip()
        raise InputError(f"{raw.where(row)}: {column} {cell!r} is not allowed; {what}, in percent")
