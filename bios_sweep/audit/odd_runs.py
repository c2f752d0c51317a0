"""Single runs that look wrong: collapsed ones, copies of others, values with too few steps. Pure."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from bios_sweep.audit.blocks_of_runs import Sorted
from bios_sweep.audit.runs import ArmSet, RunTable
from bios_sweep.decision.finding import Margin
from bios_sweep.decision.quantiles import at_least
from bios_sweep.units import PERCENT
from bios_sweep.vocabulary import Stage, Status

FAR = 8.0  # robust standard deviations from its arm's median (chosen, not measured; normal noise: 1 in 10^15)
MARGINS = 3.0  # and so many margins: what is smaller disturbs no verdict (chosen, not measured)
NORMAL = 1.4826  # the median absolute deviation of normal noise, as a standard deviation
DIGITS = 7  # significant digits that two trainings do not share by chance (chosen, not measured)
CHANCE = 0.001  # probability below which equal values are no accident (chosen, not measured)
COARSE = 4  # digits that runs share by chance (chosen, not measured)
ITEMS = 2000  # a share of so few items is no sign of a copy (chosen, not measured)
LEAST = 3  # runs of an arm below which its median says nothing


@dataclass(frozen=True, kw_only=True)
class Collapsed:
    """A run far from the others of its arm. away: percent of the default's level, negative = worse."""

    arm: str
    seed: int
    away: float


def collapsed_runs(runs: Sorted, margin: Margin | None) -> tuple[Collapsed, ...]:
    """Runs far from their arm's median, beside what their seed does to all arms.

    The noise is the median of all such distances, which one wild run does not move.
    """
    if margin is None:
        return ()
    arms: dict[str, dict[int, float]] = defaultdict(dict)
    for (arm, seed), one in runs.screened.items():
        if one.usable:
            arms[arm][seed] = one.value
    full = {arm: own for arm, own in arms.items() if len(own) >= LEAST}
    middle = {arm: statistics.median(own.values()) for arm, own in full.items()}
    shifts: dict[int, list[float]] = defaultdict(list)
    for arm, own in full.items():
        for seed, value in own.items():
            shifts[seed].append(value - middle[arm])
    shift = {seed: statistics.median(own) if len(own) >= LEAST else 0.0 for seed, own in shifts.items()}
    away = {
        (arm, seed): value - middle[arm] - shift[seed]
        for arm, own in full.items()
        for seed, value in own.items()
    }
    moved = [abs(one) for one in away.values() if one]
    if not moved or runs.screening.arms[0] not in middle:
        return ()
    sign = runs.screening.metric.sign
    base = abs(middle[runs.screening.arms[0]]) if margin.scale.unit == PERCENT else margin.level
    limit = max(FAR * NORMAL * statistics.median(moved), MARGINS * margin.absolute)
    return tuple(
        Collapsed(arm=arm, seed=seed, away=100.0 * sign * one / base if base else math.nan)
        for (arm, seed), one in away.items()
        if abs(one) > limit and sign * one < 0
    )


