"""A prepared study rehearsed: its noise and speed from earlier trials, its design from a budget of hours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from bios_sweep.checks import positive
from bios_sweep.config.build import gpu_hours
from bios_sweep.decision.clusters import ClusterTable, cluster_table
from bios_sweep.decision.table import Outcome, ResultTable, complete_blocks
from bios_sweep.driver.cost import rate_of
from bios_sweep.driver.prepare import Prepared
from bios_sweep.errors import InputError
from bios_sweep.records.earlier import names_model
from bios_sweep.records.reading import read_state
from bios_sweep.records.results import ClusterReader
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.records.workspace import Workspace
from bios_sweep.rehearsal.chances import EFFECTS, SEED, rehearse, sweeps_simulated
from bios_sweep.rehearsal.designs import Search, affordable, choose_design, cost_of, sweeps_of_search
from bios_sweep.rehearsal.evaluation import Evaluation, evaluation_of, has_clusters
from bios_sweep.rehearsal.noise import Noise, guessed_noise, noise_from, stated_noise, with_interval
from bios_sweep.rehearsal.summary import RehearsalSummary, design_row, summarise_rehearsal
from bios_sweep.rehearsal.world import told_in
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import TrialResult, TrialSpec, evaluation_file
from bios_sweep.units import PERCENT

REPLACED = ("seeds", "decision.looks", "decision.confirmation_seeds", "decision.gpu_hours")


def rehearsed(
    prepared: Prepared,
    *,
    sweeps: int,
    noise: float | None,
    evaluation_error: float | None,
    seconds_per_trial: float | None,
    progress: Callable[[int], Callable[[], None]],
) -> RehearsalSummary:
    """The rehearsal of a prepared command; with `decision.gpu_hours`, of the design that decides most.

    sweeps: simulated per truth. noise: percent, of a score points. evaluation_error: percent.
    seconds_per_trial: of the baseline; each None to take it from earlier trials. progress: from how many
    sweeps will be simulated to what is called after each.

    Raises:
        InputError: a flag is not allowed, or a budget in hours is given and the speed is unknown.
        PlanError: no design fits the budget.
    """
    found = with_interval(_noise(prepared, noise))
    evaluation = _evaluation(prepared, found, evaluation_error)
    seconds = _speed(prepared, seconds_per_trial)
    hours = gpu_hours(prepared.config.values)
    search = None if hours is None else _search(prepared, found, evaluation, seconds, hours, sweeps, progress)
    plan = prepared.plan if search is None else search.best.plan
    tick = progress(sweeps * sweeps_simulated(plan, EFFECTS))
    return summarise_rehearsal(
        plan,
        found,
        rehearse(plan, found, evaluation=evaluation, sweeps=sweeps, tick=tick),
        evaluation=evaluation,
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
    evaluation: Evaluation | None,
    seconds: float | None,
    hours: float,
    sweeps: int,
    progress: Callable[[int], Callable[[], None]],
) -> Search:
    if seconds is None:
        raise InputError(
            "decision.gpu_hours: how long a trial takes is not known here, for no trial of this model ran in "
            f"{prepared.workspace.root} and its arithmetic is not known; give "
            "--seconds-per-trial S, of one trial at the baseline"
        )
    study = prepared.plan.study
    gpus = float(prepared.request.gpus_per_trial) or 1.0
    designs, of = affordable(study, seconds, 3600.0 * hours / gpus)
    tick = progress(sweeps_of_search(designs, sweeps))
    return choose_design(
        designs, study, noise, seconds, sweeps=sweeps, of=of, evaluation=evaluation, tick=tick
    )


def _speed(prepared: Prepared, seconds_per_trial: float | None) -> float | None:
    """Seconds per training example: stated for the baseline's trial, else as `plan` reckons with."""
    if seconds_per_trial is not None:
        positive("--seconds-per-trial", seconds_per_trial, InputError)
        return seconds_per_trial / prepared.plan.baseline.examples()
    rate = rate_of(prepared)
    return None if rate is None else rate.seconds_per_example


def known_noise(prepared: Prepared) -> Noise:
    """That of earlier sweeps of the scenario, else a guess."""
    return noise_from(_earlier_tables(prepared.workspace, prepared.plan)) or guessed_noise()


def _noise(prepared: Prepared, stated: float | None) -> Noise:
    if stated is None:
        return known_noise(prepared)
    earlier = noise_from(_earlier_tables(prepared.workspace, prepared.plan))
    scale = told_in(prepared.plan, earlier or guessed_noise())
    unit = "percent of the loss" if scale.unit == PERCENT else scale.word
    return stated_noise(stated / scale.number(1.0), earlier, unit)


