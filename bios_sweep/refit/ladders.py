"""Learning-rate ladders of several models, read from finished sweeps' folders and from tables of runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bios_sweep.decision.table import Outcome
from bios_sweep.defaults import FILE_NAME, read_entries
from bios_sweep.defaults.rules import family_of, setting_heuristic
from bios_sweep.errors import InputError
from bios_sweep.method import Objective
from bios_sweep.records.sweep_files import left_by_sweeps
from bios_sweep.refit.evidence import Ladder, read_seeds
from bios_sweep.refit.stated_ladders import (
    RATE,
    Who,
    facts_of,
    method_of,
    named,
    rate_of,
    settings_of,
    stated,
)
from bios_sweep.study.metric_names import DIRECTIONS, direction_of
from bios_sweep.study.scenario import Metric
from bios_sweep.tables.column_names import VALUE
from bios_sweep.tables.judged import metric_name, metric_of, stated_direction
from bios_sweep.tables.text_table import RawTable, numbers, read_csv, seed_of
from bios_sweep.vocabulary import Stage, Status

RESULTS = "results.csv"
REPORT = "report.json"
KEY = "trial_key"
WHO = ("model", "family", "hidden_size")


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The ladders found, and what was left out with its reason, in words."""

    ladders: tuple[Ladder, ...]
    left_out: tuple[str, ...]


def collect(paths: Sequence[Path], direction: str | None = None) -> Collected:
    """Ladders of all paths: folders are searched for sweeps with a results table; files are tables.

    A file inside a sweep's folder (its report or tuned defaults too) stands for that folder. direction: which
    way a metric is better of which neither its report, nor its table, nor its name says that.

    Raises:
        InputError: a path without a sweep or table, or a table that cannot be read.
    """
    files = dict.fromkeys(file for path in paths for file in _tables(path))
    ladders: list[Ladder] = []
    left_out: list[str] = []
    for file in files:
        found, missed = _read(file, direction)
        ladders += found
        left_out += missed
    return Collected(ladders=tuple(ladders), left_out=tuple(left_out))


def together(parts: Sequence[Collected]) -> Collected:
    """What several sources gave, by size of model: whence it came must not move a digit of the fit.

    A sweep that was extended has the trials of the one before it, which is left out: no trial counts twice.
    """
    ladders = [ladder for part in parts for ladder in part.ladders]
    held = {index: _holder(ladders, index) for index in range(len(ladders))}
    kept = [ladder for index, ladder in enumerate(ladders) if held[index] is None]
    within = [
        f"{ladders[index].name}: its {len(ladders[index].trials)} trials are all in another ladder"
        for index, holder in held.items()
        if holder is not None
    ]
    return Collected(
        ladders=tuple(sorted(kept, key=lambda one: (one.hidden_size, one.model, one.name))),
        left_out=(*(told for part in parts for told in part.left_out), *within),
    )


def _holder(ladders: Sequence[Ladder], index: int) -> Ladder | None:
    """A ladder with all trials of this one and more, or an earlier one with the same."""
    own = ladders[index].trials
    holding = (
        other
        for place, other in enumerate(ladders)
        if own < other.trials or (own == other.trials and place < index)
    )
    return next(holding, None) if own else None


def _tables(path: Path) -> list[Path]:
    if path.name in (REPORT, FILE_NAME) and path.is_file():
        path = path.parent
    if not path.is_dir():
        return [path]
    found = left_by_sweeps(path, RESULTS)
    if not found:
        raise InputError(f"{path}: no {RESULTS} in this folder or below; finish a sweep, or give a table")
    return found


def _read(file: Path, direction: str | None) -> tuple[list[Ladder], list[str]]:
    report = _report(file.with_name(REPORT))
    if report is not None and report.get("stage") != Stage.DONE:
        return [], [f"{file.parent}: the sweep is not finished"]
    raw = read_csv(file)
    who = _who(file, raw)
    if isinstance(who, str):
        return [], [who]
    if doubt := no_rule_for(_objective(file.with_name(FILE_NAME))):
        return [], [f"{file.parent}: {doubt}"]
    found = stated(raw, who)
    if found is not None:
        return found
    return ladders_of(raw, who, _metric(raw, report, direction))


def _metric(raw: RawTable, report: Mapping[str, Any] | None, direction: str | None) -> Metric:
    """What a finished sweep recorded counts before what is said now of all tables at once."""
    said = (report or {}).get("metric", {})
    if said.get("direction") in DIRECTIONS:
        return Metric(name=said.get("name", VALUE), direction=said["direction"], unit="")
    if VALUE not in raw.columns:
        return Metric()  # what the table lacks is told when it is read
    known = stated_direction(raw, VALUE) or direction_of(metric_name(raw, VALUE))
    return metric_of(raw, VALUE, known or direction)[0]


