"""The mirror: brings a sweep's runs in MLflow to what the journal says, while it grows or afterwards.

It follows the journal's file and nothing else, in a thread of its own, so a slow or dead server never
holds up a trial. Each pass compares what should be there with what is: the live mirror, `sync` and the
repair after a crash are the same code.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from bios_sweep.errors import BiosSweepError, InputError, StorageError, TrackingError, WorkspaceBusyError
from bios_sweep.mirror.addresses import default_tracking_uri, is_web, sqlite_file
from bios_sweep.mirror.content import (
    FINISHED,
    RunContent,
    as_guest,
    child_content,
    experiment_note,
    has_run,
    parent_content,
    shared_view,
    sweep_tag,
)
from bios_sweep.mirror.cursor import await_all, awaited, drop_cursors, read_cursor, uri_hash, write_cursor
from bios_sweep.mirror.mlflow.ready import ready_store
from bios_sweep.mirror.mlflow.schema import is_current
from bios_sweep.mirror.mlflow.store import KnownRun, MlflowStore, folder_files
from bios_sweep.records.journal import JournalTail
from bios_sweep.records.lock import live_owner
from bios_sweep.records.replay import Entry, advance
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.records.trial_state import RUNNING, TrialState
from bios_sweep.records.workspace import Workspace
from bios_sweep.sealed import unlike
from bios_sweep.secrecy import masked
from bios_sweep.study.trials import short_hash

POLL_SECONDS = 0.5  # chosen, not measured: people look at charts, not at milliseconds
FIRST_DELAY_SECONDS = 0.5  # chosen: back-off doubles from here ...
LONGEST_DELAY_SECONDS = 15.0  # ... to here, so that a server back after a break is soon caught up with
SYNC_TRIES = 3
LOCK_SECONDS = 60.0  # chosen: another `sync` of a full sweep takes less
OTHER_SIDE = (MlflowException, SQLAlchemyError, OSError, TrackingError)

_log = logging.getLogger(__name__)


class MlflowMirror:
    """Mirrors one sweep into one experiment of one tracking store (a `ports.Recorder`).

    problem: why the other side does not follow at the moment, without secrets; empty when it does.
    """

    def __init__(self, workspace: Workspace, sweep_id: str, tracking_uri: str, experiment_name: str) -> None:
        self._workspace = workspace
        self._sweep_id = sweep_id
        self._uri = tracking_uri
        self._follower = Follower(workspace, sweep_id, tracking_uri, experiment_name)
        self._ready = False
        self._awaited: list[str] = []
        self._lock_file = workspace.root / f"mirror-{uri_hash(tracking_uri)}.lock"
        self._finishing = threading.Event()
        self._given_up = threading.Event()
        self._caught_up = False
        self._thread = threading.Thread(target=self._follow, name="mlflow-mirror", daemon=True)
        self.problem = ""

    def start(self) -> None:
        """Begin to follow the journal in the background."""
        self._thread.start()

    def finish(self, timeout_seconds: float) -> bool:
        """Catch up with the journal and end; False when the other side did not follow in time.

        Nothing is lost then: the journal has it, and `sync` brings it over later.
        """
        self._finishing.set()
        self._thread.join(timeout_seconds)
        self._given_up.set()
        return self._caught_up

    def sync(self) -> None:
        """Compare everything with MLflow, here and now, and bring over what is missing.

        Trials in flight without a live driver become KILLED, until a run takes them up again.

        Raises:
            WorkspaceBusyError: a live driver is mirroring to the same place.
            TrackingError: the other side does not answer; nothing is lost.
            InputError: the store is half-migrated and not the workspace's own, or cannot be used at all.
        """
        owner = live_owner(self._workspace)
        try:
            with self._locked(0.0 if owner else LOCK_SECONDS):
                self._bring_over(alive=owner is not None and owner.sweep_id == self._sweep_id)
        except Timeout:
            raise WorkspaceBusyError(
                f"workspace {self._workspace.root}: {owner or 'another process'} is mirroring to the same "
                "tracking store; it catches up by itself, or run `bios-sweep sync` when it has ended"
            ) from None

    def _bring_over(self, *, alive: bool) -> None:
        self._follower.recheck()
        for attempt in range(1, SYNC_TRIES + 1):
            try:
                self._catch_up(alive=alive)
                while self._awaited:
                    self._catch_up(alive=alive)
            except OTHER_SIDE as error:
                self._failed(error)
                if attempt == SYNC_TRIES:
                    raise TrackingError(
                        f"{self._follower.shown_uri} does not follow: {self.problem}; "
                        "the journal has everything, run `bios-sweep sync` when it answers"
                    ) from error
                self._given_up.wait(FIRST_DELAY_SECONDS * attempt)
            else:
                return

    def _follow(self) -> None:
        try:
            with self._locked(-1.0):
                self._loop()
        except (Timeout, OSError, BiosSweepError) as error:
            self.problem = masked(str(error))
            _log.warning("the mirror stopped: %s", self.problem)

    def _loop(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while not self._given_up.is_set():
            last = self._finishing.is_set()
            if self._pass(alive=not last):
                delay = FIRST_DELAY_SECONDS
                if self._awaited:
                    continue
                self._caught_up = last
                if last:
                    return
                self._finishing.wait(POLL_SECONDS)
            else:
                (self._given_up if last else self._finishing).wait(min(delay, 1.0) if last else delay)
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)

    def _pass(self, *, alive: bool) -> bool:
        """One try; what goes wrong over there, whatever it is, must not end the mirror."""
        try:
            self._catch_up(alive=alive)
        except (StorageError, InputError):  # those stay as they are
            raise
        except Exception as error:  # noqa: BLE001 - stores and plugins raise errors of their own
            self._failed(error)
            return False
        self.problem = ""
        return True

    def _catch_up(self, *, alive: bool) -> None:
        """Our sweep first, then one of those that a store made anew has lost."""
        if not self._ready:
            self._make_ready()
        self._follower.catch_up(alive=alive)
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
            Follower(self._workspace, sweep_id, self._uri).catch_up(alive=alive)
        except StorageError as error:
            _log.warning("sweep %s is not brought over: %s", sweep_id, error)

    def _failed(self, error: Exception) -> None:
        self._ready = False
        self._follower.forget()
        problem = _one_line(error)
        if problem != self.problem:
            _log.warning("%s does not follow, tried again: %s", self._follower.shown_uri, problem)
        self.problem = problem

    @contextmanager
    def _locked(self, timeout: float) -> Iterator[None]:
        """Alone towards this store: two that look for a missing run at once would both make it."""
        self._workspace.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock_file, thread_local=False)
        with lock.acquire(timeout=timeout, poll_interval=0.05, cancel_check=self._given_up.is_set):
            yield


class Follower:
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
        self._connection: tuple[MlflowStore, KnownRun, dict[str, KnownRun]] | None = None
        self._doubtful = False

    @property
    def shown_uri(self) -> str:
        """The address without secrets."""
        return masked(self._uri)

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
        for key in list(self._due):
            if has_run(state.trials[key]):
                self._push_trial(store, parent, children, state.trials[key], alive=alive)
            del self._due[key]
        self._push_sweep(store, parent, alive=alive)
        if self._doubtful and state.closed:
            store.find_sweep(self._sweep_id)  # a look removes doubles
            store.trials_of(sweep_tag(self._sweep_id))
            self._doubtful = False
        self._done = state.seq
        self._write_cursor(store, parent)

    def _take(self, entry: Entry) -> None:
        if entry.kind == "closed":
            touched = [key for key, trial in self._state.trials.items() if trial.status == RUNNING]
        else:
            touched = [entry.fields["key"]] if "key" in entry.fields else []
        self._state = advance(self._state, entry)
        if entry.seq > self._done:
            self._due.update(dict.fromkeys(touched))

    def _connect(self, *, alive: bool) -> tuple[MlflowStore, KnownRun, dict[str, KnownRun]]:
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

    def _push_trial(
        self,
        store: MlflowStore,
        parent: KnownRun,
        children: dict[str, KnownRun],
        trial: TrialState,
        *,
        alive: bool,
    ) -> None:
        key = trial.spec.key
        content = child_content(self._state, trial, parent.run_id, alive=alive)
        known = children.get(key) or store.find_trial(key)
        if known is None:
            known = store.create(content)
        children[key] = known
        store.push(known, _allowed(known, content, self._sweep_id))
        folder = self._workspace.root / trial.kept
        if trial.kept and folder.is_dir() and self._is_whole(folder, trial):
            files, digest = folder_files(folder, "adapter")
            store.upload(known, files, tag="adapter", digest=digest)

    def _is_whole(self, folder: Path, trial: TrialState) -> bool:
        """Whether an adapter is as its worker wrote it; a damaged one is named and not handed on."""
        files = {} if trial.result is None else trial.result.files
        ours = {name: digest for name, digest in files.items() if name.startswith(f"{folder.name}/")}
        wrong = unlike(folder.parent, ours)
        if wrong is not None:
            _log.warning("%s: %s; it is not uploaded", folder.parent / wrong[0], wrong[1])
        return wrong is None

    def _push_sweep(self, store: MlflowStore, parent: KnownRun, *, alive: bool) -> None:
        """The sweep's run last, so that it is FINISHED only when all below it is there."""
        state = self._state
        folder = self._workspace.sweep_dir(self._sweep_id)
        files = {name: folder / name for name in state.report if (folder / name).is_file()}
        if files:
            store.upload(parent, files, tag="report", digest=short_hash(dict(state.report)))
        store.push(parent, parent_content(state, alive=alive))
        store.note_experiment(experiment_note(state), state.verdicts[-1].time if state.verdicts else 0)
        store.save_view(*shared_view(self._sweep_id, state.started, state.facts["metric"]))

    def _read_cursor(self) -> int:
        """The last entry brought over by an earlier process; 0 when unknown or the store is not ready."""
        if not is_web(self._uri) and not is_current(sqlite_file(self._uri)):
            return 0
        seq = read_cursor(self._workspace, self._sweep_id, self._uri).get("seq")
        return seq if isinstance(seq, int) else 0

    def _write_cursor(self, store: MlflowStore, parent: KnownRun) -> None:
        place = {"experiment_id": store.experiment_id, "run_id": parent.run_id, "seq": self._done}
        write_cursor(self._workspace, self._sweep_id, self._uri, **place)


def _allowed(known: KnownRun, content: RunContent, sweep_id: str) -> RunContent:
    """What this sweep may say on a run: all on its own, unless another sweep has finished it meanwhile."""
    finished = known.status == FINISHED
    if known.creator != sweep_id or (finished and not content.settled):
        return as_guest(content, sweep_id, finished=finished)
    return content


def _artifact_location(uri: str) -> str | None:
    """Beside an SQLite store, for MLflow would use the working directory; a server knows its own place."""
    return None if is_web(uri) else (sqlite_file(uri).parent / "mlartifacts").as_uri()


def _one_line(error: Exception) -> str:
    text = masked(str(error)).strip() or type(error).__name__
    return text.splitlines()[0][:300]
