"""MLflow as a tracker: an SQLite file or a server. Light: MLflow itself is loaded where it records."""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.mirror.cursor import awaited, read_cursor
from bios_sweep.mirror.mlflow.addresses import check_tracking, default_tracking_uri, is_web, ui_link
from bios_sweep.mirror.mlflow.schema import BEHIND, is_current, look, ready_store, sqlite_file
from bios_sweep.ports import Recorder
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked

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
        experiment = str(read_cursor(self.workspace, sweep_id, self.uri).get("experiment_id", ""))
        if is_web(self.uri):
            return f"MLflow: {ui_link(masked(self.uri), experiment, view=sweep_id)}"
        link = ui_link(LOCAL_UI, experiment, view=sweep_id)
        return f"MLflow: start `bios-sweep ui{options}`, then {link}"
