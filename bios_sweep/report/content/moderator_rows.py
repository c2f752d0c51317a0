"""Crossed studies: how the gain of a variation differs between cells."""

from __future__ import annotations

from dataclasses import dataclass, field

from bios_sweep.decision.moderators import Interaction, interaction
from bios_sweep.jsonable import LEFT_OUT
from bios_sweep.procedure import Results, State, table_of
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Stage


@dataclass(frozen=True, kw_only=True)
class CellRow:
    """The gain of a variation in one cell, percent."""

    cell: str
    verdict: str = ""
    gain: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, kw_only=True)
class ModeratorRow:
    """How the gain of a variation differs between two cells, in percent, with bounds.

    arm: of the first cell. variation: its name, whatever the cell.
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


def moderator_rows(plan: Plan, state: State, results: Results) -> tuple[ModeratorRow, ...]:
    """Per variation of a crossed study, how its gain differs between the first cell and each other one."""
    if not plan.cells or state.stage != Stage.DONE:
        return ()
    first, *others = plan.cells
    start = table_of(first, _ended_screening(first, results), results)
    pairs = [
        (own, arm, cell)
        for cell in others
        for own, arm in zip(first.arms[1:], cell.arms[1:], strict=False)
        if own.factor is not None and (own.factor, own.label) == (arm.factor, arm.label)
    ]
    told = []
    alpha = plan.study.decision.alpha / len(plan.study.decision.looks)
    for own, arm, cell in pairs:
        table = table_of(cell, _ended_screening(cell, results), results)
        found = interaction(start, table, (own.name, arm.name), alpha, len(pairs))
        if found is not None:
            told.append(_moderator(plan, own, cell, found))
    return tuple(told)


def _moderator(plan: Plan, arm: Arm, cell: Plan, found: Interaction) -> ModeratorRow:
    first = plan.cells[0]
    shown = found.lower > 0 or found.upper < 0
    word = "depends on" if shown else "is not shown to depend on"
    settings = ", ".join(moderator.setting for moderator in plan.study.cross)
    variation = arm.name.removesuffix(first.suffix)
    sentence = (
        f"the gain of {variation} {word} {settings}: "
        f"{found.gains[0]:+.2f} % at {first.cell}, {found.gains[1]:+.2f} % at {cell.cell}, "
        f"difference {found.difference:+.2f} % "
        f"({found.lower:+.2f} to {found.upper:+.2f} %, {found.seeds} paired seeds)"
    )
    cells = zip((first.cell, cell.cell), found.gains, strict=True)
    return ModeratorRow(
        factor=arm.factor,
        moderator=settings,
        arm=arm.name,
        variation=variation,
        cells=tuple(CellRow(cell=name, gain=gain) for name, gain in cells),
        difference=found.difference,
        lower=found.lower,
        upper=found.upper,
        sentence=sentence,
    )


def _ended_screening(plan: Plan, results: Results) -> list[TrialSpec]:
    return [trial for trial in plan.trials if trial.key in results]
