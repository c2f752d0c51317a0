"""`RayTuneExecutor`: trials on the workers of a Ray cluster, through one `Tuner.fit` per run.

The driver decides (`dispatch`), the slots work (`ray_slot`), Ray Tune starts the slots, carries their
reports and restarts those that die. Reports arrive in the driver's thread, so `record` runs there.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ray
from ray import tune
from ray.tune.logger import JsonLoggerCallback
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bios_sweep.errors import BiosSweepError, ClusterError
from bios_sweep.execution.attempts import describe
from bios_sweep.execution.dispatch import Dispatch
from bios_sweep.execution.gpus import gpus_here
from bios_sweep.execution.placement import Node, place_slots, slots_on
from bios_sweep.execution.preflight import judge
from bios_sweep.execution.probing import Probing
from bios_sweep.execution.ray.bridge import Bridge
from bios_sweep.execution.ray.cluster import (
    close_cluster,
    nodes_alive,
    open_cluster,
    quiet_environment,
    restored_signals,
)
from bios_sweep.execution.ray.losses import HeadWatch, every_loss_is_a_death, node_answers
from bios_sweep.execution.ray.mailbox import Mailbox
from bios_sweep.execution.ray.slot import WorkerSlot
from bios_sweep.execution.ray.start import (
    CapacityWatch,
    gpus_on_nodes,
    left_for_nodes,
    look_on_nodes,
)
from bios_sweep.execution.sessions import DeadSession, note_session
from bios_sweep.execution.transfer.attempt_files import ATTEMPTS_FOLDER, FileTransfer
from bios_sweep.ports import EventSink, Options, PreflightLine, Probe, TrialSource
from bios_sweep.request import Request
from bios_sweep.secrecy import keep_secret

SILENCE_SECONDS = 30.0  # chosen, not measured: a thread that gets no turn for that long is no worker's
BEATS = 6  # signs of life per limit, so that one lost on the way is no silence; chosen
RESTART_ALWAYS = -1  # a slot may die often in a long run; each trial's attempts are counted in `dispatch`


class RayTuneExecutor:
    """Runs trials side by side on a local Ray or an existing cluster; survives workers that die.

    storage_dir: absolute folder inside the workspace for Tune's own files, removed after a good run with the
    folder of a Ray session that was ours, which is noted there (`sessions`).
    environment: variables that every worker gets; they may be secrets, so they go from process to process
    and into no file or log. silence_seconds: a worker that gives no sign of life for longer loses its trial
    to another; a storage may fail as long before it costs a try. `idle_seconds`: after `run`, seconds each
    slot spent without a job since it was first ready.
    """

    def __init__(
        self,
        request: Request,
        *,
        storage_dir: Path,
        environment: Mapping[str, str] = MappingProxyType({}),
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._request = request
        self._storage_dir = Path(storage_dir).absolute()
        self._environment = dict(environment)
        keep_secret(self._environment)
        self._silence_seconds = silence_seconds
        self._ours = False
        self._session: DeadSession | None = None
        self.idle_seconds: dict[int, float] = {}

    def check(self) -> str:
        """Start or join Ray and say what will run where. Leaves Ray up for `run`; see `close`.

        Raises:
            ClusterError: no cluster answers, or one trial fits on no node: needed against offered.
        """
        slots, request = len(self._open()), self._request
        place = "local Ray" if request.address is None else f"Ray at {request.address}"
        gpu = f" + {request.gpus_per_trial:g} GPU" if request.gpus_per_trial else ""
        workers = "1 worker" if slots == 1 else f"{slots} workers"
        return f"{place}: {workers} x {request.cpus_per_trial} CPU{gpu}"

    def gpus(self, looker: str) -> tuple[Mapping[str, Any], ...]:
        """Those of this machine, or of every node of the cluster where a trial may run. Leaves Ray up."""
        if self._request.address is None:
            return gpus_here(looker)
        self._open()
        nodes = [node for node in nodes_alive() if slots_on(self._request, node.resources)]
        with self._closed_on_error(), restored_signals():
            return gpus_on_nodes(nodes, looker, self._environment)

    def preflight(self, wanted: Mapping[str, Any]) -> tuple[PreflightLine, ...]:
        """What every node where a trial may run has of what trials need. Leaves Ray up.

        A local Ray has one node, this one, and nothing to compare. A node that was just lost is not asked,
        though Ray lists it for a while. wanted: see `execution.preflight`.

        Raises:
            StorageError: the driver itself cannot write where trial files are kept.
        """
        self._open()
        files = self._storage_for(Path(wanted["trials_dir"]))
        if files is None or self._request.address is None:
            return ()
        nodes = [
            node
            for node in nodes_alive()
            if slots_on(self._request, node.resources) and node_answers(node.id)
        ]
        with self._closed_on_error(), restored_signals(), left_for_nodes(wanted, files) as facts:
            return judge(look_on_nodes(nodes, facts, self._environment), {**wanted, "files": files})

    def close(self) -> None:
        """Shut Ray down if this executor started or joined it."""
        if self._ours:
            self._ours = False
            with restored_signals():
                close_cluster()

    def run(
        self,
        source: TrialSource,
        record: EventSink,
        engine: str,
        engine_options: Options,
        trials_dir: Path,
        probe: Probe | None = None,
    ) -> None:
        """Run trials until the source is closed or stopping and none runs; then shut down what was started.

        Raises:
            BiosSweepError: an engine cannot be built or timed, workers die before they are ready, or the
                source is open but offers nothing.
            ClusterError: see `check`.
        """
        most = self._request.max_attempts
        dispatch = Dispatch(source, record, max_attempts=most, clock=time.monotonic)
        if probe is None and dispatch.finished():
            self.close()
            return
        try:
            seats = self._open()
            name = f"slots-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
            folder = Path(trials_dir).absolute()
            storage = self._storage_for(folder)
            transfer = None if storage is None else FileTransfer(storage, folder, run=name)
            bridge = Bridge(
                dispatch,
                Probing(probe, workers=len(seats), max_attempts=most),
                slots=len(seats),
                transfer=transfer,
                silence_seconds=self._silence_seconds,
            )
            config = {
                "engine": engine,
                "engine_options": dict(engine_options),
                "trials_dir": str(folder),
                "threads": self._request.cpus_per_trial,
                "storage": storage,
                "beat_seconds": self._silence_seconds / BEATS,
                "pause_seconds": self._silence_seconds,
            }
            with HeadWatch(ray.get_runtime_context().gcs_address, bridge.fail):
                try:
                    self._fit(name, bridge, config, seats)
                finally:
                    self.close()  # which waits for the head, too
            bridge.raise_failure()
            if self._session is not None:
                self._session.remove()
        finally:
            self.idle_seconds = dispatch.idle_seconds()
            self.close()

    def _open(self) -> tuple[Node, ...]:
        """The node where each slot should start."""
        quiet_environment()
        opened = open_cluster(self._request)
        self._ours = opened is not None or self._ours
        if opened is not None and opened.folder is not None:
            self._session = note_session(self._storage_dir, opened.folder)
        try:
            return place_slots(self._request, nodes_alive())
        except ClusterError:
            self.close()
            raise

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """Ray goes down with what failed on it; else it stays up for `run`."""
        with HeadWatch(ray.get_runtime_context().gcs_address):
            try:
                yield
            except BaseException:
                self.close()
                raise

    def _storage_for(self, trials_dir: Path) -> str | None:
        """The storage through which trial files travel; None on this machine alone, where they stay put."""
        storage = self._request.storage
        if storage is None and self._request.address is None:
            return None
        return storage or str(trials_dir.with_name(ATTEMPTS_FOLDER))

    def _fit(self, name: str, bridge: Bridge, config: dict[str, Any], seats: Sequence[Node]) -> None:
        mailbox = _start_mailbox(name, self._environment)
        bridge.connect(mailbox)
        tuner = tune.Tuner(
            tune.with_resources(WorkerSlot, partial(_seat, self._request, seats)),
            param_space={**config, "mailbox": name, "slot": tune.grid_search(list(range(len(seats))))},
            tune_config=tune.TuneConfig(reuse_actors=False),
            run_config=tune.RunConfig(
                name=name,
                storage_path=str(self._storage_dir),
                verbose=0,
                stop=bridge,
                callbacks=[bridge, CapacityWatch(self._request, mailbox), JsonLoggerCallback()],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the engines keep theirs
                failure_config=tune.FailureConfig(max_failures=RESTART_ALWAYS),
            ),
        )
        try:
            with restored_signals(), every_loss_is_a_death():
                tuner.fit()
        except (tune.TuneError, ray.exceptions.RayError) as error:
            bridge.raise_failure()
            raise BiosSweepError(
                f"Ray Tune gave up: {describe(error)}; see {self._storage_dir / name}"
            ) from error
        finally:
            ray.kill(mailbox)
        shutil.rmtree(self._storage_dir / name, ignore_errors=True)


def _seat(request: Request, seats: Sequence[Node], config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What a slot takes and where it should start; Ray starts it elsewhere when that node is gone or full."""
    there = seats[config["slot"]].id
    return tune.PlacementGroupFactory([request.bundle], strategy="STRICT_PACK", _soft_target_node_id=there)


def _start_mailbox(name: str, environment: dict[str, str]) -> Any:
    """On the driver's own node: it must live exactly as long as the driver."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Mailbox).options(num_cpus=0, name=name, scheduling_strategy=here).remote(environment)
