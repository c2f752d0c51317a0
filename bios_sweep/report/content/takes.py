"""What each thing that may learn takes: time by the timing probe, memory of its trials. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bios_sweep.decision.rows import MemoryRow
from bios_sweep.decision.statement import Verdict
from bios_sweep.procedure.state import Results, State
from bios_sweep.settings import LEARNS, TrainingSettings, what_learns
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import MEMORY_PEAK, MEMORY_RECKONED


@dataclass(frozen=True, kw_only=True)
class TakesRow:
    """An arm's time over the baseline's with its bounds, None where it was not timed, and its memory.

    bytes: of a trial on its device, None where that is not known. measured: by the device, else reckoned by
    the model of bytes.
    """

    arm: str
    cost_ratio: float | None
    cost_lower: float | None
    cost_upper: float | None
    bytes: int | None
    measured: bool


def takes_rows(plan: Plan, state: State, results: Results) -> tuple[TakesRow, ...]:
    """The baseline and one row per level of what learns; none where a study does not ask about it."""
    levels = [arm for name in LEARNS for arm in plan.levels_of(name)]
    if not levels:
        return ()
    return tuple(_row(arm, state, results) for arm in (plan.baseline, *levels))


def with_memory(verdict: Verdict, plan: Plan, state: State, results: Results) -> Verdict:
    """A verdict about what learns with the memory of the level in question beside the default's."""
    if verdict.factor not in LEARNS:
        return verdict
    arms = plan.arms_of(verdict.factor)
    asked = next((arm for arm in arms if verdict.effect_of in (arm.name, arm.level)), None)
    if asked is None:
        return verdict
    own, default = (_memory(arm.settings, state, results) for arm in (asked, plan.baseline))
    if own is None or default is None or own[1] != default[1]:
        return verdict
    return replace(verdict, memory=MemoryRow(bytes=own[0], default_bytes=default[0], measured=own[1]))


def _row(arm: Arm, state: State, results: Results) -> TakesRow:
    cost, memory = state.costs.get(arm.name), _memory(arm.settings, state, results)
    return TakesRow(
        arm=arm.name,
        cost_ratio=None if cost is None else cost.ratio,
        cost_lower=None if cost is None else cost.lower,
        cost_upper=None if cost is None else cost.upper,
        bytes=None if memory is None else memory[0],
        measured=memory is not None and memory[1],
    )


def _memory(settings: TrainingSettings, state: State, results: Results) -> tuple[int, bool] | None:
    """The most that a trial of what learns took, and whether that was measured; None where nothing is known.

    A rate or a rank of another arm does not change what learns, so that all rungs of a level count.
    """
    told = [
        results[trial.key].provenance
        for trial in state.needed
        if trial.key in results and what_learns(trial.settings) == what_learns(settings)
    ]
    for name, measured in ((MEMORY_PEAK, True), (MEMORY_RECKONED, False)):
        if found := [int(one[name]) for one in told if name in one]:
            return max(found), measured
    return None
