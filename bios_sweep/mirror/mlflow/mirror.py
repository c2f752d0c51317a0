"""The mirror: MLflow's side of a sweep, and of every sweep that a store made anew has lost."""

from __future__ import annotations

import logging

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from bios_sweep.errors import StorageError, TrackingError
from bios_sweep.mirror.cursor import await_all, awaited, drop_cursors
from bios_sweep.mirror.mlflow.addresses import default_tracking_uri, sqlite_file
from bios_sweep.mirror.mlflow.follower import SweepFollower
from bios_sweep.mirror.mlflow.ready import ready_store
from bios_sweep.mirror.recorder import JournalRecorder
from bios_sweep.records.lock import live_owner
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked

OTHER_SIDE = (MlflowException, SQLAlchemyError, OSError, TrackingError)

_log = logging.getLogger(__name__)


class MlflowFollower:
    """A `mirror.recorder.Follower` into one experiment of one tracking store."""

    errors = OTHER_SIDE

    def __init__(self, workspace: Workspace, sweep_id: str, uri: str, experiment_name: str) -> None:
        self._workspace = workspace
        self._sweep_id = sweep_id
        self._uri = uri
        self._own = SweepFollower(workspace, sweep_id, uri, experiment_name)
        self._ready = False
        self._awaited: list[str] = []
        self.shown = masked(uri)

    @property
    def more(self) -> bool:
        """Whether sweeps that the store has lost wait to be brought back."""
        return bool(self._awaited)

    def recheck(self) -> None:
        """Trust no cursor: everything is due again."""
        self._own.recheck()

    def forget(self) -> None:
        """After an error nothing is known of the store; it is made ready again before it is written to."""
        self._ready = False
        self._own.forget()

    def catch_up(self, *, alive: bool) -> None:
        """Our sweep first, then one of those that a store made anew has lost."""
        if not self._ready:
            self._make_ready()
        self._own.catch_up(alive=alive)
        if self._awaited:
            self._bring_back(self._awaited[0])
            del self._awaited[0]

    def _make_ready(self) -> None:
        """A half-migrated store of the workspace's own makes way for a new one: the journals have it all."""
        ours = self._uri == default_tracking_uri(self._workspace)
        empty, aside = ready_store(self._uri, ours=ours, start_over=self._start_over if ours else None)
        if aside is not None:
            _log.warning(
                "%s was left half-migrated by an MLflow that was killed; it is kept as %s, and a new store "
                "is filled from the journals of the workspace",
                sqlite_file(self._uri),
                aside.name,
            )
        if empty:
            drop_cursors(self._workspace, self._uri)
        self._awaited = [one for one in awaited(self._workspace, self._uri) if one != self._sweep_id]
        self._ready = True

    def _start_over(self) -> None:
        await_all(self._workspace, self._uri)

    def _bring_back(self, sweep_id: str) -> None:
        owner = live_owner(self._workspace)
        alive = owner is not None and owner.sweep_id == sweep_id
        try:
            SweepFollower(self._workspace, sweep_id, self._uri).catch_up(alive=alive)
        except StorageError as error:
            _log.warning("sweep %s is not brought over: %s", sweep_id, error)


def mlflow_recorder(workspace: Workspace, sweep_id: str, uri: str, experiment_name: str) -> JournalRecorder:
    """Brings one sweep into one experiment of one tracking store."""
    follower = MlflowFollower(workspace, sweep_id, uri, experiment_name)
    return JournalRecorder(workspace, sweep_id, uri, follower)
