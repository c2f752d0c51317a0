"""The MLflow side of a command: which store, whether it answers, what is new for it, where to look."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bios_sweep.config.compose import Config
from bios_sweep.errors import ConfigError
from bios_sweep.mirror.addresses import check_tracking, default_tracking_uri, is_web, sqlite_file, ui_link
from bios_sweep.mirror.cursor import awaited, read_cursor
from bios_sweep.mirror.mlflow.ready import ready_store
from bios_sweep.mirror.mlflow.schema import BEHIND, is_current, look
from bios_sweep.mirror.web import sign_in
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked

if TYPE_CHECKING:
    from bios_sweep.driver.sweep import Sweep
    from bios_sweep.mirror.mlflow.mirror import MlflowMirror

LOCAL_UI = "http://127.0.0.1:5000"


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """The configured tracking store; `uri` is None where tracking is off, and never holds credentials.

    options: the overrides that say where it is, for the commands that are printed.
    """

    uri: str | None
    workspace: Workspace
    flush_seconds: float
    options: str = ""

    @property
    def shown(self) -> str:
        """The address without secrets."""
        return "" if self.uri is None else masked(self.uri)

    def check(self) -> None:
        """Refuse a store that does not answer or cannot be used, before anything is started.

        A user's own store of an older MLflow is upgraded here, for only the attempt shows whether it can be.
        The workspace's own waits for the mirror, which may replace it.
        """
        if self.uri is None:
            return
        check_tracking(self.uri, self.workspace)
        ours = self.uri == default_tracking_uri(self.workspace)
        if not ours and not is_web(self.uri) and look(sqlite_file(self.uri)).kind == BEHIND:
            ready_store(self.uri)

    def mirror(self, sweep: Sweep, last_entry: int) -> MlflowMirror | None:
        """A mirror, not yet started, or None where MLflow has everything up to `last_entry` of the journal.

        MLflow is imported here and nowhere earlier: it takes seconds.
        """
        if self.uri is None:
            return None
        done = read_cursor(self.workspace, sweep.plan.sweep_id, self.uri).get("seq")
        ready = is_web(self.uri) or is_current(sqlite_file(self.uri))
        if done == last_entry and ready and not awaited(self.workspace, self.uri):
            return None
        from bios_sweep.mirror.mlflow.mirror import MlflowMirror

        return MlflowMirror(self.workspace, sweep.plan.sweep_id, self.uri, sweep.plan.study.scenario.name)

    def link(self, sweep_id: str) -> str:
        """One line: where to look at the sweep."""
        if self.uri is None:
            return "MLflow: off"
        experiment = str(read_cursor(self.workspace, sweep_id, self.uri).get("experiment_id", ""))
        if is_web(self.uri):
            return f"MLflow: {ui_link(self.shown, experiment, view=sweep_id)}"
        link = ui_link(LOCAL_UI, experiment, view=sweep_id)
        return f"MLflow: start `bios-sweep ui{self.options}`, then {link}"


def tracking_of(config: Config, workspace: Workspace) -> Tracking:
    """The tracking group's meaning.

    A user and password in a server's address move into MLflow's own variables here, before anything could
    print them, or hand the address to workers.

    Raises:
        ConfigError: a value of the wrong kind.
    """
    values = config.values["tracking"]
    seconds = values["flush_seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ConfigError(f"tracking.flush_seconds: {seconds!r} is not allowed; a number of at least 0")
    if not isinstance(values["enabled"], bool):
        raise ConfigError(f"tracking.enabled: {values['enabled']!r} is not allowed; true or false")
    if values["uri"] and not values["enabled"]:
        raise ConfigError("tracking.uri: is given but tracking is off; add tracking=sqlite, or leave it out")
    uri = str(values["uri"]) if values["uri"] else default_tracking_uri(workspace)
    if is_web(uri):
        uri = sign_in(uri)
    return Tracking(
        uri=uri if values["enabled"] else None,
        workspace=workspace,
        flush_seconds=float(seconds),
        options="".join(f" {shlex.quote(place)}" for place in _places(config, uri)),
    )


def _places(config: Config, uri: str) -> list[str]:
    """The overrides that say where things are, as they can be typed again; credentials come by variables."""
    named = [text for text in config.overrides if text.startswith(("workspace=", "tracking"))]
    return [f"tracking.uri={masked(uri)}" if text.startswith("tracking.uri=") else text for text in named]
