"""MLflow's side of a sweep, brought to what its journal says; and of the sweeps that a new store has lost."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from bios_sweep.errors import StorageError, TrackingError
from bios_sweep.mirror.content import (
    NOTE,
    RunContent,
    RunStatus,
    as_guest,
    child_content,
    has_run,
    parent_content,
    sweep_tag,
)
from bios_sweep.mirror.cursor import await_all, awaited, drop_cursors, read_cursor, write_cursor
from bios_sweep.mirror.mlflow.moved import bring_home
from bios_sweep.mirror.mlflow.ready import ready_store
from bios_sweep.mirror.mlflow.schema import is_current, sqlite_file
from bios_sweep.mirror.mlflow.shared_view import shared_view, varied
from bios_sweep.mirror.mlflow.store import ARMS_FILE, ArtifactError, MirroredRun, MlflowStore, folder_files
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri, is_web, page_of_run, store_trouble
from bios_sweep.mirror.mlflow.troubles import of_answer, of_artifacts
from bios_sweep.mirror.mlflow.web import WAY_IN
from bios_sweep.mirror.recorder import JournalRecorder
from bios_sweep.records.lock import live_owner
from bios_sweep.records.reading import JournalTail
from bios_sweep.records.replay import Entry, advance
from bios_sweep.records.sweep_state import RUNNING, SweepState, TrialState
from bios_sweep.records.trial_logs import text_of
from bios_sweep.records.workspace import Workspace
from bios_sweep.sealed import unlike
from bios_sweep.secrecy import masked
from bios_sweep.study.trials import short_hash
from bios_sweep.trouble import Trouble, TroubleError

LOG_FILE = "log.txt"  # of a trial's run, among its artifacts
AS_TABLE = {"mlflow.loggedArtifacts": json.dumps([{"path": ARMS_FILE, "type": "table"}])}

_log = logging.getLogger(__name__)


class SweepFollower:
    """Where the mirror stands: the journal read so far, the runs known, the trials still to be brought over.

    The cursor file only saves looking at what an earlier process brought over; the truth of what is in
    MLflow are the tags there.
    """

    def __init__(self, workspace: Workspace, sweep_id: str, uri: str, experiment_name: str = "") -> None:
        self._workspace = workspace
        self._sweep_id = sweep_id
        self._uri = uri
        self._experiment_name = experiment_name
        self._tail = JournalTail(workspace.journal_file(sweep_id))
        self._state = SweepState()
        self._due: dict[str, None] = {}
        self._done = self._read_cursor()
        self._connection: tuple[MlflowStore, MirroredRun, dict[str, MirroredRun]] | None = None
        self._doubtful = False
        self._logless = False

    def recheck(self) -> None:
        """Trust no cursor: everything is due again."""
        self._done = 0
        self._due = dict.fromkeys(self._state.trials)

    def forget(self) -> None:
        """After an error nothing is known of the other side; look again before writing."""
        self._connection = None
        self._doubtful = True  # what was asked then may still be done over there, late

    def catch_up(self, *, alive: bool) -> None:
        """Bring over what is new; touch nothing, not even the connection, when nothing is."""
        for entry in self._tail.read():
            self._take(entry)
        state = self._state
        if not state.facts or state.seq <= self._done:
            return
        store, parent, children = self._connect(alive=alive)
        unstored: ArtifactError | None = None
        for key in list(self._due):
            if has_run(state.trials[key]):
                content = child_content(state, state.trials[key], parent.run_id, alive=alive)
                children[key] = children.get(key) or store.find_trial(key) or store.create(content)
                store.push(children[key], _allowed(children[key], content, self._sweep_id))
                try:
                    self._upload_adapter(store, children[key], state.trials[key])
                except ArtifactError as error:  # the numbers of the other trials come over all the same
                    unstored = unstored or error
                    continue
                self._upload_log(store, children[key], state.trials[key])
            del self._due[key]
        if unstored is not None:
            raise unstored
        self._push_sweep(store, parent, alive=alive)
        if self._doubtful and state.closed:
            store.find_sweep(self._sweep_id)  # a look removes doubles
            store.trials_of(sweep_tag(self._sweep_id))
            self._doubtful = False
        self._done = state.seq
        place = {"experiment_id": store.experiment_id, "run_id": parent.run_id, "seq": self._done}
        write_cursor(self._workspace, self._sweep_id, self._uri, **place)

    def _take(self, entry: Entry) -> None:
        if entry.kind == "closed":
            touched = [key for key, trial in self._state.trials.items() if trial.status == RUNNING]
        else:
            touched = [entry.fields["key"]] if "key" in entry.fields else []
        self._state = advance(self._state, entry)
        if entry.seq > self._done:
            self._due.update(dict.fromkeys(touched))

    def _connect(self, *, alive: bool) -> tuple[MlflowStore, MirroredRun, dict[str, MirroredRun]]:
        """The store, the sweep's run (made if missing) and the runs already tagged as this sweep's."""
        if self._connection is None:
            name = self._experiment_name or self._state.facts["scenario"]
            store = MlflowStore(self._uri, name, _artifact_location(self._uri))
            parent = store.find_sweep(self._sweep_id)
            if parent is None:
                self._due = dict.fromkeys(self._state.trials)  # the store was emptied, or never seen
                parent = store.create(parent_content(self._state, alive=alive))
            self._connection = store, parent, store.trials_of(sweep_tag(self._sweep_id))
        return self._connection

    def _upload_adapter(self, store: MlflowStore, known: MirroredRun, trial: TrialState) -> None:
        folder = self._workspace.root / trial.adapter
        if trial.adapter and folder.is_dir() and _is_whole(folder, trial):
            files, digest = folder_files(folder, "adapter")
            store.upload(known, files, tag="adapter", digest=digest)

    def _upload_log(self, store: MlflowStore, known: MirroredRun, trial: TrialState) -> None:
        """What an ended trial wrote down, as one text. A store that takes no files goes without."""
        if trial.result is None or self._logless:
            return
        text = text_of(self._workspace.trial_dir(trial.spec.key))
        if not text:
            return
        page = f"{page_of_run(store.experiment_id, known.run_id)}/artifacts/{LOG_FILE}"
        note = {NOTE: f"[what it wrote down]({page})"}
        with TemporaryDirectory() as folder:
            file = Path(folder) / LOG_FILE
            file.write_text(text, encoding="utf-8")
            try:
                store.upload(known, {LOG_FILE: file}, tag="log", digest=short_hash(text), beside=note)
            except ArtifactError as error:
                self._logless = True
                _log.warning("logs of trials are not uploaded: %s", error)

    def _push_sweep(self, store: MlflowStore, parent: MirroredRun, *, alive: bool) -> None:
        """The sweep's run last, so that it is FINISHED only when all below it is there."""
        state = self._state
        folder = self._workspace.sweep_dir(self._sweep_id)
        files = {name: folder / name for name in state.report if (folder / name).is_file()}
        if files:
            store.upload(parent, files, tag="report", digest=short_hash(dict(state.report)))
        content = parent_content(state, alive=alive)
        self._upload_arms(store, parent, content)
        store.push(parent, content)
        store.note_experiment(state, state.verdicts[-1].time if state.verdicts else 0)
        store.save_view(*shared_view(self._sweep_id, state.started, state.facts["metric"], varied(state)))

    def _upload_arms(self, store: MlflowStore, parent: MirroredRun, content: RunContent) -> None:
        """The arms as MLflow's pages show a table; its own `log_table` adds to what is there."""
        if not content.arms:
            return
        table = {"columns": list(content.arms[0]), "data": [list(row.values()) for row in content.arms]}
        text = json.dumps(table)
        with TemporaryDirectory() as folder:
            file = Path(folder) / ARMS_FILE
            file.write_text(text, encoding="utf-8")
            store.upload(parent, {ARMS_FILE: file}, tag="arms", digest=short_hash(text), beside=AS_TABLE)

    def _read_cursor(self) -> int:
        """The last entry brought over by an earlier process; 0 when unknown or the store is not ready."""
        if not is_web(self._uri) and not is_current(sqlite_file(self._uri)):
            return 0
        seq = read_cursor(self._workspace, self._sweep_id, self._uri).get("seq")
        return seq if isinstance(seq, int) else 0


