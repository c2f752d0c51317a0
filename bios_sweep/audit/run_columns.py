"""From a foreign table to runs: which column is the arm, the seed, the metric, which are settings."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.audit.column_classes import (
    ColumnClasses,
    Unknown,
    is_blind,
    is_label,
    is_result,
    parsed_text,
    settings_by_behaviour,
    without_names_of_runs,
)
from bios_sweep.audit.runs import RunTable
from bios_sweep.audit.steps import RunRows, one_row_per_run
from bios_sweep.claims import REPEAT
from bios_sweep.errors import InputError
from bios_sweep.study.metric_names import direction_of
from bios_sweep.tables.column_names import (
    ACCUMULATED,
    ALIASES,
    ARMS,
    CONFIGURED,
    CONTEXTS,
    COSTS,
    DECIDED,
    DEVICES,
    DIRECTION,
    DIVERGED_WORDS,
    DONE_WORDS,
    LOOKS,
    MEASURED,
    METRIC,
    METRICS,
    PER_DEVICE,
    RESULTS,
    RUNS,
    SEEDS,
    STAGES,
    STATUSES,
    STEPS,
    UNTOUCHED,
    first_column,
    plain_name,
)
from bios_sweep.tables.judged import decided_of, looks_of, metric_of
from bios_sweep.tables.text_table import RawTable, numbers, parsed, quiet_numbers, seed_of
from bios_sweep.vocabulary import Stage, Status

OWN = (
    "factor",
    "level",
    "trial_key",
    METRIC,
    DIRECTION,
    LOOKS,
    *DECIDED,
    *UNTOUCHED,
)  # of our own results.csv
DONE = "done"  # Ray's column of trials that ended
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
    rows = one_row_per_run(_trials_only(raw), names.value)
    raw, lost = _with_seeds(rows.raw, names)
    plain = {column: plain_name(column) for column in raw.columns}
    value, guessed = _value_column(raw, plain, names.value)
    seed = _seed_column(raw, plain, names.seed)
    arm = _chosen(raw, plain, names.arm, ARMS, "--arm")
    values = numbers(raw, value, "value")
    statuses = _ended(_statuses(raw, plain), values, raw.columns[value])
    metric, notes = metric_of(raw, value, names.direction)
    found = _classified(raw, plain, _named(raw, plain, names), value, seed, arm, statuses)
    if arm is None and not found.settings:
        raise InputError(_no_settings(rows, raw, found.classes))
    own = arm is not None
    return RunTable(
        source=raw.source,
        arms=None if arm is None else _arms(raw, arm),
        seeds=None if seed is None else _seeds(raw, seed),
        values=values,
        statuses=statuses,
        stages=_stages(raw, plain),
        metric=metric,
        settings=found.settings,
        apart=_setting_names(found, names.settings),
        factors=_cells(raw, first_column(plain, ("factor",))) if own else None,
        levels=_levels(raw, first_column(plain, ("level",))) if own else None,
        costs=_costs(raw, plain),
        contexts=found.contexts,
        outcomes={column: cells for column in found.classes.outcomes
                  if (cells := quiet_numbers(raw.columns[column])) is not None},
        aliases=_aliases(found.classes, plain),
        columns=found.classes,
        untouched=_untouched(raw, first_column(plain, UNTOUCHED)),
        looks=looks_of(raw, value),
        decided=decided_of(raw, value),
        ours=own and {"factor", "trial_key"} <= raw.columns.keys(),
        places=tuple(f"line {line}" for line in raw.lines),
        notes=(*rows.notes, *lost, *guessed, *notes, *found.notes),
    )  # fmt: skip


def _aliases(classes: ColumnClasses, plain: Mapping[str, str]) -> dict[str, str]:
    """Every name by which --baseline may call a setting."""
    known = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
    own = {alias: name for name, column in classes.settings.items() for alias in (column, plain[column])}
    return known | own


def _setting_names(found: _Found, columns: Sequence[str]) -> tuple[str, ...]:
    """The canonical names of settings that the user named, which then follow no other."""
    return tuple(name for name, column in found.classes.settings.items() if {name, column} & set(columns))


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The classes of columns with the cells of settings and contexts."""

    settings: dict[str, tuple[Any, ...]]
    contexts: dict[str, dict[str, tuple[str, ...]]]
    classes: ColumnClasses
    notes: tuple[str, ...]


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


