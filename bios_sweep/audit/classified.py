"""What each column of a foreign table is: by the user's word, by its name, or by its behaviour. Pure."""

from __future__ import annotations

import math
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
from bios_sweep.claims import REPEAT
from bios_sweep.tables.column_names import (
    ACCUMULATED,
    ALIASES,
    CONFIGURED,
    CONTEXTS,
    COSTS,
    DECIDED,
    DEVICES,
    DIRECTION,
    JOINED,
    LOOKS,
    METRIC,
    PER_DEVICE,
    SEEDS,
    STAGES,
    STATUSES,
    STEPS,
    UNTOUCHED,
    column_by_end,
    first_column,
)  # fmt: skip
from bios_sweep.tables.text_table import RawTable, parsed
from bios_sweep.vocabulary import Status

OWN = (
    "factor",
    "level",
    "trial_key",
    METRIC,
    DIRECTION,
    LOOKS,
    JOINED,
    *DECIDED,
    *UNTOUCHED,
)  # of our own results.csv


@dataclass(frozen=True, kw_only=True)
class Classified:
    """The classes of columns with the cells of settings and contexts."""

    settings: dict[str, tuple[Any, ...]]
    contexts: dict[str, dict[str, tuple[str, ...]]]
    classes: ColumnClasses
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Placed:
    """The columns as the user and their names place them; of `unknown` ones the behaviour decides.

    settings: canonical name -> column. contexts: kind -> columns. product: the effective batch per row, where
    it is the product of columns, whose names are in `notes`.
    """

    settings: dict[str, str]
    contexts: dict[str, list[str]]
    outcomes: list[str]
    labels: list[str]
    unknown: list[str]
    product: tuple[Any, ...] | None
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The columns whose part is settled before the others are looked at; None where there is none."""

    value: str
    seed: str | None
    arm: str | None


def classified(
    raw: RawTable, plain: dict[str, str], said: Mapping[str, str], roles: Roles, statuses: Sequence[str]
) -> Classified:
    """Every column by what the user says, by its name, and else by how it behaves.

    plain: column -> its name without a tracker's prefix. said: column -> what the user says that it is.
    """
    placed = _placed(raw, plain, said, roles)
    behaved = _behaving(raw, placed, roles, statuses)
    settings = dict(placed.settings)
    settings |= {plain[column]: column for column in behaved if plain[column] not in settings}
    classes = ColumnClasses(
        value=roles.value,
        seed=roles.seed,
        arm=roles.arm,
        settings=settings,
        behaved=behaved,
        contexts=tuple(column for columns in placed.contexts.values() for column in columns),
        outcomes=(*placed.outcomes, *(column for column in placed.unknown if column not in behaved)),
        labels=tuple(placed.labels),
    )
    cells = {name: parsed(raw.columns[column]) for name, column in settings.items()}
    return Classified(
        settings=cells | ({"batch_size": placed.product} if placed.product else {}),
        contexts={
            kind: {column: tuple(map(str.strip, raw.columns[column])) for column in columns}
            for kind, columns in placed.contexts.items()
        },
        classes=classes,
        notes=placed.notes,
    )


def _placed(raw: RawTable, plain: dict[str, str], said: Mapping[str, str], roles: Roles) -> _Placed:
    ends = (first_column(plain, names) for names in (STATUSES, STAGES))
    taken = {roles.value, roles.seed, roles.arm, *ends}
    free = {column: own for column, own in plain.items() if column not in said}
    rest = {column: own for column, own in free.items() if column not in taken and own not in OWN}
    settings = _known_settings(rest)
    settings |= {plain[column]: column for column, kind in said.items() if kind == "setting"}
    factors = {cell.strip() for cell in raw.columns.get("factor", ())} - {REPEAT}
    settings |= {column: column for column in raw.columns if column in factors - {*settings.values()}}
    contexts = {
        kind: [column for column, own in rest.items() if own in aliases and column not in settings.values()]
        for kind, aliases in CONTEXTS.items()
    }
    contexts["scenario"] += [column for column, kind in said.items() if kind == "context"]
    product, parts, notes = _product(raw, rest) if "batch_size" not in settings else (None, (), ())
    done = {*settings.values(), *parts, *(column for columns in contexts.values() for column in columns)}
    outcomes = [column for column, kind in said.items() if kind == "outcome" and column != roles.value]
    labels, unknown = list(parts), list[str]()
    for column, own in rest.items():
        if column in done:
            continue
        kind = _by_name(column, own)
        if kind == "setting":
            settings.setdefault(own, column)
        else:
            {"outcome": outcomes, "label": labels}.get(kind, unknown).append(column)
    stated = (name for name, column in settings.items() if said.get(column) == "setting")
    surely = {"batch_size", *ALIASES, *stated, *factors}
    settings, ids = without_names_of_runs(raw, settings, lambda name: name in surely)
    return _Placed(
        settings=settings,
        contexts=contexts,
        outcomes=outcomes,
        labels=[*labels, *ids],
        unknown=unknown,
        product=product,
        notes=notes,
    )


def _behaving(raw: RawTable, placed: _Placed, roles: Roles, statuses: Sequence[str]) -> tuple[str, ...]:
    """The unknown columns that the runs behave as if they had been told; none in a table of our own."""
    arm = roles.arm
    if not placed.unknown or (arm is not None and "factor" in raw.columns):
        return ()
    known = [arm] if arm else [*placed.settings.values()]
    cells = [raw.columns[arm]] if arm else [parsed_text(raw, column) for column in known]
    cells += [raw.columns[column] for columns in placed.contexts.values() for column in columns]
    if placed.product and not arm:
        cells.append(tuple(map(str, placed.product)))
    return settings_by_behaviour(
        Unknown(
            raw=raw,
            columns=[column for column in placed.unknown if len(set(raw.columns[column])) > 1],
            groups=list(zip(*cells, strict=True)) or [()] * raw.rows,
            known=known,
            seeds=_shared(raw, roles.seed),
            finished=[status == Status.COMPLETED for status in statuses],
        )
    )


def _known_settings(plain: dict[str, str]) -> dict[str, str]:
    """Canonical name -> column of the settings that go by a known name."""
    used: dict[str, str] = {}
    for name, aliases in ALIASES.items():
        column = _by_alias(plain, aliases)
        if column is not None and column not in used.values():
            used[name] = column
    return used


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


def _by_alias(plain: dict[str, str], aliases: Sequence[str]) -> str | None:
    """A column that goes by an alias, whole or as the end of a path (`optimizer.lr`, `peft.lora.r`)."""
    found = first_column(plain, aliases)
    if found is not None:
        return found
    return column_by_end(plain, aliases)


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
