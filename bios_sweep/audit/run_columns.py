"""From a foreign table to runs: which column is the arm, the seed, the metric, which are settings."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bios_sweep.audit.classified import Classified, Roles, classified
from bios_sweep.audit.column_classes import (
    ColumnClasses,
    is_blind,
    is_result,
)
from bios_sweep.audit.run_cells import (
    arms_of,
    costs_of,
    ended_as,
    finished_of,
    levels_of,
    seeds_of,
    stages_of,
    statuses_of,
    texts_of,
    untouched_of,
)  # fmt: skip
from bios_sweep.audit.runs import RunTable
from bios_sweep.audit.shapes import arms_and_seeds, one_metric_per_row
from bios_sweep.audit.steps import NAME, RunRows, one_row_per_run, without_stopped
from bios_sweep.errors import InputError
from bios_sweep.study.metric_names import direction_of
from bios_sweep.tables.column_names import (
    ALIASES,
    ARMS,
    CONFIGURED,
    CONTEXTS,
    METRICS,
    RATES,
    RESULTS,
    RUNS,
    SEEDS,
    UNTOUCHED,
    column_by_end,
    first_column,
    plain_name,
)
from bios_sweep.tables.judged import decided_of, joined_of, looks_of, metric_of
from bios_sweep.tables.text_table import RawTable, numbers, quiet_numbers
from bios_sweep.vocabulary import Stage, Status

RUN_NAMES = ("run_name", "name")
MEANS = {"mean", "avg", "average"}
OF_OTHER_DATA = {"train", "training", "baseline", "initial", "untrained", "best", "running", "ema"}


@dataclass(frozen=True, kw_only=True)
class ColumnNames:
    """What the user names: columns of arms, seeds and values, which way the metric is better.

    settings, outcomes, contexts: columns that are that, whatever they look like.
    """

    arm: str | None = None
    seed: str | None = None
    value: str | None = None
    direction: str | None = None
    settings: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()


def to_runs(raw: RawTable, names: ColumnNames) -> RunTable:
    """Read a raw table as runs, one row each.

    Raises:
        InputError: a named column is missing (with the nearest), no value or arm can be found, text
            stands in a number, a row is a step of a run that cannot be told.
    """
    raw, of_metric = one_metric_per_row(_trials_only(raw), names.value)
    names = replace(names, value=of_metric)
    told, rows = raw.notes, one_row_per_run(raw, names.value)
    raw, lost = _with_seeds(rows.raw, names)
    raw, names, read = _with_seeds_of_names(raw, names, chart=bool(rows.missing))
    plain = {column: plain_name(column) for column in raw.columns}
    value, guessed = _value_column(raw, plain, names.value)
    seed = _seed_column(raw, plain, names.seed)
    arm = _chosen(raw, plain, names.arm, ARMS, "--arm")
    values = numbers(raw, value, "value")
    statuses = ended_as(statuses_of(raw, plain), values, raw.columns[value])
    metric, notes = metric_of(raw, value, names.direction)
    roles = Roles(value=value, seed=seed, arm=arm)
    found = classified(raw, plain, _named(raw, plain, names), roles, statuses)
    if arm is None and not found.settings:
        raise InputError(_no_settings(rows, raw, found.classes))
    own = arm is not None
    costs = costs_of(raw, plain)
    told_apart = [] if arm is None else [raw.columns[arm]]
    told_apart += [*found.settings.values(), *(c for own in found.contexts.values() for c in own.values())]
    statuses, cut = without_stopped(
        statuses, costs, list(zip(*told_apart, strict=True)), raw.lines, finished_of(raw, plain)
    )
    return RunTable(
        source=raw.source,
        arms=None if arm is None else arms_of(raw, arm),
        seeds=None if seed is None else seeds_of(raw, seed),
        values=values,
        statuses=statuses,
        stages=stages_of(raw, plain),
        metric=metric,
        settings=found.settings,
        apart=_setting_names(found, names.settings),
        factors=texts_of(raw, first_column(plain, ("factor",))) if own else None,
        levels=levels_of(raw, first_column(plain, ("level",))) if own else None,
        costs=costs,
        contexts=found.contexts,
        outcomes={column: cells for column in found.classes.outcomes
                  if (cells := quiet_numbers(raw.columns[column])) is not None},
        aliases=_aliases(found.classes, plain),
        columns=found.classes,
        untouched=untouched_of(raw, first_column(plain, UNTOUCHED)),
        looks=looks_of(raw, value),
        joined=joined_of(raw, value),
        decided=decided_of(raw, value),
        ours=own and {"factor", "trial_key"} <= raw.columns.keys(),
        places=tuple(f"line {line}" for line in raw.lines),
        notes=(
            *(*told, *rows.notes, *lost, *read, *cut, *guessed),
            *(*notes, *found.notes, *_of_means(value, seed)),
        ),
    )  # fmt: skip


def _of_means(value: str, seed: str | None) -> tuple[str, ...]:
    """What to say of a table that has means in place of runs."""
    if seed is not None or MEANS.isdisjoint(re.split(r"[\W_]+", value.lower())):
        return ()
    return (
        f"{value} looks like a mean over runs; export the runs themselves, a row per seed, for a verdict",
    )


def _aliases(classes: ColumnClasses, plain: Mapping[str, str]) -> dict[str, str]:
    """Every name by which --baseline may call a setting."""
    known = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
    own = {alias: name for name, column in classes.settings.items() for alias in (column, plain[column])}
    return known | own


def _setting_names(found: Classified, columns: Sequence[str]) -> tuple[str, ...]:
    """The canonical names of settings that the user named, which then follow no other."""
    return tuple(name for name, column in found.classes.settings.items() if {name, column} & set(columns))


def _named(raw: RawTable, plain: dict[str, str], names: ColumnNames) -> dict[str, str]:
    """Column -> what the user says that it is."""
    said = {"setting": names.settings, "outcome": names.outcomes, "context": names.contexts}
    found: dict[str, str] = {}
    for kind, columns in said.items():
        for given in columns:
            column = _existing(raw, plain, given, f"--{kind}")
            if found.setdefault(column, kind) != kind:
                raise InputError(f"{raw.source}: column {column!r} is named as {found[column]} and as {kind}")
    return found


def _no_settings(rows: RunRows, raw: RawTable, classes: ColumnClasses) -> str:
    if rows.missing:
        return f"{raw.source}: {rows.missing}"
    might = [
        column
        for column in classes.outcomes
        if len(set(raw.columns[column])) > 1 and not is_result(column, plain_name(column))
    ][:3]
    such = f" (such as {', '.join(might)})" if might else ""
    also = f", or what the runs were told with --setting COL{such}"
    apart = [column for column in classes.contexts if len(set(raw.columns[column])) > 1]
    if apart:
        also = f"; to compare the values of {apart[0]}, say --setting {apart[0]}"
    named = [column for column in raw.columns if plain_name(column) in RUNS][:1]
    also = f", such as --arm {named[0]}{also}" if named and not apart else also
    return (
        f"{raw.source}: no column 'arm' and none that is known as a setting; name the arms' column with "
        f"--arm COL{also}; {_there(raw)}"
    )


def _with_seeds(raw: RawTable, names: ColumnNames) -> tuple[RawTable, tuple[str, ...]]:
    """Without failed runs that have no seed: they are counted, and cannot be told apart."""
    plain = {column: plain_name(column) for column in raw.columns}
    seed = _chosen(raw, plain, names.seed, SEEDS, "--seed")
    if seed is None or all(cell.strip() for cell in raw.columns[seed]):
        return raw, ()
    statuses = statuses_of(raw, plain)
    value, _ = _value_column(raw, plain, names.value)
    lost = {
        row
        for row, cell in enumerate(raw.columns[seed])
        if not cell.strip() and (statuses[row] != Status.COMPLETED or not raw.columns[value][row].strip())
    }
    if not lost or len(lost) == raw.rows:
        return raw, ()
    runs = "1 run" if len(lost) == 1 else f"{len(lost)} runs"
    note = f"{runs} without seed and without outcome set aside (parents of others, crashed, or still running)"
    return raw.kept([row for row in range(raw.rows) if row not in lost]), (note,)


def _with_seeds_of_names(
    raw: RawTable, names: ColumnNames, *, chart: bool
) -> tuple[RawTable, ColumnNames, tuple[str, ...]]:
    """With a column of seeds where none is there and every name, of an arm or else of a run, ends with one.

    chart: the table has the runs' names and no settings.
    """
    plain = {column: plain_name(column) for column in raw.columns}
    arm = _chosen(raw, plain, names.arm or (NAME if chart else None), ARMS, "--arm")
    told_by = arm or _names_beside_settings(raw, plain)
    if told_by is None or _seed_column(raw, plain, names.seed) is not None:
        return raw, names, ()
    known = {alias for aliases in CONTEXTS.values() for alias in aliases}
    apart = [raw.columns[c] for c, own in plain.items() if own in known or c in names.contexts]
    contexts = [tuple(cells[row].strip() for cells in apart) for row in range(raw.rows)]
    told = arms_and_seeds(raw.columns[told_by], contexts)
    if told is None:
        return raw, names, ()
    what = "the seed of every run is" if arm is None else "arm and seed of every run are"
    note = f"{what} read from its name ({raw.columns[told_by][0]}: seed {told[1][0]})"
    own_arms = {} if arm is None else {arm: told[0]}
    columns = {**raw.columns, **own_arms, SEEDS[0]: told[1]}
    return replace(raw, columns=columns), replace(names, arm=arm), (note,)


def _names_beside_settings(raw: RawTable, plain: Mapping[str, str]) -> str | None:
    """The column of the runs' names where settings beside it tell the arms."""
    known = {alias for aliases in ALIASES.values() for alias in aliases}
    varied = [column for column, cells in raw.columns.items() if len(set(cells)) > 1]
    if not any(plain[column] in known or CONFIGURED.match(column) for column in varied):
        return None
    return first_column(dict(plain), RUN_NAMES)