def _classified(
    raw: RawTable,
    plain: dict[str, str],
    said: Mapping[str, str],
    value: str,
    seed: str | None,
    arm: str | None,
    statuses: Sequence[str],
) -> _Found:
    """Every column by what the user says, by its name, and else by how it behaves."""
    free = {column: own for column, own in plain.items() if said.get(column) is None}
    taken = {value, seed, arm, *(first_column(plain, names) for names in (STATUSES, STAGES))}
    rest = {column: own for column, own in free.items() if column not in taken and own not in OWN}
    settings, notes = _known_settings(raw, rest)
    settings |= {plain[column]: column for column, kind in said.items() if kind == "setting"}
    told = {cell.strip() for cell in raw.columns.get("factor", ())} - {REPEAT}
    settings |= {
        column: column for column in raw.columns if column in told and column not in settings.values()
    }
    contexts = {
        kind: [column for column, own in rest.items() if own in aliases and column not in settings.values()]
        for kind, aliases in CONTEXTS.items()
    }
    contexts["scenario"] += [column for column, kind in said.items() if kind == "context"]
    product, parts, more = _product(raw, rest) if "batch_size" not in settings else (None, (), ())
    placed = {*settings.values(), *parts, *(column for columns in contexts.values() for column in columns)}
    outcomes = [c for c, kind in said.items() if kind == "outcome" and c != value]
    labels: list[str] = list(parts)
    unknown: list[str] = []
    for column, own in rest.items():
        if column in placed:
            continue
        kind = _by_name(column, own)
        if kind == "setting":
            settings.setdefault(own, column)
        else:
            {"outcome": outcomes, "label": labels}.get(kind, unknown).append(column)
    surely = {"batch_size", *ALIASES, *(n for n, c in settings.items() if said.get(c) == "setting"), *told}
    settings, ids = without_names_of_runs(raw, settings, lambda name: name in surely)
    behaved: tuple[str, ...] = ()
    if unknown and not (arm is not None and "factor" in raw.columns):
        groups = [
            tuple(cells)
            for cells in zip(
                *([raw.columns[arm]] if arm else [parsed_text(raw, c) for c in settings.values()]),
                *(raw.columns[c] for columns in contexts.values() for c in columns),
                *((tuple(map(str, product)),) if product and not arm else ()),
                strict=True,
            )
        ] or [()] * raw.rows
        finished = [status == Status.COMPLETED for status in statuses]
        behaved = settings_by_behaviour(
            Unknown(
                raw=raw,
                columns=[column for column in unknown if len(set(raw.columns[column])) > 1],
                groups=groups,
                known=[arm] if arm else [*settings.values()],
                seeds=_shared(raw, seed),
                finished=finished,
            )
        )
    settings |= {plain[column]: column for column in behaved if plain[column] not in settings}
    classes = ColumnClasses(
        value=value,
        seed=seed,
        arm=arm,
        settings=settings,
        behaved=behaved,
        contexts=tuple(column for columns in contexts.values() for column in columns),
        outcomes=(*outcomes, *(column for column in unknown if column not in behaved)),
        labels=(*labels, *ids),
    )
    cells = {name: parsed(raw.columns[column]) for name, column in settings.items()}
    return _Found(
        settings=cells | ({"batch_size": product} if product else {}),
        contexts={
            kind: {column: tuple(map(str.strip, raw.columns[column])) for column in columns}
            for kind, columns in contexts.items()
        },
        classes=classes,
        notes=(*notes, *more),
    )


def _known_settings(raw: RawTable, plain: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Canonical name -> column of the settings that go by a known name."""
    used: dict[str, str] = {}
    for name, aliases in ALIASES.items():
        column = _by_alias(plain, aliases)
        if column is not None and column not in used.values():
            used[name] = column
    return used, ()


def _by_name(column: str, own: str) -> str:
    """What a column's own name tells: a setting, an outcome, a label, or nothing."""
    known = {*SEEDS, *(alias for group in COSTS.values() for alias in group), *DEVICES}
    if own in known or own in STEPS or is_blind(own) or is_label(column):
        return "label"
    if CONFIGURED.match(column):
        return "setting"
    return "outcome" if is_result(column, own) else ""


def _shared(raw: RawTable, seed: str | None) -> tuple[str, ...] | None:
    """Seeds per row; None where no two runs have one in common, so that they tell nothing."""
    if seed is None or len(set(raw.columns[seed])) == raw.rows:
        return None
    return raw.columns[seed]


def _no_settings(rows: RunRows, raw: RawTable, classes: ColumnClasses) -> str:
    if rows.missing:
        return f"{raw.source}: {rows.missing}"
    might = [
        column
        for column in classes.outcomes
        if len(set(raw.columns[column])) > 1 and direction_of(column) is None
    ][:3]
    also = f", or what the runs were told with --setting COL (such as {', '.join(might)})" if might else ""
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
    statuses = _statuses(raw, plain)
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


def _seed_column(raw: RawTable, plain: dict[str, str], given: str | None) -> str | None:
    """The column of seeds; one that is empty throughout is none."""
    column = _chosen(raw, plain, given, SEEDS, "--seed")
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
    near = difflib.get_close_matches("value", [*raw.columns], n=1, cutoff=0.6)
    hint = f" (is it {near[0]!r}?)" if near else ""
    raise InputError(
        f"{raw.source}: no column 'value'{hint}; name the metric's column with --value COL; {_there(raw)}"
    )


def _is_metric(raw: RawTable, column: str, own: str) -> bool:
    """Whether a column of numbers has a metric's name, not that of a cost or of other data."""
    words = set(re.split(r"[\W_]+", column.lower()))
    if CONFIGURED.match(column) or is_blind(own) or not words.isdisjoint(RESULTS | OF_OTHER_DATA):
        return False
    cells = quiet_numbers(raw.columns[column])
    return cells is not None and any(map(math.isfinite, cells)) and direction_of(own) is not None


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
        done = [cell.strip().lower() == "false" for cell in raw.columns.get(DONE, ())]
        running = done if not all(done) else []  # Ray: a trial that is not done is running, or was stopped
        return tuple(Status.FAILED if one else Status.COMPLETED for one in running or [False] * raw.rows)
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


def _product(
    raw: RawTable, plain: dict[str, str]
) -> tuple[tuple[Any, ...] | None, tuple[str, ...], tuple[str, ...]]:
    """The effective batch of a trainer that accumulates (per device x accumulation x devices), its parts."""
    each = first_column(plain, PER_DEVICE)
    if each is None:
        return None, (), ()
    found = (first_column(plain, names) for names in (ACCUMULATED, DEVICES))
    others = [column for column in found if column is not None]
    parts = (each, *others)
    factors = [parsed(raw.columns[column]) for column in parts]
    product = tuple(
        math.prod(cells) if all(isinstance(cell, int) for cell in cells) else None
        for cells in zip(*factors, strict=True)
    )
    return product, parts, (f"batch_size is taken as {' x '.join(parts)}",)


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
