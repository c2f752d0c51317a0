"""Runs of several models, data sets or machines: one judgement per context, none across them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.audit.arms_of_runs import arrange
from bios_sweep.audit.default_of_runs import NoDefault, described
from bios_sweep.audit.runs import ArmSet, RunTable
from bios_sweep.study.arms import BASELINE
from bios_sweep.vocabulary import Stage

SPLIT = ("scenario", "software", "hardware")  # what differs here makes runs incomparable
CELL = " @ "  # between the name of an arm and its cell, in our own tables of crossed studies


@dataclass(frozen=True, kw_only=True)
class Context:
    """The runs of one context. name: `model_name=enc-base`; empty where the table has one context.

    tried: variations that share one correction, None for those of the context alone.
    """

    name: str
    table: RunTable
    arms: ArmSet
    tried: int | None = None


@dataclass(frozen=True, kw_only=True)
class Unjudged:
    """Contexts that nothing can be said of: without the default, or with the default alone.

    only_there: arms that ran in such contexts alone, so that nothing was compared with them.
    """

    without: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    only_there: tuple[str, ...] = ()


def contexts_of(table: RunTable, baseline: str | None) -> tuple[tuple[Context, ...], Unjudged]:
    """The contexts that can be judged, and what is known of the others.

    Where no context has more than the default, the table is taken as one whose runs differ in more than
    settings.

    Raises:
        InputError: the default is nowhere, is not named, or fits several arms.
    """
    cells = _cells_of_our_own(table)
    if cells and baseline is None:
        return _crossed(table, cells), Unjudged()
    if baseline is None:
        if table.arms is None or BASELINE not in table.arms:
            arrange(table, None)  # which asks for it, unless there is one arm only
        else:
            baseline = BASELINE
    groups = _groups(table)
    found: list[Context] = []
    without: list[str] = []
    alone: list[str] = []
    for name, rows in groups.items():
        own = table.kept(rows)
        try:
            arms = arrange(own, baseline)
        except NoDefault:
            without.append(name)
            continue
        if len(arms.arms) > 1:
            found.append(Context(name=name, table=own, arms=arms))
        else:
            alone.append(name)
    if len(groups) < 2 or not found:
        return (Context(name="", table=table, arms=arrange(table, baseline)),), Unjudged()
    rows = [row for name in without for row in groups[name]]
    only_there = _only_there(table, table.kept(rows), found) if rows else ()
    return tuple(found), Unjudged(without=tuple(without), alone=tuple(alone), only_there=only_there)


def _only_there(table: RunTable, others: RunTable, found: Sequence[Context]) -> tuple[str, ...]:
    """The arms of other runs that no judged context has."""
    if others.arms is not None:
        judged = {arm.name for context in found for arm in context.arms.arms}
        return tuple(dict.fromkeys(arm for arm in others.arms if arm not in judged))
    names = [name for name, cells in table.settings.items() if len(set(cells)) > 1]
    base = found[0].arms.baseline.settings
    told = [_combinations(one, names) for one in (others, *(context.table for context in found))]
    left = [key for key in told[0] if not any(key in own for own in told[1:])]
    return tuple(dict.fromkeys(described(dict(zip(names, key, strict=True)), base) for key in left))


def _combinations(table: RunTable, names: Sequence[str]) -> dict[tuple[Any, ...], None]:
    return dict.fromkeys(zip(*(table.settings[name] for name in names), strict=True)) if names else {}


def _groups(table: RunTable) -> dict[str, list[int]]:
    columns = {
        column: cells
        for kind in SPLIT
        for column, cells in table.contexts.get(kind, {}).items()
        if len(set(cells)) > 1
    }
    groups: dict[str, list[int]] = {}
    for row in range(table.rows):
        told = (f"{column}={cells[row] or '(none)'}" for column, cells in columns.items())
        groups.setdefault(", ".join(told), []).append(row)
    return groups


def _cells_of_our_own(table: RunTable) -> dict[str, str]:
    """The default's arm -> its cell, in the table of a crossed study of our own; empty elsewhere."""
    if table.factors is None or table.arms is None:
        return {}
    bases = [arm for arm in dict.fromkeys(table.arms) if arm == BASELINE or arm.startswith(BASELINE + CELL)]
    return {} if bases in ([], [BASELINE]) else {arm: arm.partition(CELL)[2] for arm in bases}


def _crossed(table: RunTable, cells: Mapping[str, str]) -> tuple[Context, ...]:
    """Every cell of a crossed study by itself; the variations of all of them count as tried."""
    assert table.arms is not None
    first = {arm: table.kept([row for row, own in enumerate(table.arms) if own == arm]) for arm in cells}
    crossed = [
        name for name in table.settings if len({str(own.settings[name][0]) for own in first.values()}) > 1
    ]
    found = []
    for base, cell in cells.items():
        rows = [row for row, arm in enumerate(table.arms) if arm.partition(CELL)[2] == cell]
        own = table.kept(rows)
        plain = tuple(arm.partition(CELL)[0] for arm in own.arms or ())
        name = cell or _told(first[base], crossed)
        found.append((name, replace(own, arms=plain)))
    tried = sum(len(_screened(own)) - 1 for _, own in found)
    return tuple(
        Context(name=name, table=own, arms=arrange(own, BASELINE), tried=tried) for name, own in found
    )


def _screened(table: RunTable) -> set[str]:
    rows = zip(table.arms or (), table.stages, strict=True)
    return {arm for arm, stage in rows if stage == Stage.SCREENING}


def _told(table: RunTable, names: Sequence[str]) -> str:
    """The values that a cell without a name has: those of the study itself."""
    values: dict[str, Any] = {name: table.settings[name][0] for name in names}
    return ", ".join(f"{name}={'all' if value is None else value}" for name, value in values.items())
