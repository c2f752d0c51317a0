"""`rehearse`: the chance of each verdict before anything is trained. Launches and writes nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from bios_sweep.cli.invocation import invocation_of
from bios_sweep.config.build import gpu_hours
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.driver.prepare import Prepared, prepare
from bios_sweep.driver.resources import expected_workers
from bios_sweep.errors import InputError
from bios_sweep.jsonable import to_json
from bios_sweep.records.journal import read_state
from bios_sweep.records.speed import names_model, seconds_per_example
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.records.trial_state import TrialState
from bios_sweep.records.workspace import Workspace
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
from bios_sweep.report.text.rehearsal import print_rehearsal
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import FAILED

PATIENCE_SECONDS = 2.0  # between two lines of progress
REPLACED = ("seeds", "decision.looks", "decision.confirmation_seeds", "decision.gpu_hours")


def run(args: Namespace) -> int:
    """Print the chances of every verdict, and with `decision.gpu_hours` the design that decides most."""
    if args.sweeps < 2:
        raise InputError(f"--sweeps: {args.sweeps} is not allowed; at least 2")
    prepared = prepare(invocation_of(args))
    summary = rehearsal_summary(prepared, args)
    if args.json:
        print(json.dumps(to_json(summary), indent=1))
    else:
        print_rehearsal(summary, Console())
    return 0


def rehearsal_summary(prepared: Prepared, args: Namespace) -> RehearsalSummary:
    """The rehearsal of a prepared command.

    Raises:
        InputError: a flag is not allowed, or a budget in hours is given and the speed is unknown.
        PlanError: no design fits the budget.
    """
    plan = prepared.plan
    noise = _noise(prepared, args.noise)
    seconds = _speed(prepared, args.seconds_per_trial)
    hours = gpu_hours(prepared.config.values)
    search = None if hours is None else _search(prepared, noise, seconds, hours, args.sweeps)
    plan = plan if search is None else search.best.plan
    tick = Progress(args.sweeps * sweeps_simulated(plan, EFFECTS))
    return summarise_rehearsal(
        plan,
        noise,
        rehearse(plan, noise, sweeps=args.sweeps, tick=tick),
        sweeps=args.sweeps,
        seed=SEED,
        seconds_per_example=seconds,
        most_seconds=None if seconds is None else cost_of(plan, seconds),
        workers=expected_workers(prepared.config.values["cluster"]),
        design=None if search is None or hours is None else design_row(search, hours),
        command=_command(prepared, search),
        notes=prepared.notes,
        warnings=prepared.warnings,
    )


class Progress:
    """Says on stderr how far a long rehearsal is; one that is over at once says nothing."""

    def __init__(self, total: int) -> None:
        """total: sweeps that will be simulated, about."""
        self._total, self._done, self._said = total, 0, time.monotonic()

    def __call__(self) -> None:
        """One more sweep is simulated."""
        self._done += 1
        now = time.monotonic()
        if now - self._said < PATIENCE_SECONDS:
            return
        self._said = now
        share = min(99, round(100 * self._done / max(1, self._total)))
        print(f"rehearsing: {self._done:,} sweeps, {share} %", file=sys.stderr, flush=True)


def _search(prepared: Prepared, noise: Noise, seconds: float | None, hours: float, sweeps: int) -> Search:
    if seconds is None:
        raise InputError(
            "decision.gpu_hours: how long a trial takes is not known here, for no trial of this model ran in "
            f"{prepared.workspace.root}; give --seconds-per-trial S, of one trial at the baseline"
        )
    study = prepared.plan.study
    gpus = float(prepared.config.values["cluster"]["gpus_per_trial"]) or 1.0
    designs, of = affordable(study, seconds, 3600.0 * hours / gpus)
    tick = Progress(sweeps_of_search(designs, sweeps))
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


def earlier_tables(workspace: Workspace, plan: Plan) -> dict[str, list[ResultTable]]:
    """Sweep id -> tables of the trials that it ran itself, of sweeps of the plan's scenario, latest first.

    A trial that several sweeps share counts once, where it ran.
    """
    tables = {}
    for sweep_id in workspace.sweeps():
        path = workspace.journal_file(sweep_id)
        if not path.exists() or not names_model(path, plan.study.scenario.model.fingerprint):
            continue
        state = read_state(path)
        if _same_scenario(state.facts, plan):
            tables[sweep_id] = _tables(state, plan.study.metric)
    return tables


def _same_scenario(facts: Mapping[str, Any], plan: Plan) -> bool:
    scenario, data = plan.study.scenario, facts.get("data", {})
    return (
        facts.get("scenario") == scenario.name
        and facts.get("metric") == plan.study.metric.name
        and facts.get("model", {}).get("fingerprint") == scenario.model.fingerprint
        and data.get("fingerprint") == scenario.data.fingerprint
        and data.get("evaluation_fingerprint") == scenario.data.evaluation_fingerprint
    )


def _tables(state: SweepState, metric: Metric) -> list[ResultTable]:
    stages: dict[str, list[TrialState]] = {}
    for trial in state.trials.values():
        if trial.result is not None and not trial.reused:
            stages.setdefault(trial.spec.stage, []).append(trial)
    return [_table(trials, metric) for trials in stages.values()]


def _table(trials: list[TrialState], metric: Metric) -> ResultTable:
    """Of the arms with the most seeds: looks stop at different numbers, and a missing seed is a gap."""
    seeds = {
        arm: {t.spec.seed for t in trials if t.spec.arm == arm}
        for arm in dict.fromkeys(t.spec.arm for t in trials)
    }
    full = max(map(len, seeds.values()))
    arms = tuple(arm for arm, own in seeds.items() if len(own) == full)
    kept = [trial for trial in trials if trial.spec.arm in arms]
    curves = [t.result.curve for t in kept if t.spec.arm == arms[0] and t.result and t.result.curve]
    starts = [getattr(curve[0], metric.name, None) for curve in curves if curve[0].step == 0]
    return ResultTable(
        arms=arms,
        seeds=tuple(dict.fromkeys(trial.spec.seed for trial in kept)),
        outcomes={(t.spec.arm, t.spec.seed): _outcome(t, metric) for t in kept},
        metric=metric,
        untouched=next((start for start in starts if start is not None), None),
    )


def _outcome(trial: TrialState, metric: Metric) -> Outcome:
    if trial.result is None:
        return Outcome(status=FAILED)
    return Outcome(status=trial.result.status, value=trial.result.final.get(metric.name, math.nan))


def _command(prepared: Prepared, search: Search | None) -> str:
    """What to type to run it: the overrides as given, with those of the design in place of theirs."""
    if search is None:
        return prepared.invocation.without(["decision.gpu_hours"]).command
    return prepared.invocation.without(REPLACED).replaced(search.best.overrides).command