def _seed_column(raw: RawTable, plain: dict[str, str], given: str | None) -> str | None:
    """The column of seeds; one that is empty throughout is none."""
    column = _chosen(raw, plain, given, SEEDS, "--seed")
    if column is None:
        column = column_by_end(plain, SEEDS)
    if column is None or not any(cell.strip() for cell in raw.columns[column]):
        return None
    return column


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


def _value_column(raw: RawTable, plain: dict[str, str], given: str | None) -> tuple[str, tuple[str, ...]]:
    """The metric's column: as named, by a usual name, else the one whose name tells that it is a metric."""
    if given is not None:
        return _existing(raw, plain, given, "--value"), ()
    found = first_column(plain, METRICS)
    if found is not None:
        return found, ()
    told = [column for column, own in plain.items() if _is_metric(raw, column, own)]
    if len(told) == 1:
        return told[0], (f"judged on {told[0]}, the one column whose name is a metric's",)
    if told:
        raise InputError(
            f"{raw.source}: no column 'value', and {len(told)} columns could be the metric; name it with "
            f"--value COL: {', '.join(told[:8])}"
        )
    near = sorted(difflib.get_close_matches("value", [*raw.columns], n=3, cutoff=0.6))
    hint = f" (is it {' or '.join(map(repr, near))}?)" if near else ""
    raise InputError(
        f"{raw.source}: no column 'value'{hint}; name the metric's column with --value COL; {_there(raw)}"
    )


def _is_metric(raw: RawTable, column: str, own: str) -> bool:
    """Whether a column of numbers has a metric's name, not that of a cost or of other data."""
    words = re.split(r"[\W_]+", column.lower())
    if CONFIGURED.match(column) or is_blind(own) or RATES.search("_".join(words)):
        return False
    if not (RESULTS | OF_OTHER_DATA).isdisjoint(words):
        return False
    cells = quiet_numbers(raw.columns[column])
    return cells is not None and any(map(math.isfinite, cells)) and direction_of(own) is not None
