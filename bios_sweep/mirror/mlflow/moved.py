"""A workspace that was moved or copied: its own store is told where its files lie now. Light: no MLflow.

MLflow writes the absolute address of every run's files into the store, so after `mv` its pages would look
for them where the workspace was.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bios_sweep.errors import TrackingError
from bios_sweep.mirror.cursor import read_cursor, write_cursor
from bios_sweep.mirror.mlflow.schema import connect, is_current, sqlite_address
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri
from bios_sweep.records.workspace import Workspace

FILES = "mlartifacts"  # the folder beside the workspace's own store
PLACE = ("experiment_id", "run_id", "seq")
LOCATIONS = "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'"
EXPERIMENTS = "UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?"
RUNS = "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) WHERE substr(artifact_uri, 1, ?) = ?"


def bring_home(workspace: Workspace) -> None:
    """Let the workspace's own store, and what is remembered of it, name the folder in which they lie now.

    Only locations that we gave ourselves are touched: those that end in the folder of our files. A store
    that is missing, or not ready, is left alone.

    Raises:
        TrackingError: the store cannot be written now.
    """
    if not is_current(workspace.store):
        return
    here = (workspace.store.parent / FILES).as_uri()
    try:
        with closing(connect(workspace.store)) as store:
            before = [old for (old,) in store.execute(LOCATIONS) if old != here and old.endswith(f"/{FILES}")]
            for old in before:
                _relocate(store, old, here)
    except sqlite3.Error as error:
        raise TrackingError(f"{workspace.store}: its files cannot be found again ({error})") from error
    for old in before:
        _remember(workspace, Path(unquote(urlsplit(old).path)).parent / workspace.store.name)


def _relocate(store: sqlite3.Connection, old: str, here: str) -> None:
    """All at once or not at all."""
    store.execute("BEGIN IMMEDIATE")
    with store:
        store.execute(EXPERIMENTS, (here, old))
        store.execute(RUNS, (here, len(old) + 1, len(old) + 1, f"{old}/"))


def _remember(workspace: Workspace, store_before: Path) -> None:
    """How far each sweep was mirrored there holds here: the store is the same."""
    here = default_tracking_uri(workspace)
    for sweep_id in workspace.sweeps():
        place = read_cursor(workspace, sweep_id, sqlite_address(store_before))
        if place and not read_cursor(workspace, sweep_id, here):
            write_cursor(workspace, sweep_id, here, **{name: place[name] for name in PLACE if name in place})
