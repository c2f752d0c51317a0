"""Rate studies straight from an MLflow experiment: every finished sweep of ours has one."""

from __future__ import annotations

from collections.abc import Sequence

from bios_sweep.defaults.rules import family_of
from bios_sweep.errors import InputError
from bios_sweep.method import Objective
from bios_sweep.mirror.content import plain_name
from bios_sweep.mirror.mlflow.runs import (
    Experiment,
    StoredRun,
    listed_seeds,
    metric_of_sweep,
    seed_of_run,
    status_of,
    trials_of,
)
from bios_sweep.records.sweep_state import DONE
from bios_sweep.refit.collected import no_rule_for
from bios_sweep.refit.evidence import Collected
from bios_sweep.refit.rate_tables import KEY, studies_of
from bios_sweep.settings import setting_names
from bios_sweep.study.scenario import Metric
from bios_sweep.tables.text_table import RawTable
from bios_sweep.vocabulary import Status

TOLD = ("family", "hidden_size", "method")  # tags of a sweep's run that say whose rule it is evidence for


def collect_experiment(experiment: Experiment, direction: str | None = None) -> Collected:
    """The rate studies of the experiment's finished sweeps, and what was left out with its reason.

    direction: which way a metric is better whose sweep and name do not say.
    """
    sweeps = sorted(
        (run for run in experiment.runs if run.tags.get("kind") == "sweep"), key=lambda run: run.started
    )
    found = [_sweep(experiment, sweep, direction) for sweep in sweeps]
    none = () if sweeps else (f"{experiment.source}: has no sweep of bios-sweep",)
    return Collected.of([Collected(left_out=none), *found])


def _sweep(experiment: Experiment, sweep: StoredRun, direction: str | None) -> Collected:
    source = f"{experiment.source}, sweep {sweep.tags['sweep_id']}"
    if sweep.tags.get("status") != DONE:
        return _none(f"{source}: the sweep is not finished")
    silent = [name for name in TOLD if not sweep.tags.get(name)]
    if silent:
        return _none(f"{source}: its run does not say {', '.join(silent)}; give the sweep's folder instead")
    if doubt := no_rule_for(sweep.tags.get("objective", Objective.SFT)):
        return _none(f"{source}: {doubt}")
    seeds = set(listed_seeds(sweep))
    runs = [run for run in trials_of(experiment, sweep) if not seeds or seed_of_run(run) in seeds]
    if not runs:
        return _none(f"{source}: has no trial")
    size = int(sweep.tags["hidden_size"])
    who = [(sweep.tags.get("model", source), family_of(sweep.tags["family"]), size)] * len(runs)
    try:
        metric = metric_of_sweep(experiment.source, sweep, otherwise=direction)
    except InputError as error:
        return _none(str(error))
    return studies_of(_table(source, sweep, runs, metric), who, metric, sweep.tags.get("data", ""))


def _none(reason: str) -> Collected:
    return Collected(left_out=(reason,))


def _table(source: str, sweep: StoredRun, runs: Sequence[StoredRun], judged: Metric) -> RawTable:
    """The trials as the columns of a results table; the method is what the tuned values would be for."""
    metric = plain_name(judged.name)
    names = [name for name in setting_names() if any(name in run.params for run in runs)]
    return RawTable(
        source=source,
        columns={
            **{name: tuple(run.params.get(name, "") for run in runs) for name in names},
            "method": (sweep.tags["method"],) * len(runs),
            KEY: tuple(run.tags.get(KEY, "") for run in runs),
            "seed": tuple(str(seed_of_run(run)) for run in runs),
            "status": tuple(map(status_of, runs)),
            "value": tuple(
                str(run.metrics[metric])
                if status_of(run) == Status.COMPLETED and metric in run.metrics
                else ""
                for run in runs
            ),
        },
        lines=tuple(range(1, len(runs) + 1)),
    )