def _report(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the sweep again to write it") from error
    return content if isinstance(content, dict) else None


def _who(file: Path, raw: RawTable) -> list[tuple[str, str, int]] | str:
    """Model, family and hidden size of every row: from the table's columns, else the file beside it."""
    if all(name in raw.columns for name in WHO):
        sizes = numbers(raw, "hidden_size", "hidden size")
        names = zip(raw.columns["model"], raw.columns["family"], sizes, range(raw.rows), strict=True)
        return [(model, family_of(family), _size(size, raw, row)) for model, family, size, row in names]
    tuned = file.with_name(FILE_NAME)
    if not tuned.exists():
        return f"{file}: needs the columns {', '.join(WHO)}, or {FILE_NAME} beside it"
    entry = read_entries(tuned)[0]
    one = (entry.provenance.model, family_of(entry.key.family), entry.key.hidden_size)
    return [one] * raw.rows


def _objective(tuned: Path) -> str:
    """What a finished sweep was trained by, as the tuned values it left say; a table alone says nothing."""
    return read_entries(tuned)[0].key.objective if tuned.exists() else Objective.SFT


def no_rule_for(objective: str) -> str:
    """Why ladders are no evidence for the rule of supervised fine-tuning; empty where they are."""
    return "" if objective == Objective.SFT else f"trained by {objective}; the rule is of {Objective.SFT}"


def _size(size: float, raw: RawTable, row: int) -> int:
    if not (size >= 1 and float(size).is_integer()):
        raise InputError(f"{raw.where(row)}: hidden size {size:g} is no whole number above 0")
    return int(size)


def ladders_of(raw: RawTable, who: Who, metric: Metric) -> tuple[list[Ladder], list[str]]:
    """The rows that differ in nothing but learning rate and seed, as one ladder each; the rest is told."""
    for name in (RATE, "seed", "value"):
        if name not in raw.columns:
            raise InputError(f"{raw.source}: has no column {name!r}; refitting needs {RATE}, seed and value")
    settings, ladders, left_out = settings_of(raw), [], []
    for rows in _alike(raw, who, settings).values():
        if len({raw.columns[RATE][row] for row in rows}) < 3:
            continue
        model, family, size = who[rows[0]]
        values = settings[rows[0]]
        name = named(values, model)
        if doubt := _another_rule(values):
            left_out.append(f"{raw.source}: {name}: {doubt}")
            continue
        try:
            reading = read_seeds(_outcomes(raw, rows), metric)
        except InputError as error:
            left_out.append(f"{raw.source}: {name}: {error}")
            continue
        ladders.append(
            Ladder(
                name=name,
                model=model,
                family=family,
                hidden_size=size,
                method=method_of(values),
                facts=facts_of(values),
                trials=_trials(raw, rows),
                **vars(reading),
            )
        )
    if not ladders and not left_out:
        left_out.append(f"{raw.source}: no three learning rates with everything else alike")
    return ladders, left_out


def _trials(raw: RawTable, rows: Sequence[int]) -> frozenset[str]:
    keys = raw.columns.get(KEY)
    return frozenset(filter(None, (keys[row] for row in rows))) if keys else frozenset()


def _alike(raw: RawTable, who: Who, settings: Sequence[Mapping[str, Any]]) -> dict[Any, list[int]]:
    """Rows by everything but learning rate and seed; confirmation has other seeds and only two arms."""
    groups: dict[Any, list[int]] = {}
    for row in range(raw.rows):
        if "stage" in raw.columns and raw.columns["stage"][row] == Stage.CONFIRMATION:
            continue
        study = raw.columns["study"][row] if "study" in raw.columns else ""
        groups.setdefault((who[row], study, tuple(settings[row].items())), []).append(row)
    return groups


def _another_rule(values: Mapping[str, Any]) -> str:
    """Why a ladder is evidence for another rule than ours: the alpha rule is part of a rule's identity."""
    rule = setting_heuristic(RATE)["rule"]
    for name, ours in (("lora_alpha", rule["alpha"]), ("alpha_rule", rule["alpha_rule"])):
        if values.get(name, ours) not in (ours, None):  # full fine-tuning has no alpha
            return f"{name} {values[name]} belongs to another learning-rate rule than {ours}"
    return ""


def _outcomes(raw: RawTable, rows: Sequence[int]) -> dict[tuple[float, int], Outcome]:
    """By (rate, seed); a trial that the table has twice, as the control of a repeat, counts once."""
    rates, values = numbers(raw, RATE, RATE), numbers(raw, "value", "value")
    outcomes: dict[tuple[float, int], Outcome] = {}
    for row in rows:
        rate, seed = rate_of(raw, rates, row), seed_of(raw.columns["seed"][row], raw.where(row))
        status = raw.columns["status"][row] if "status" in raw.columns else Status.COMPLETED
        value = values[row]
        if status == Status.COMPLETED and not math.isfinite(value):
            status = Status.DIVERGED
        outcomes.setdefault((rate, seed), Outcome(status=status, value=value))
    return outcomes
