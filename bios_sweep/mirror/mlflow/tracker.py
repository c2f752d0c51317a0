"""MLflow as a tracker, an SQLite file or a server: which addresses are usable, and links into the UI.

Light on purpose: a wrong address must be refused before seconds are spent importing MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from bios_sweep.errors import InputError
from bios_sweep.mirror.cursor import awaited, read_cursor
from bios_sweep.mirror.mlflow.asked import check_file, check_files_of, locked_now, require_kept
from bios_sweep.mirror.mlflow.ready import ready_store
from bios_sweep.mirror.mlflow.schema import (
    BEHIND,
    experiment_in_file,
    is_current,
    look,
    sqlite_address,
    sqlite_file,
)
from bios_sweep.ports import Recorder
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked
from bios_sweep.trouble import Trouble, TroubleError

WEB = ("http", "https")
LOCAL_UI = "http://127.0.0.1:5000"


@dataclass(frozen=True)
class MlflowTracker:
    """One tracking store; `uri` never holds credentials."""

    uri: str
    workspace: Workspace

    def check(self, experiment: str = "") -> None:
        """Refuse a store that does not answer or cannot be used, before anything is started.

        A user's own store of an older MLflow is upgraded here, for only the attempt shows whether it can be.
        The workspace's own waits for the mirror, which may replace it.
        """
        check_tracking(self.uri, self.workspace, experiment)
        ours = self.uri == default_tracking_uri(self.workspace)
        if not ours and not is_web(self.uri) and look(sqlite_file(self.uri)).kind == BEHIND:
            ready_store(self.uri)

    def trouble(self, experiment: str = "") -> Trouble | None:
        """What is wrong with the store now, and a lock too, for which a run would wait; writes nothing."""
        return store_trouble(self.uri, self.workspace, experiment)

    def knows(self, sweep_id: str) -> bool:
        """Whether this store was given anything of the sweep before."""
        return bool(read_cursor(self.workspace, sweep_id, self.uri).get("run_id"))

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


def check_tracking(uri: str, workspace: Workspace | None = None, experiment: str = "") -> None:
    """Refuse an address that cannot be used, within seconds and without leaving a trace anywhere.

    With `workspace`, its own store may be missing: it is made together with the workspace. A file that
    somebody has locked passes: it may be free when the mirror comes.

    Raises:
        TroubleError: no answer, not MLflow, a newer MLflow's or another program's database, something that
            cannot be written, or `experiment` was deleted there.
        InputError: an unknown kind of address.
    """
    scheme = urlsplit(uri).scheme
    if scheme in WEB:
        # loads TLS, which a store in a file needs not
        from bios_sweep.mirror.mlflow.web import check_server, experiment_on_server

        check_server(uri)
        require_kept(masked(uri), experiment, experiment_on_server(uri, experiment) if experiment else None)
    elif scheme == "sqlite":
        ours = workspace is not None and uri == default_tracking_uri(workspace)
        check_file(uri, made_later=ours)
        found = experiment_in_file(sqlite_file(uri), experiment) if experiment else None
        require_kept(masked(uri), experiment, found and found[:2])
        elsewhere = found is not None and not ours  # our own is told where its files lie now
        check_files_of(sqlite_file(uri), found[2] if found and elsewhere else "")
    else:
        raise InputError(
            f"tracking.uri: {masked(uri)!r} is not supported; give http(s)://HOST:PORT of an MLflow server "
            "(a database such as PostgreSQL goes behind one), sqlite:////ABSOLUTE/PATH/mlflow.db or "
            "jsonl:///ABSOLUTE/FOLDER for files without MLflow"
        )


def store_trouble(uri: str, workspace: Workspace | None = None, experiment: str = "") -> Trouble | None:
    """The same as a value, and with it a lock; None where the store can be used now."""
    try:
        check_tracking(uri, workspace, experiment)
    except TroubleError as error:
        return error.trouble
    return None if is_web(uri) else locked_now(sqlite_file(uri))


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
