"""A prepared study rehearsed: its noise and speed from earlier trials, its design from a budget of hours."""

from __future__ import annotations

import math
from collections.abc import Callable

from bios_sweep.config.build import gpu_hours
from bios_sweep.driver.earlier_tables import earlier_tables
from bios_sweep.driver.prepare import Prepared
from bios_sweep.errors import InputError
from bios_sweep.records.earlier import seconds_per_example
from bios_sweep.rehearsal import (
    EFFECTS,
    SEED,
    Noise,
    RehearsalSummary,
    Search,
    affordable,
    choose_design,
    cost_of,
    design_row,
    guessed_noise,
    noise_from,
    rehearse,
    stated_noise,
    summarise_rehearsal,
    sweeps_of_search,
    sweeps_simulated,
)

REPLACED = ("seeds", "decision.looks", "decision.confirmation_seeds", "decision.gpu_hours")


def rehearsed(
    prepared: Prepared,
    *,
    sweeps: int,
    noise_percent: float | None,
    seconds_per_trial: float | None,
    progress: Callable[[int], Callable[[], None]],
) -> RehearsalSummary:
    """The rehearsal of a prepared command; with `decision.gpu_hours`, of the design that decides most.

    sweeps: simulated per truth. noise_percent, seconds_per_trial: stated, or None to take them from earlier
    trials. progress: told how many sweeps will be simulated, it gives what is called after each.

    Raises:
        InputError: a flag is not allowed, or a budget in hours is given and the speed is unknown.
        PlanError: no design fits the budget.
    """
    plan = prepared.plan
    noise = _noise(prepared, noise_percent)
    seconds = _speed(prepared, seconds_per_trial)
    hours = gpu_hours(prepared.config.values)
    search = None if hours is None else _search(prepared, noise, seconds, hours, sweeps, progress)
    plan = plan if search is None else search.best.plan
    tick = progress(sweeps * sweeps_simulated(plan, EFFECTS))
    return summarise_rehearsal(
        plan,
        noise,
        rehearse(plan, noise, sweeps=sweeps, tick=tick),
        sweeps=sweeps,
        seed=SEED,
        seconds_per_example=seconds,
        most_seconds=None if seconds is None else cost_of(plan, seconds),
        workers=prepared.request.expected_workers,
        design=None if search is None or hours is None else design_row(search, hours),
        command=_command(prepared, search),
        notes=prepared.notes,
        warnings=prepared.warnings,
    )


def _search(
    prepared: Prepared,
    noise: Noise,
    seconds: float | None,
    hours: float,
    sweeps: int,
    progress: Callable[[int], Callable[[], None]],
) -> Search:
    if seconds is None:
        raise InputError(
            "decision.gpu_hours: how long a trial takes is not known here, for no trial of this model ran in "
            f"{prepared.workspace.root}; give --seconds-per-trial S, of one trial at the baseline"
        )
    study = prepared.plan.study
    gpus = float(prepared.request.gpus_per_trial) or 1.0
    designs, of = affordable(study, seconds, 3600.0 * hours / gpus)
    tick = progress(sweeps_of_search(designs, sweeps))
    return choose_design(designs, study, noise, seconds, sweeps=sweeps, of=of, tick=tick)


def _speed(prepared: Prepared, seconds_per_trial: float | None) -> float | None:
    """Seconds per training example: stated for the baseline's trial, else as in earlier trials."""
    if seconds_per_trial is not None:
        if not (math.isfinite(seconds_per_trial) and seconds_per_trial > 0):
            raise InputError(f"--seconds-per-trial: {seconds_per_trial!r} is not allowed; a number above 0")
        return seconds_per_trial / prepared.plan.baseline.examples()
    known = seconds_per_example(prepared.workspace, prepared.plan.study.scenario.model.fingerprint)
    return None if known is None else known[0]


def _noise(prepared: Prepared, percent: float | None) -> Noise:
    earlier = noise_from(earlier_tables(prepared.workspace, prepared.plan))
    if percent is None:
        return earlier or guessed_noise()
    return stated_noise(percent, earlier)


def _command(prepared: Prepared, search: Search | None) -> str:
    """What to type to run it: the overrides as given, with those of the design in place of theirs."""
    if search is None:
        return prepared.invocation.without(["decision.gpu_hours"]).command
    return prepared.invocation.without(REPLACED).replaced(search.best.overrides).command
