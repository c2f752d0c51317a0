"""The runs of an MLflow experiment as plain values, and as a table; those of our own sweeps are known.

Where they come from is the business of `rest` (a server) and `local` (a database or file).
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bios_sweep.audit.runs import RunTable
from bios_sweep.errors import InputError
from bios_sweep.mirror.content import plain_name, sweep_tag
from bios_sweep.settings import setting_names
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.metric_names import DIRECTIONS, ask_for, direction_of
from bios_sweep.study.scenario import Metric
from bios_sweep.tables.column_names import DECIDED
from bios_sweep.tables.text_table import RawTable, is_number, parsed_setting
from bios_sweep.vocabulary import Stage, Status

BESIDE = ("seed", "repeat")  # parameters of a trial that are no settings
SHOWN = 8  # experiments named in one message (chosen, not measured)
KEPT = ("mlflow.source.git.commit", "mlflow.parentRunId")  # of MLflow's own tags
OURS = "eval_loss"  # the metric of our own sweeps


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """One run. metrics: the latest value of each. started: milliseconds since 1970."""

    run_id: str
    name: str
    status: str
    started: int
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """All active runs of an experiment, and how it is called in messages.

    at_start: run id and metric -> the metric's value at step 0, None where it has none.
    """

    source: str
    runs: tuple[StoredRun, ...]
    at_start: Callable[[str, str], float | None] = lambda run_id, metric: None


def first_value(points: Iterable[tuple[int, float]]) -> float | None:
    """The value at step 0 of a metric's history."""
    return next((value for step, value in points if step == 0 and math.isfinite(value)), None)


def check_runs(source: str, runs: Sequence[StoredRun]) -> None:
    """Refuse an experiment without runs."""
    if not runs:
        raise InputError(f"{source}: has no run")


def no_experiment(shown: str, name: str, names: Sequence[str]) -> InputError:
    """What is said when there is no such experiment: the nearest, and those that are there."""
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    there = f"there are {', '.join(map(repr, names[:SHOWN]))}{more}" if names else "there is none at all"
    return InputError(f"{shown}: no experiment {name!r}{hint}; {there}")


def raw_table(experiment: Experiment) -> RawTable:
    """The runs as the columns that MLflow's own export has: `params.x`, `metrics.y`, `tags.z`, `status`."""
    runs = sorted(experiment.runs, key=lambda run: (run.started, run.run_id))
    columns: dict[str, tuple[str, ...]] = {
        "run_id": tuple(run.run_id for run in runs),
        "status": tuple(run.status for run in runs),
    }
    for kind in ("params", "metrics", "tags"):
        for key in dict.fromkeys(key for run in runs for key in getattr(run, kind)):
            if kind == "tags" and key.startswith("mlflow.") and key not in KEPT:
                continue
            cells = [getattr(run, kind).get(key) for run in runs]
            columns[f"{kind}.{key}"] = tuple("" if cell is None else str(cell) for cell in cells)
    return RawTable(source=experiment.source, columns=columns, lines=tuple(range(1, len(runs) + 1)))


def own_sweep(
    experiment: Experiment, sweep: str | None, value: str | None, direction: str | None = None
) -> RunTable | None:
    """The trials of one of our own sweeps, the latest unless named; None when there is no sweep of ours.

    Arms are taken from the sweep's own tag and the stage from its list of seeds, for a trial belongs to
    every sweep that used it.

    Raises:
        InputError: no sweep of that name; the message lists those that are there. Or nothing says which
            way the metric is better.
    """
    parents = sorted((r for r in experiment.runs if r.tags.get("kind") == "sweep"), key=lambda r: -r.started)
    if not parents:
        return None
    parent = _chosen(experiment.source, parents, sweep)
    tag = sweep_tag(parent.tags["sweep_id"])
    runs = trials_of(experiment, parent)
    check_runs(f"{experiment.source}: sweep {parent.tags['sweep_id']}", runs)
    others = [other.tags["sweep_id"] for other in parents if other is not parent]
    also = (f"other sweeps of the experiment, chosen with --sweep: {', '.join(others[:SHOWN])}",)
    metric = metric_of_sweep(experiment.source, parent, value, direction)
    notes = (*filter(None, [metric.doubt]), *(also if others else ()))
    table = _own_table(experiment.source, parent, runs, metric, notes)
    own = sorted(
        (run for run in runs if run.tags[tag] == BASELINE), key=lambda run: status_of(run) == Status.FAILED
    )
    return replace(table, untouched=experiment.at_start((own or runs)[0].run_id, plain_name(metric.name)))


