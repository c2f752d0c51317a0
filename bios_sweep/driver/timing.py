"""The timing probe of a sweep: before any trial, while nothing else of ours runs."""

from __future__ import annotations

import dataclasses

from bios_sweep.driver.sweep import Sweep
from bios_sweep.errors import NoClockError
from bios_sweep.ports import Executor
from bios_sweep.procedure import ProcedureSource
from bios_sweep.records.earlier import named_timing, timing_key_of
from bios_sweep.records.journal import Journal

TIMING_REPEATS = 5  # docs/statistics.md, item 13: at least 5 interleaved repeats


def take_timing(sweep: Sweep, source: ProcedureSource, journal: Journal, executor: Executor) -> None:
    """Time the arms whose cost a claim weighs, alone on the device, before any trial.

    An engine without a clock measures nothing; the claims of cost then say so.
    """
    plan, scenario = sweep.plan, sweep.plan.study.scenario
    try:
        seconds, hardware = executor.time(
            [arm.settings for arm in plan.timed_arms],
            engine=scenario.engine,
            engine_options=sweep.engine_options,
            repeats=TIMING_REPEATS,
        )
    except NoClockError as error:
        journal.noted(f"no cost is measured: {error}")
        return
    found = {"seconds": seconds, "hardware": hardware}
    sweep.workspace.write_timing(timing_key_of(plan), found)
    timing = named_timing(plan, found)
    journal.timed(timing.to_dict())
    source.learn(dataclasses.replace(source.known, timing=timing))
