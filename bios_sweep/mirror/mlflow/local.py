"""The runs of an MLflow experiment in a store that only MLflow itself can read (a file, a database)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from bios_sweep.errors import InputError, TrackingError
from bios_sweep.mirror.mlflow.ready import ready_store
from bios_sweep.mirror.mlflow.runs import Experiment, StoredRun, check_runs, first_value, no_experiment
from bios_sweep.mirror.mlflow.store import all_runs, prepare_environment
from bios_sweep.secrecy import first_line, masked

PAGE = 5_000  # runs per call (chosen, not measured)


def read_store(uri: str, name: str) -> Experiment:
    """The experiment of that name or id.

    Raises:
        InputError: the store cannot be read, has no such experiment, or that has no run.
    """
    with _client(uri) as client:
        found = all_runs(client, _experiment_id(client, masked(uri), name), max_results=PAGE)
        runs = list(map(_stored, found))
    source = f"experiment {name!r}"
    check_runs(source, runs)

    def at_start(run_id: str, metric: str) -> float | None:
        points = client.get_metric_history(run_id, metric)
        return first_value((point.step, point.value) for point in points)

    return Experiment(source=source, runs=tuple(runs), at_start=at_start)


def names_in_store(uri: str) -> list[str]:
    """The names of a store's experiments.

    Raises:
        InputError: the store cannot be read.
    """
    with _client(uri) as client:
        return [one.name for one in client.search_experiments(max_results=1000)]


@contextmanager
def _client(uri: str) -> Iterator[MlflowClient]:
    prepare_environment()
    try:
        ready_store(uri)
        yield MlflowClient(tracking_uri=uri)
    except (MlflowException, SQLAlchemyError, OSError, TrackingError) as error:
        raise InputError(f"--tracking-uri: {masked(uri)} cannot be read ({first_line(error)})") from error


def _experiment_id(client: MlflowClient, shown: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    there = client.search_experiments(max_results=1000)
    if any(experiment.experiment_id == name for experiment in there):
        return name
    raise no_experiment(shown, name, [experiment.name for experiment in there])


def _stored(run: Run) -> StoredRun:
    return StoredRun(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        started=run.info.start_time or 0,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
    )