class MlflowFollower(SweepFollower):
    """A `mirror.recorder.Follower` into one experiment of one tracking store, which it makes ready first."""

    errors = (MlflowException, SQLAlchemyError, OSError, TrackingError)

    def __init__(self, workspace: Workspace, sweep_id: str, uri: str, experiment_name: str) -> None:
        super().__init__(workspace, sweep_id, uri, experiment_name)
        self._ready = False
        self._awaited: list[str] = []
        self.shown = masked(uri)

    @property
    def more(self) -> bool:
        """Whether sweeps that the store has lost wait to be brought back."""
        return bool(self._awaited)

    def forget(self) -> None:
        """After an error nothing is known of the store; it is made ready again before it is written to."""
        self._ready = False
        super().forget()

    def trouble(self, error: Exception) -> Trouble:
        """The store itself is asked what is the matter with it: errors come through many libraries."""
        if isinstance(error, TroubleError):
            return error.trouble
        found = store_trouble(self._uri, self._workspace, self._experiment_name)
        if found is not None:
            return found
        if isinstance(error, ArtifactError):
            cause = error.__cause__
            return of_artifacts(self.shown, cause if isinstance(cause, Exception) else error)
        status = error.get_http_status_code() if isinstance(error, MlflowException) else 500
        return of_answer(self.shown, error, status, WAY_IN)

    def catch_up(self, *, alive: bool) -> None:
        """Our sweep first, then one of those that a store made anew has lost."""
        if not self._ready:
            self._make_ready()
        super().catch_up(alive=alive)
        if self._awaited:
            self._bring_back(self._awaited[0])
            del self._awaited[0]

    def _make_ready(self) -> None:
        """A half-migrated store of the workspace's own makes way for a new one: the journals have it all."""
        ours = self._uri == default_tracking_uri(self._workspace)
        start_over = partial(await_all, self._workspace, self._uri)
        empty, aside = ready_store(self._uri, ours=ours, start_over=start_over if ours else None)
        if aside is not None:
            _log.warning(
                "%s was left half-migrated by an MLflow that was killed; it is kept as %s, and a new store "
                "is filled from the journals of the workspace",
                sqlite_file(self._uri),
                aside.name,
            )
        if ours:
            bring_home(self._workspace)
        if empty:
            drop_cursors(self._workspace, self._uri)
        self._awaited = [one for one in awaited(self._workspace, self._uri) if one != self._sweep_id]
        self._ready = True

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


def _is_whole(folder: Path, trial: TrialState) -> bool:
    """Whether an adapter is as its worker wrote it; a damaged one is named and not handed on."""
    files = {} if trial.result is None else trial.result.files
    ours = {name: digest for name, digest in files.items() if name.startswith(f"{folder.name}/")}
    wrong = unlike(folder.parent, ours)
    if wrong is not None:
        _log.warning("%s: %s; it is not uploaded", folder.parent / wrong[0], wrong[1])
    return wrong is None


def _allowed(known: MirroredRun, content: RunContent, sweep_id: str) -> RunContent:
    """What this sweep may say on a run: all on its own, unless another sweep has finished it meanwhile."""
    finished = known.status == RunStatus.FINISHED
    if known.creator != sweep_id or (finished and not content.settled):
        return as_guest(content, sweep_id, finished=finished)
    return content


def _artifact_location(uri: str) -> str | None:
    """Beside an SQLite store, for MLflow would use the working directory; a server knows its own place."""
    return None if is_web(uri) else (sqlite_file(uri).parent / "mlartifacts").as_uri()
