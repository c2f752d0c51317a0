"""What the arms do to the metrics that do not decide: shown beside every verdict, whatever its word. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bios_sweep.checks import is_finite
from bios_sweep.decision.fresh import Guard
from bios_sweep.decision.rows import BesideRow
from bios_sweep.procedure.cell import Cell
from bios_sweep.procedure.state import State
from bios_sweep.procedure.tables import guards_of
from bios_sweep.vocabulary import Stage


def beside_of(cell: Cell, state: State) -> tuple[BesideRow, ...]:
    """One row per metric, variation and stage, each on the seeds that the variation ran on.

    Bounds are one-sided, at the alpha of the stage.
    """
    if not cell.rule.must_not_lose(cell.plan.study.metric):
        return ()
    return tuple(_rows(cell, state))


def _rows(cell: Cell, state: State) -> Iterator[BesideRow]:
    default = cell.plan.baseline.name
    alphas = {
        Stage.SCREENING: cell.rule.alpha / len(cell.rule.looks),
        Stage.CONFIRMATION: cell.rule.alpha,
    }
    for stage, alpha in alphas.items():
        trials = [trial for trial in state.needed if trial.stage == stage]
        for arm in dict.fromkeys(trial.arm for trial in trials if trial.arm != default):
            seeds = {trial.seed for trial in trials if trial.arm == arm}
            own = [trial for trial in trials if trial.arm in (default, arm) and trial.seed in seeds]
            for guard in guards_of(cell.plan, own, cell.results, cell.known):
                yield _row(guard, arm, stage, alpha)


def _row(guard: Guard, arm: str, stage: str, alpha: float) -> BesideRow:
    keeps, found = guard.keeps, guard.contrast(arm, alpha)
    told: list[float | None] = [None, None, None]
    nothing = found is not None and guard.of_nothing(found[1])  # no percent of 0 tells anything
    if found is not None and not nothing:
        bound, blocks = found
        level = blocks.level
        numbers = (keeps.told(one, level) for one in (bound.gain, bound.lower, bound.upper))
        told = [one if is_finite(one) else None for one in numbers]
    gain, lower, upper = told
    return BesideRow(
        metric=keeps.metric.name,
        direction=keeps.metric.direction,
        arm=arm,
        stage=stage,
        seeds=len(found[1].seeds) if found else 0,
        clusters=found[0].clusters if found else 0,
        gain=gain,
        lower=lower,
        upper=upper,
        unit=keeps.unit,
        may_lose=keeps.limit,
        kept=found is not None and found[0].lower >= 0
        if nothing
        else lower is not None and lower > -keeps.limit,
    )
