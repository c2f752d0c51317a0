"""MLflow as a tracker, an SQLite file or a server: which addresses are usable, and links into the UI.

Light on purpose: a wrong address must be refused before seconds are spent importing MLflow.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from bios_sweep.errors import InputError
from bios_sweep.mirror.cursor import awaited, read_cursor
from bios_sweep.mirror.mlflow.schema import (
    BEHIND,
    is_current,
    look,
    ready_store,
    refusal,
    sqlite_address,
    sqlite_file,
)
from bios_sweep.mounts import mount_of
from bios_sweep.ports import Recorder
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked

SQLITE_MAGIC = b"SQLite format 3\x00"  # https://www.sqlite.org/fileformat.html, section 1.3.1
WEB = ("http", "https")
LOCAL_UI = "http://127.0.0.1:5000"


@dataclass(frozen=True)
class MlflowTracker:
    """One tracking store; `uri` never holds credentials."""

    uri: str
    workspace: Workspace

    def check(self) -> None:
        """Refuse a store that does not answer or cannot be used, before anything is started.

        A user's own store of an older MLflow is upgraded here, for only the attempt shows whether it can be.
        The workspace's own waits for the mirror, which may replace it.
        """
        check_tracking(self.uri, self.workspace)
        ours = self.uri == default_tracking_uri(self.workspace)
        if not ours and not is_web(self.uri) and look(sqlite_file(self.uri)).kind == BEHIND:
            ready_store(self.uri)

    def load(self) -> None:
        """MLflow: it takes seconds."""
        import bios_sweep.mirror.mlflow.mirror  # noqa: F401

    def has(self, sweep_id: str, last_entry: int) -> bool:
        """Whether MLflow has everything up to `last_entry` of the sweep's journal."""
        done = read_cursor(self.workspace, sweep_id, self.uri).get("seq")
        ready = is_web(self.uri) or is_current(sqlite_file(self.uri))
        return done == last_entry and ready and not awaited(self.workspace, self.uri)

    def recorder(self, sweep_id: str, experiment: str) -> Recorder:
        """MLflow is imported here and nowhere earlier: it takes seconds."""
        from bios_sweep.mirror.mlflow.mirror import mlflow_recorder

        return mlflow_recorder(self.workspace, sweep_id, self.uri, experiment)

    def link(self, sweep_id: str, options: str) -> str:
        """One line: where to look at the sweep."""
        if is_web(self.uri):
            return f"MLflow: {self.page(masked(self.uri), sweep_id)}"
        return f"MLflow: start `bios-sweep ui{options}`, then {self.page(LOCAL_UI, sweep_id)}"

    def page(self, base_url: str, sweep_id: str) -> str:
        """The sweep's saved view at a server's address."""
        experiment = str(read_cursor(self.workspace, sweep_id, self.uri).get("experiment_id", ""))
        return ui_link(base_url, experiment, view=sweep_id)


def default_tracking_uri(workspace: Workspace) -> str:
    """The workspace's own store; absolute, since MLflow would look in the working directory."""
    return sqlite_address(workspace.store)


def is_web(uri: str) -> bool:
    """Whether the address is a server's (and so has its own UI)."""
    return urlsplit(uri).scheme in WEB


def check_tracking(uri: str, workspace: Workspace | None = None) -> None:
    """Refuse an address that cannot be used, within seconds and without leaving a trace anywhere.

    With `workspace`, its own store may be missing: it is made together with the workspace.

    Raises:
        InputError: unknown kind of address, no answer, not MLflow, a newer MLflow's or another program's
            database, or a folder that cannot be written.
    """
    scheme = urlsplit(uri).scheme
    if scheme in WEB:
        from bios_sweep.mirror.mlflow.web import check_server  # loads TLS, which a store in a file needs not

        check_server(uri)
    elif scheme == "sqlite":
        _check_sqlite(uri, made_later=workspace is not None and uri == default_tracking_uri(workspace))
    else:
        raise InputError(
            f"tracking.uri: {masked(uri)!r} is not supported; give http(s)://HOST:PORT of an MLflow server "
            "(a database such as PostgreSQL goes behind one), sqlite:////ABSOLUTE/PATH/mlflow.db or "
            "jsonl:///ABSOLUTE/FOLDER for files without MLflow"
        )


def ui_link(base_url: str, experiment_id: str, run_ids: Sequence[str] = (), view: str = "") -> str:
    """Where people look: the comparison of `run_ids`, else the experiment's runs in the saved `view`.

    An experiment not known yet ('') gives the list of experiments.

    Without workflowType MLflow 3 opens its GenAI pages, which show no training runs.
    """
    base = masked(base_url).replace("***@", "").rstrip("/")
    if not experiment_id:
        return f"{base}/#/experiments"
    if run_ids:
        query = urlencode({"runs": json.dumps(list(run_ids)), "experiments": json.dumps([experiment_id])})
        return f"{base}/#/compare-runs?{query}"
    return f"{base}/{page_of_view(experiment_id, view)}"


def page_of_view(experiment_id: str, view: str) -> str:
    """The experiment's runs in a saved view ('': in none), below a server's address."""
    shown = {"viewStateShareKey": view, "compareRunsMode": "CHART"} if view else {}
    query = urlencode({"workflowType": "machine_learning"} | shown)
    return f"#/experiments/{experiment_id}/runs?{query}"


def page_of_run(experiment_id: str, run_id: str) -> str:
    """A run, below a server's address."""
    return f"#/experiments/{experiment_id}/runs/{run_id}"


def _check_sqlite(uri: str, *, made_later: bool) -> None:
    file = sqlite_file(uri)
    if not file.is_absolute():
        raise InputError(
            f"tracking.uri: {masked(uri)} is relative and would move with the working directory; "
            f"write {sqlite_address(file.absolute())}"
        )
    mount = mount_of(file)
    if mount is not None and mount.network:
        raise InputError(
            f"tracking.uri: the SQLite file {file} is on {mount.kind} ({mount.source} at {mount.point}), a "
            "network file system, whose locks are not to be relied on; start `mlflow server` and give "
            "tracking.uri=http://HOST:5000, or a file on a disk of this machine"
        )
    folder = file.parent
    while made_later and not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(
            f"tracking.uri: folder {folder} is missing or cannot be written; make it or choose another"
        )
    if file.exists() and not _is_database(file):
        raise InputError(
            f"tracking.uri: {file} is no SQLite database that can be written; choose another file"
        )
    if problem := refusal(file, look(file)):
        raise InputError(f"tracking.uri: {problem}")


def _is_database(file: Path) -> bool:
    if not file.is_file() or not os.access(file, os.R_OK | os.W_OK):
        return False
    with file.open("rb") as content:
        return content.read(len(SQLITE_MAGIC)) in (b"", SQLITE_MAGIC)
