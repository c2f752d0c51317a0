"""The parts of a report that only some sweeps have: each a row, beside the function that fills it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.curves.remedies import REMEDIES, remedy_text
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.costs import CostRatio
from bios_sweep.decision.finding import told_in
from bios_sweep.decision.frontier import FrontierPoint, frontier
from bios_sweep.decision.gates import margin_of
from bios_sweep.decision.moderators import Interaction, interaction
from bios_sweep.decision.table import ResultTable
from bios_sweep.jsonable import LEFT_OUT, OPTIONAL
from bios_sweep.procedure.diagnosis import diagnosis_of
from bios_sweep.procedure.questions import WINNER
from bios_sweep.procedure.state import Results, State
from bios_sweep.procedure.tables import table_of
from bios_sweep.report.content.arm_rows import arms_of
from bios_sweep.report.content.wording import finite_or_none, gain
from bios_sweep.study.arms import Arm
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.plan import Plan
from bios_sweep.units import PERCENT, Scale, in_unit, with_unit
from bios_sweep.vocabulary import Stage


def frontier_points(plan: Plan, state: State) -> tuple[FrontierPoint, ...]:
    """Arms whose gain and cost are both known, cheapest first; the default among them at 0 % and 1."""
    bounds = {bound.arm: bound for finding in state.screening.values() for bound in finding.bounds}
    name = plan.baseline.name
    bounds[name] = Bound(arm=name, gain=0.0, lower=0.0, upper=0.0, standard_error=0.0)
    costs = {name: CostRatio(arm=name, ratio=1.0, lower=1.0, upper=1.0), **state.costs}
    points = [
        FrontierPoint(
            arm=arm.name,
            gain=bounds[arm.name].gain,
            lower=finite_or_none(bounds[arm.name].lower),
            upper=finite_or_none(bounds[arm.name].upper),
            cost_ratio=costs[arm.name].ratio,
            cost_lower=costs[arm.name].lower,
            cost_upper=costs[arm.name].upper,
            steps=arm.settings.max_steps,
            examples=arm.examples(),
        )
        for arm in plan.arms
        if arm.name in bounds and arm.name in costs and math.isfinite(bounds[arm.name].gain)
    ]
    return () if len(points) < 2 or plan.cells else frontier(points)


@dataclass(frozen=True, kw_only=True)
class CellRow:
    """The gain of a variation in one cell, in the unit of its row."""

    cell: str
    verdict: str = ""
    gain: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, kw_only=True)
class ModeratorRow:
    """How the gain of a variation differs between two cells, with bounds.

    arm: of the first cell. variation: its name, whatever the cell. unit: of all gains, None: percent.
    """

    factor: str | None
    moderator: str
    arm: str
    variation: str = field(metadata=LEFT_OUT)
    cells: tuple[CellRow, ...]
    difference: float
    lower: float
    upper: float
    sentence: str
    unit: str | None = field(default=None, metadata=OPTIONAL)

    @property
    def told_in(self) -> str:
        """The unit as it is written behind a number."""
        return PERCENT if self.unit is None else self.unit


def moderator_rows(plan: Plan, state: State, results: Results) -> tuple[ModeratorRow, ...]:
    """Per variation of a crossed study, how its gain differs between the first cell and each other one."""
    if not plan.cells or state.stage != Stage.DONE:
        return ()
    first, *others = plan.cells
    start = table_of(first, first.trials, results)
    rule = plan.study.decision
    pairs = [
        (own, arm, cell)
        for cell in others
        for own, arm in zip(first.arms[1:], cell.arms[1:], strict=False)
        if own.factor is not None and (own.factor, own.label) == (arm.factor, arm.label)
    ]
    alpha = rule.alpha / len(rule.looks)
    rows = []
    for own, arm, cell in pairs:
        table = table_of(cell, cell.trials, results)
        scales = (_scale(start, rule), _scale(table, rule))
        found = interaction(start, table, (own.name, arm.name), alpha, len(pairs), scales)
        if found is not None:
            rows.append(_moderator(plan, own, cell, found, scales[0].unit))
    return tuple(rows)


def _scale(table: ResultTable, rule: DecisionRule) -> Scale:
    return told_in(margin_of(table, rule))


def _moderator(plan: Plan, arm: Arm, cell: Plan, found: Interaction, unit: str) -> ModeratorRow:
    def told(value: float) -> str:
        return gain(in_unit(value, unit))

    first = plan.cells[0]
    shown = found.lower > 0 or found.upper < 0
    settings = ", ".join(moderator.setting for moderator in plan.study.cross)
    variation = arm.name.removesuffix(first.suffix)
    cells = tuple(
        CellRow(cell=name, gain=gain) for name, gain in zip((first.cell, cell.cell), found.gains, strict=True)
    )
    return ModeratorRow(
        factor=arm.factor,
        moderator=settings,
        arm=arm.name,
        variation=variation,
        cells=cells,
        difference=found.difference,
        lower=found.lower,
        upper=found.upper,
        sentence=(
            f"the gain of {variation} {'depends' if shown else 'is not shown to depend'} on {settings}: "
            f"{', '.join(f'{with_unit(told(row.gain), unit)} at {row.cell}' for row in cells)}, "
            f"difference {with_unit(told(found.difference), unit)} ({told(found.lower)} to "
            f"{with_unit(told(found.upper), unit)}, {found.seeds} paired seeds)"
        ),
        unit=None if unit == PERCENT else unit,
    )


@dataclass(frozen=True, kw_only=True)
class SearchRow:
    """A joint search. ranges: setting -> its two ends; best: the winner's values, None while there is none.

    Gains in percent: as the search saw its winner, and as fresh seeds did, with their lower bound.
    """

    trials: int
    ranges: Mapping[str, tuple[float, ...]]
    best: Mapping[str, Any] | None
    screening_gain: float | None
    confirmed_gain: float | None
    confirmed_lower: float | None


def search_row(state: State) -> SearchRow | None:
    """What the joint search did, the estimate that chose its winner beside the one from fresh seeds."""
    search = state.search
    if search is None:
        return None
    winner, confirmed = search.winner, state.findings.get(WINNER)
    bound = confirmed.bound if confirmed else None
    return SearchRow(
        trials=len(search.arms),
        ranges={name: tuple(ends) for name, ends in search.ranges.items()},
        best={name: getattr(winner.settings, name) for name in search.ranges} if winner else None,
        screening_gain=search.gain,
        confirmed_gain=bound.gain if bound else None,
        confirmed_lower=finite_or_none(bound.lower) if bound else None,
    )


@dataclass(frozen=True, kw_only=True)
class SignRow:
    """A sign in an arm's curves: what was seen, by which threshold, and the guide's advice.

    numbers: what the rule measured, by name. trials: how many were looked at.
    """

    arm: str
    sign: str
    seen: str
    numbers: Mapping[str, float]
    threshold: float
    source: str
    trials: int
    advice: str
    advice_source: str


def sign_rows(plan: Plan, state: State, results: Results) -> tuple[SignRow, ...]:
    """One row per arm and sign, arms in the order of the plan, an arm's gravest sign first."""
    return tuple(
        SignRow(
            arm=arm.name,
            sign=sign.name,
            seen=sign.seen,
            numbers=sign.numbers,
            threshold=sign.threshold,
            source=sign.source,
            trials=found.trials,
            advice=remedy_text(sign.name, arm.settings),
            advice_source=REMEDIES[sign.name].source,
        )
        for arm in arms_of(plan, state)
        for found in [diagnosis_of(plan, state, arm, results)]
        for sign in found.signs
    )


def unjudged_lines(plan: Plan, state: State, results: Results) -> list[str]:
    """One line on the signs that the baseline's trials could not be looked at for, and why; else none."""
    missing = diagnosis_of(plan, state, plan.baseline, results).unjudged
    return [f"signs not judged: {'; '.join(missing)}"] if missing else []
