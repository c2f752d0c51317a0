"""Stable parts of schedules that arms share: what the engine is told, and what `plan` says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.study.plan import Plan
from bios_sweep.study.stable import ends_of, shared_ends, stable_part, steps_saved
from bios_sweep.study.trials import short_hash


def asked_stable(plan: Plan, ended: Callable[[str], bool] = lambda _key: False) -> dict[str, Any]:
    """The engine's option that tells it which arms share; nothing where none do.

    ended: whether a trial has a result, by its key: then no other leaves anything for it.
    """
    scenario = plan.study.scenario
    ends = shared_ends(arm.settings for arm in plan.arms) if scenario.engine == LORA_ENGINE else []
    of_all = {**scenario.identity(), "formats": dict(scenario.format_versions)}
    if not ends:
        return {}
    sharing = [trial for trial in plan.trials if ends_of(trial.settings) in ends and ended(trial.key)]
    finished = [[trial.seed, stable_part(trial.settings), ends_of(trial.settings)] for trial in sharing]
    return {"stable": {"ends": ends, "scenario": short_hash(of_all), "finished": finished}}


def stable_notes(plan: Plan) -> list[str]:
    """What arms share, in words; nothing where they share nothing."""
    if not asked_stable(plan):
        return []
    saved, steps = steps_saved(plan.trials), sum(trial.settings.max_steps for trial in plan.trials)
    return [
        f"arms that differ in the end of their schedule share its stable part, which the longest trains: "
        f"{sum(saved.values()):,} of {steps:,} steps are saved; a worker that does not find the part on its "
        "disk trains it itself"
    ]
