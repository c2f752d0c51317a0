"""Runs made elsewhere, for `report --from-mlflow` and `defaults refit`: experiments, folders and tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib import util
from pathlib import Path
from types import ModuleType

from bios_sweep.errors import InputError, MissingExtraError
from bios_sweep.mirror.mlflow.rate_studies import collect_experiment
from bios_sweep.mirror.mlflow.rest import names_over_web, read_over_web
from bios_sweep.mirror.mlflow.runs import Experiment, no_experiment
from bios_sweep.mirror.mlflow.schema import sqlite_file
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri, is_web
from bios_sweep.records.workspace import Workspace
from bios_sweep.refit.collected import collect, together
from bios_sweep.refit.evidence import Collected
from bios_sweep.secrecy import masked


def store_uri(given: str | None, workspace: str = "bios_runs") -> str:
    """Where experiments are: as given, MLflow's own variable, else the workspace's store.

    Raises:
        InputError: none of them is there.
    """
    uri = given or os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        return uri
    own = Workspace(Path(workspace))
    if not own.store.exists():
        raise InputError(
            "--from-mlflow: which tracking server? give --tracking-uri URI or set MLFLOW_TRACKING_URI "
            f"(the workspace {own.root} has no store either)"
        )
    return default_tracking_uri(own)


def read_experiment(uri: str, name: str) -> Experiment:
    """The experiment of that name or id.

    Raises:
        InputError: the store does not answer, or has no such experiment, or that has no run.
        MissingExtraError: a store that only MLflow can read, and it is not installed.
    """
    return read_over_web(uri, name) if is_web(uri) else _store_reader(uri).read_store(uri, name)


def rate_studies(
    paths: Sequence[Path], patterns: Sequence[str], *, tracking_uri: str | None, direction: str | None
) -> Collected:
    """Rate studies of folders and tables, and of the experiments that the names or patterns fit.

    direction: which way a metric is better of which nothing else says that.

    Raises:
        InputError: a path or a store that cannot be read.
    """
    parts = [collect(paths, direction)]
    if patterns:
        uri = store_uri(tracking_uri)
        names = dict.fromkeys(name for pattern in patterns for name in _experiments_like(uri, pattern))
        parts += [collect_experiment(read_experiment(uri, name), direction) for name in names]
    return together(parts)


def _experiments_like(uri: str, pattern: str) -> list[str]:
    """The names that a pattern with `*` fits; the name itself where it has none."""
    if "*" not in pattern:
        return [pattern]
    names = names_over_web(uri) if is_web(uri) else _store_reader(uri).names_in_store(uri)
    fitting = [name for name in names if fnmatchcase(name, pattern)]
    if not fitting:
        raise no_experiment(masked(uri), pattern, names)
    return fitting


def _store_reader(uri: str) -> ModuleType:
    """What reads a store that is no server, by MLflow, which is loaded here."""
    if uri.startswith("sqlite:") and not sqlite_file(uri).is_file():
        raise InputError(f"--tracking-uri: {masked(uri)}: there is no such file")
    if util.find_spec("mlflow") is None:
        raise MissingExtraError(
            f"{masked(uri)}: only http(s) servers can be read without mlflow; "
            "install it with pip install 'bios-sweep[run]'"
        )
    from bios_sweep.mirror.mlflow import local

    return local