def trials_of(experiment: Experiment, parent: StoredRun) -> list[StoredRun]:
    """The trials that a sweep used, its own and those of others, in the order of their start.

    One that was run twice, to see whether a script honours its seed, is in no verdict and is left out.
    """
    tag = sweep_tag(parent.tags["sweep_id"])
    trials = (run for run in experiment.runs if run.tags.get(tag) and run.tags.get("kind") == "trial")
    used = (run for run in trials if run.tags.get("stage") != Stage.CONTROL)
    return sorted(used, key=lambda run: (run.started, run.run_id))


def listed_seeds(parent: StoredRun) -> list[int]:
    """The seeds of the sweep's screening; its confirmation has others."""
    return _listed(parent.params.get("seeds", "[]"))


def metric_of_sweep(
    source: str,
    parent: StoredRun,
    value: str | None = None,
    direction: str | None = None,
    otherwise: str | None = None,
) -> Metric:
    """The sweep's metric as its own run says it; of another one its name tells which way it is better.

    A sweep of an older version that says nothing had our loss. direction: what is said now, before
    anything else; otherwise: what counts where neither the run nor the name says it.

    Raises:
        InputError: nothing says which way the metric is better.
    """
    own = parent.params.get("metric", OURS)
    name = value or own
    said = parent.params.get("direction") if name == own else None
    known = direction or (said if said in DIRECTIONS else None) or direction_of(name) or otherwise
    if known is None:
        sweep = f"{source}, sweep {parent.tags['sweep_id']}"
        raise InputError(f"{sweep}: {ask_for(name, '--direction ')}")
    return Metric(name=name, direction=known, unit=Metric().unit if name == OURS else "")


def seed_of_run(run: StoredRun) -> int:
    """The trial's seed."""
    return int(run.params.get("seed", run.tags.get("seed", "0")))


def _own_table(
    source: str, parent: StoredRun, runs: Sequence[StoredRun], metric: Metric, notes: tuple[str, ...]
) -> RunTable:
    tag = sweep_tag(parent.tags["sweep_id"])
    screened = set(listed_seeds(parent))
    seeds = tuple(map(seed_of_run, runs))
    statuses = tuple(status_of(run) for run in runs)
    looks = _listed(parent.params.get("looks", "[]"))
    joined = {
        seed: 1 + sum(place >= look for look in looks) for place, seed in enumerate(listed_seeds(parent))
    }
    listed = {name for run in runs for name in run.params}.difference(BESIDE)
    ours = [name for name in setting_names() if name in listed]
    names = [*ours, *sorted(listed.difference(ours))]  # then a script's own
    return RunTable(
        source=f"{source}, sweep {parent.tags['sweep_id']}",
        arms=tuple(run.tags[tag] for run in runs),
        seeds=seeds,
        values=tuple(
            math.nan if status == Status.FAILED else run.metrics.get(plain_name(metric.name), math.nan)
            for run, status in zip(runs, statuses, strict=True)
        ),
        statuses=statuses,
        stages=tuple(
            Stage.SCREENING if not screened or seed in screened else Stage.CONFIRMATION for seed in seeds
        ),
        metric=metric,
        settings={name: tuple(parsed_setting(run.params.get(name, "")) for run in runs) for name in names},
        factors=tuple(_tag(run, "factor") if run.tags.get("arm") == run.tags[tag] else "" for run in runs),
        levels=tuple(parsed_setting(_tag(run, "level")) for run in runs),
        costs={"tokens": tuple(run.metrics.get("tokens", math.nan) for run in runs)},
        places=tuple(f"run {run.run_id}" for run in runs),
        looks=max(1, len(looks)),
        joined=tuple(joined.get(seed, 0) for seed in seeds) if looks else None,
        decided=_decided(parent),
        ours=True,
        notes=notes,
    )


def _decided(parent: StoredRun) -> dict[str, float]:
    """What the sweep's run says of its decision rule; {} for one that an older version mirrored."""
    said = {name: parent.params.get(title, "") for title, name in DECIDED.items()}
    return {name: float(text) for name, text in said.items() if is_number(text)}


def _tag(run: StoredRun, name: str) -> str:
    text = run.tags.get(name, "")
    return "" if text == "none" else text


def status_of(run: StoredRun) -> str:
    """How the trial ended; one that never did counts as failed."""
    status = run.tags.get("status", "")
    return status if status in (Status.COMPLETED, Status.DIVERGED) else Status.FAILED


def _listed(text: str) -> list[int]:
    try:
        return [int(seed) for seed in json.loads(text)]
    except (ValueError, TypeError):
        return []


def _chosen(source: str, parents: Sequence[StoredRun], sweep: str | None) -> StoredRun:
    if sweep is None:
        return parents[0]
    for parent in parents:
        if sweep in (parent.tags.get("sweep_id"), parent.tags.get("sweep_name")):
            return parent
    there = ", ".join(parent.tags["sweep_id"] for parent in parents[:SHOWN])
    raise InputError(f"{source}: no sweep {sweep!r}; there are {there}")