def _evaluation(prepared: Prepared, noise: Noise, percent: float | None) -> Evaluation | None:
    """The evaluation set as earlier sweeps of the scenario saw it, where the study counts its clusters."""
    if not has_clusters(prepared.plan):
        return evaluation_of(prepared.plan, {}, noise.percent, percent)
    earlier = _earlier_states(prepared.workspace, prepared.plan)
    read = ClusterReader(prepared.workspace)
    tables = {sweep: _by_cluster(state, prepared.plan, read) for sweep, state in earlier.items()}
    return evaluation_of(prepared.plan, tables, noise.percent, percent)


def _by_cluster(state: SweepState, plan: Plan, read: ClusterReader) -> list[ClusterTable]:
    """The sweep's own trials by cluster, a table per stage; none where a trial's are not known."""
    file = evaluation_file(plan.study.metric.name, plan.study.scenario.data.score)
    found = []
    for trials in _ended(state):
        blocks = complete_blocks(_table(trials, plan.study.metric))
        keys = {(spec.arm, spec.seed): spec.key for spec, _ in trials}
        sums = {place: read(key, file) for place, key in keys.items()} if file else {}
        table = cluster_table(blocks, {place: one for place, one in sums.items() if one is not None})
        if table is not None and len(table.arms) > 1 and not table.too_few:
            found.append(table)
    return found


def _command(prepared: Prepared, search: Search | None) -> str:
    """What to type to run it: the overrides as given, with those of the design in place of theirs."""
    if search is None:
        return prepared.invocation.without(["decision.gpu_hours"]).command
    return prepared.invocation.without(REPLACED).replaced(search.best.overrides).command


def _earlier_tables(workspace: Workspace, plan: Plan) -> dict[str, list[ResultTable]]:
    """Sweep id -> tables of the trials that it ran itself, of sweeps of the plan's scenario, latest first.

    A trial that several sweeps share counts once, where it ran.
    """
    return {
        sweep: [_table(trials, plan.study.metric) for trials in _ended(state)]
        for sweep, state in _earlier_states(workspace, plan).items()
    }


def _earlier_states(workspace: Workspace, plan: Plan) -> dict[str, SweepState]:
    states = {}
    for sweep_id in workspace.sweeps():
        path = workspace.journal_file(sweep_id)
        if not path.exists() or not names_model(path, plan.study.scenario.model.fingerprint):
            continue
        state = read_state(path)
        if _same_scenario(state.facts, plan):
            states[sweep_id] = state
    return states


def _same_scenario(facts: Mapping[str, Any], plan: Plan) -> bool:
    scenario, data = plan.study.scenario, facts.get("data", {})
    return (
        facts.get("scenario") == scenario.name
        and facts.get("metric") == plan.study.metric.name
        and facts.get("model", {}).get("fingerprint") == scenario.model.fingerprint
        and data.get("fingerprint") == scenario.data.fingerprint
        and data.get("evaluation_fingerprint") == scenario.data.evaluation_fingerprint
    )


def _ended(state: SweepState) -> list[list[tuple[TrialSpec, TrialResult]]]:
    """The trials that the sweep ran itself, by stage."""
    stages: dict[str, list[tuple[TrialSpec, TrialResult]]] = {}
    for trial in state.trials.values():
        if trial.result is not None and not trial.reused:
            stages.setdefault(trial.spec.stage, []).append((trial.spec, trial.result))
    return list(stages.values())


def _table(trials: list[tuple[TrialSpec, TrialResult]], metric: Metric) -> ResultTable:
    """Of the arms with the most seeds: looks stop at different numbers, and a missing seed is a gap."""
    seeds: dict[str, set[int]] = {}
    for spec, _ in trials:
        seeds.setdefault(spec.arm, set()).add(spec.seed)
    full = max(map(len, seeds.values()))
    arms = tuple(arm for arm, own in seeds.items() if len(own) == full)
    trials = [(spec, result) for spec, result in trials if spec.arm in arms]
    first = [result.curve[0] for spec, result in trials if spec.arm == arms[0] and result.curve]
    starts = [getattr(point, metric.name, None) for point in first if point.step == 0]
    return ResultTable(
        arms=arms,
        seeds=tuple(dict.fromkeys(spec.seed for spec, _ in trials)),
        outcomes={
            (spec.arm, spec.seed): Outcome(
                status=result.status, value=result.final.get(metric.name, math.nan)
            )
            for spec, result in trials
        },
        metric=metric,
        untouched=next((start for start in starts if start is not None), None),
    )
