"""Rate studies of several models, read from finished sweeps' folders and from tables of runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bios_sweep.defaults import FILE_NAME, TunedDefaults, read_entries
from bios_sweep.defaults.rules import family_of
from bios_sweep.errors import InputError
from bios_sweep.method import Objective
from bios_sweep.records.workspace import left_by_sweeps
from bios_sweep.refit.evidence import Collected, RateStudy
from bios_sweep.refit.rate_tables import stated, studies_of
from bios_sweep.study.metric_names import DIRECTIONS, direction_of
from bios_sweep.study.scenario import Metric
from bios_sweep.tables.column_names import VALUE
from bios_sweep.tables.judged import metric_name, metric_of, stated_direction
from bios_sweep.tables.text_table import RawTable, numbers, read_csv
from bios_sweep.vocabulary import Stage

RESULTS = "results.csv"
REPORT = "report.json"
WHO = ("model", "family", "hidden_size")


def collect(paths: Sequence[Path], direction: str | None = None) -> Collected:
    """Studies of all paths: folders are searched for sweeps with a results table; files are tables.

    A file inside a sweep's folder (its report or tuned defaults too) stands for that folder. direction: which
    way a metric is better of which neither its report, nor its table, nor its name says that.

    Raises:
        InputError: a path without a sweep or table, or a table that cannot be read.
    """
    files = dict.fromkeys(file for path in paths for file in _tables(path))
    return Collected.of([_read(file, direction) for file in files])


def together(parts: Sequence[Collected]) -> Collected:
    """What several sources gave, by size of model: whence it came must not move a digit of the fit.

    A sweep that was extended has the trials of the one before it, which is left out: no trial counts twice.
    Of two with the same trials the first stays.
    """
    found = Collected.of(parts)
    studies, within = _apart(found.studies)
    elsewhere, also = _apart(found.elsewhere)
    return replace(found, studies=studies, elsewhere=elsewhere, left_out=(*found.left_out, *within, *also))


def _apart(studies: Sequence[RateStudy]) -> tuple[tuple[RateStudy, ...], list[str]]:
    """Those with trials that no other has all of, by size; and the others, in words."""
    kept, within = [], []
    every = [one.trials for one in studies]
    for place, one in enumerate(studies):
        if one.trials and (one.trials in every[:place] or any(one.trials < other for other in every)):
            within.append(f"{one.name}: its {len(one.trials)} trials are all in another ladder")
        else:
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: (one.hidden_size, one.model, one.name))), within


def _tables(path: Path) -> list[Path]:
    if path.name in (REPORT, FILE_NAME) and path.is_file():
        path = path.parent
    if not path.is_dir():
        return [path]
    found = left_by_sweeps(path, RESULTS)
    if not found:
        raise InputError(f"{path}: no {RESULTS} in this folder or below; finish a sweep, or give a table")
    return found


def _read(file: Path, direction: str | None) -> Collected:
    report = _report(file.with_name(REPORT))
    if report is not None and report.get("stage") != Stage.DONE:
        return Collected(left_out=(f"{file.parent}: the sweep is not finished",))
    raw, left = read_csv(file), file.with_name(FILE_NAME)
    tuned = read_entries(left)[0] if left.exists() else None
    who = _who(file, raw, tuned)
    if isinstance(who, str):
        return Collected(left_out=(who,))
    if doubt := no_rule_for(tuned.key.objective if tuned else Objective.SFT):
        return Collected(left_out=(f"{file.parent}: {doubt}",))
    data = tuned.provenance.data if tuned else ""
    return stated(raw, who) or studies_of(raw, who, _metric(raw, report, direction), data)


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


def _who(file: Path, raw: RawTable, tuned: TunedDefaults | None) -> list[tuple[str, str, int]] | str:
    """Model, family and hidden size of every row: from the table's columns, else the file beside it."""
    if all(name in raw.columns for name in WHO):
        sizes = numbers(raw, "hidden_size", "hidden size")
        names = zip(raw.columns["model"], raw.columns["family"], sizes, range(raw.rows), strict=True)
        return [(model, family_of(family), _size(size, raw, row)) for model, family, size, row in names]
    if tuned is None:
        return f"{file}: needs the columns {', '.join(WHO)}, or {FILE_NAME} beside it"
    one = (tuned.provenance.model, family_of(tuned.key.family), tuned.key.hidden_size)
    return [one] * raw.rows


def no_rule_for(objective: str) -> str:
    """Why studies are no evidence for the rule of supervised fine-tuning; empty where they are."""
    return "" if objective == Objective.SFT else f"trained by {objective}; the rule is of {Objective.SFT}"


def _size(size: float, raw: RawTable, row: int) -> int:
    if not (size >= 1 and float(size).is_integer()):
        raise InputError(f"{raw.where(row)}: hidden size {size:g} is no whole number above 0")
    return int(size)