def rows_without(table: RunTable, arms: ArmSet, gone: Sequence[Collapsed], *, paired: bool) -> list[int]:
    """The rows beside those runs; paired, beside their seeds, for a seed that lacks an arm pairs nothing."""
    cells, seeds = {(one.arm, one.seed) for one in gone}, {one.seed for one in gone}
    rows = enumerate(zip(arms.of_run, table.seeds or (), table.stages, strict=True))
    return [
        row
        for row, (arm, seed, stage) in rows
        if stage == Stage.CONFIRMATION or (seed not in seeds if paired else (arm, seed) not in cells)
    ]


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Runs that tell the same under different seeds.

    sure: in the metric, to so many digits that no second training gives them; else in several coarser
    outcomes. rows: those that repeat an earlier run of their own arm. where, seeds, arms: of two of them.
    """

    sure: bool
    rows: tuple[int, ...]
    amount: int
    where: tuple[str, str]
    seeds: tuple[int, int]
    arms: tuple[str, str]


def copies(table: RunTable, arms: ArmSet) -> Copies | None:
    """Whether runs of different seeds agree in their metric to many digits, or in all of several outcomes.

    Arms that agree at the same seed are no such case, nor one whose every seed tells the same: these are told
    by themselves.
    """
    if table.seeds is None:
        return None
    usable = [
        row
        for row, value in enumerate(table.values)
        if table.statuses[row] == Status.COMPLETED and math.isfinite(value)
    ]
    fine = [(row, (table.values[row],)) for row in usable if _digits(table.values[row]) >= DIGITS]
    agreeing = _agreeing(table, arms, fine)
    sure = [rows for rows in agreeing if not _is_fraction(table.values[rows[0]])]
    if (
        sure
        and _by_chance([table.values[row] for row, _ in fine], sum(len(one) - 1 for one in sure)) < CHANCE
    ):
        return _copies(table, arms, sure, sure=True)
    names = [name for name in table.outcomes if name != table.columns.value]
    told = [(row, (table.values[row], *(table.outcomes[name][row] for name in names))) for row in usable]
    coarse = [
        (row, key) for row, key in told if sum(map(_digits, key[:1])) < sum(map(_digits, key)) >= DIGITS
    ]
    maybe = _agreeing(table, arms, coarse)
    return _copies(table, arms, maybe, sure=False) if maybe else None


def _by_chance(values: Sequence[float], pairs: int) -> float:
    """How probable so many equal pairs are among values that are written to so many decimals (Poisson's)."""
    step = min(10.0 ** -_decimals(value) for value in values)
    low, high = np.quantile(values, (0.1, 0.9))
    expected = len(values) * (len(values) - 1) / 2 * min(1.0, step / max(float(high - low), step))
    return at_least(pairs, expected)


def _decimals(value: float) -> int:
    return len(f"{abs(value):.15g}".partition("e")[0].partition(".")[2])


def _agreeing(
    table: RunTable, arms: ArmSet, told: Sequence[tuple[int, tuple[float, ...]]]
) -> list[list[int]]:
    """Groups of runs that tell the same at more than one seed, without arms that always tell the same."""
    assert table.seeds is not None
    groups: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for row, key in told:
        groups[key].append(row)
    seeds: dict[str, set[int]] = defaultdict(set)
    values: dict[str, set[float]] = defaultdict(set)
    for row, _ in told:
        seeds[arms.of_run[row]].add(table.seeds[row])
        values[arms.of_run[row]].add(table.values[row])
    still = {arm for arm in values if len(values[arm]) == 1 < len(seeds[arm])}
    kept = ([row for row in rows if arms.of_run[row] not in still] for rows in groups.values())
    return [rows for rows in kept if len({table.seeds[row] for row in rows}) > 1]


def _copies(table: RunTable, arms: ArmSet, found: Sequence[Sequence[int]], *, sure: bool) -> Copies:
    assert table.seeds is not None
    again = []
    for rows in found:
        seen: set[str] = set()
        for row in rows:
            again += [row] if arms.of_run[row] in seen else []
            seen.add(arms.of_run[row])
    one = found[0][0]
    two = next(row for row in found[0] if table.seeds[row] != table.seeds[one])
    return Copies(
        sure=sure,
        rows=tuple(again),
        amount=sum(len(rows) - 1 for rows in found),
        where=(_place(table, one), _place(table, two)),
        seeds=(table.seeds[one], table.seeds[two]),
        arms=(arms.of_run[one], arms.of_run[two]),
    )


def without_copies(table: RunTable, found: Copies | None) -> RunTable:
    """The table in which a copy has no outcome of its own: it is no replicate."""
    if found is None or not found.sure or not found.rows:
        return table
    gone = set(found.rows)
    return replace(
        table,
        statuses=tuple(Status.FAILED if row in gone else status for row, status in enumerate(table.statuses)),
    )


def _place(table: RunTable, row: int) -> str:
    return table.places[row] if table.places else f"run {row + 1}"


def _digits(value: float) -> int:
    """Significant digits of a number as it is written."""
    if not math.isfinite(value):
        return 0
    return len(f"{abs(value):.15g}".partition("e")[0].replace(".", "").strip("0"))


def _is_fraction(value: float) -> bool:
    """Whether a value is a share of few items, or its percent: two trainings may well have it in common."""
    shares = (value, value / 100.0)
    return any(
        abs(share - (near := Fraction(share).limit_denominator(ITEMS))) < 1e-9 and near.denominator > 0
        for share in shares
    )


def is_coarse(values: Sequence[float]) -> bool:
    """Whether a metric has few digits or is a share of few items, so that equal values are no wonder."""
    return bool(values) and all(_digits(value) <= COARSE or _is_fraction(value) for value in values)
