"""`RayTuneExecutor`: trials on the workers of a Ray cluster, through one `Tuner.fit` per run.

The driver decides (`dispatch`), the slots work (`ray_slot`), Ray Tune starts the slots, carries their
reports and restarts those that die. Reports arrive in the driver's thread, so `record` runs there.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bios_sweep.errors import BiosSweepError, ClusterError
from bios_sweep.execution.attempts import describe
from bios_sweep.execution.dispatch import Dispatch
from bios_sweep.execution.ray_cluster import (
    Request,
    count_slots,
    kept_signals,
    open_cluster,
    quiet_environment,
)
from bios_sweep.execution.ray_slot import REPORT, Mailbox, WorkerSlot
from bios_sweep.ports import Record, TrialSource

RESTART_ALWAYS = -1  # a slot may die often in a long run; each trial's attempts are counted in `dispatch`


class RayTuneExecutor:
    """Runs trials side by side on a local Ray or an existing cluster; survives workers that die.

    storage_dir: absolute folder inside the workspace for Tune's own files, removed after a good run.
    max_attempts: tries of a trial whose worker dies; the last loss ends it as failed. The other
    arguments are those of `ray_cluster.Request`. `idle_seconds`: after `run`, seconds each slot spent
    without a job since it was first ready; `start_seconds`: from the start of `run` to the first job.
    """

    def __init__(
        self,
        *,
        storage_dir: Path,
        address: str | None = None,
        cpus_per_trial: int = 1,
        gpus_per_trial: float = 0.0,
        max_concurrent: int | None = None,
        num_cpus: int | None = None,
        max_attempts: int = 3,
    ) -> None:
        if max_attempts < 1:
            raise ClusterError(f"cluster.max_attempts: {max_attempts} is not allowed; at least 1")
        self._request = Request(
            address=address,
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
            max_concurrent=max_concurrent,
            num_cpus=num_cpus,
        )
        self._storage_dir = Path(storage_dir).absolute()
        self._max_attempts = max_attempts
        self._ours = False
        self.idle_seconds: dict[int, float] = {}
        self.start_seconds = 0.0

    def check(self) -> str:
        """Start or join Ray and say what will run where. Leaves Ray up for `run`; see `close`.

        Raises:
            ClusterError: no cluster answers, or one trial fits on no node: needed against offered.
        """
        slots, request = self._open(), self._request
        place = "local Ray" if request.address is None else f"Ray at {request.address}"
        gpu = f" + {request.gpus_per_trial:g} GPU" if request.gpus_per_trial else ""
        workers = "1 worker" if slots == 1 else f"{slots} workers"
        return f"{place}: {workers} x {request.cpus_per_trial} CPU{gpu}"

    def close(self) -> None:
        """Shut Ray down if this executor started or joined it."""
        if self._ours:
            self._ours = False
            with kept_signals():
                ray.shutdown()

    def run(
        self,
        source: TrialSource,
        record: Record,
        *,
        engine: str,
        engine_options: Mapping[str, Any],
        trials_dir: Path,
    ) -> None:
        """Run trials until the source is closed or stopping and none runs; then shut down what was started.

        Raises:
            BiosSweepError: an engine cannot be built, workers die before they are ready, or the
                source is open but offers nothing.
            ClusterError: see `check`.
        """
        began = time.monotonic()
        dispatch = Dispatch(source, record, max_attempts=self._max_attempts, clock=time.monotonic)
        if dispatch.finished():
            return
        try:
            bridge = _Bridge(dispatch)
            config = {
                "engine": engine,
                "engine_options": dict(engine_options),
                "trials_dir": str(Path(trials_dir).absolute()),
                "threads": self._request.cpus_per_trial,
            }
            self._fit(bridge, config, slots=self._open())
            bridge.raise_failure()
        finally:
            self.idle_seconds = dispatch.idle_seconds()
            self.start_seconds = dispatch.first_ready_at(default=began) - began
            self.close()

    def _open(self) -> int:
        quiet_environment()
        self._ours = open_cluster(self._request) or self._ours
        try:
            return count_slots(self._request)
        except ClusterError:
            self.close()
            raise

    def _fit(self, bridge: _Bridge, config: dict[str, Any], *, slots: int) -> None:
        name = f"slots-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        mailbox = _start_mailbox(name)
        bridge.connect(mailbox)
        resources = {"cpu": self._request.cpus_per_trial, "gpu": self._request.gpus_per_trial}
        tuner = tune.Tuner(
            tune.with_resources(WorkerSlot, resources),
            param_space={**config, "mailbox": name, "slot": tune.grid_search(list(range(slots)))},
            tune_config=tune.TuneConfig(reuse_actors=False),
            run_config=tune.RunConfig(
                name=name,
                storage_path=str(self._storage_dir),
                verbose=0,
                stop=bridge.stopper,
                callbacks=[bridge],
                failure_config=tune.FailureConfig(max_failures=RESTART_ALWAYS),
            ),
        )
        try:
            with kept_signals():
                tuner.fit()
        except tune.TuneError as error:
            bridge.raise_failure()
            raise BiosSweepError(
                f"Ray Tune gave up: {describe(error)}; see {self._storage_dir / name}"
            ) from error
        finally:
            ray.kill(mailbox)
        shutil.rmtree(self._storage_dir / name, ignore_errors=True)


class _Bridge(tune.Callback):
    """Between Tune's callbacks and `Dispatch`: passes reports on, posts jobs, remembers the first failure."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._failure: Exception | None = None
        self._ended = False
        self._mailbox: Any = None
        self.stopper = _Stopper(self)

    def connect(self, mailbox: Any) -> None:
        """Jobs go to this actor."""
        self._mailbox = mailbox

    @property
    def over(self) -> bool:
        """Whether Tune should stop every slot now."""
        return self._ended or self._failure is not None

    @property
    def stopping(self) -> bool:
        """Whether a slot should stop after the report it has just made."""
        return self._dispatch.stopping

    def raise_failure(self) -> None:
        """Raise what ended the run early, in the words and type it had."""
        if self._failure is not None:
            raise self._failure
        if not self._ended and not self._dispatch.finished():
            raise BiosSweepError("every worker ended before the trials did")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        """A slot reported."""
        self._guard(self._read, trial.config["slot"], json.loads(result[REPORT]), bool(result.get("done")))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A slot died; Tune starts it again."""
        self._guard(self._lose, trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A slot died for good."""
        self._guard(self._lose, trial)

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune's loop turns at least every 0.1 s, reports or not: notice stops and new trials."""
        self._guard(self._post)

    def _read(self, slot: int, report: dict[str, Any], leaves: bool) -> None:
        if "broken" in report:
            raise BiosSweepError(report["broken"])
        if "ready" in report:
            self._dispatch.ready(slot, report["ready"])
        if "item" in report:
            self._dispatch.item(slot, report["key"], report["attempt"], report["item"])
        if leaves:
            self._dispatch.left(slot)
        self._post()

    def _lose(self, trial: Any) -> None:
        slot = trial.config["slot"]
        ray.get(self._mailbox.forget.remote(slot))  # before the slot can come back and read it
        self._dispatch.lost(slot, _cause(trial.get_pickled_error()))
        self._post()

    def _post(self) -> None:
        for slot, job in self._dispatch.assign():
            self._mailbox.put.remote(slot, job.to_dict())
        if not self._ended and self._dispatch.finished():
            self._ended = True
            self._mailbox.close.remote()

    def _guard(self, action: Callable[..., None], *arguments: Any) -> None:
        """Tune would wrap an exception in its own and lose the type."""
        if self.over:
            return
        try:
            action(*arguments)
        except Exception as error:
            self._failure = error


class _Stopper(tune.Stopper):
    """Tells Tune when slots should stop."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Asked about each report, before it is recorded."""
        return self._bridge.stopping

    def stop_all(self) -> bool:
        """Asked at each turn of Tune's loop."""
        return self._bridge.over


def _start_mailbox(name: str) -> Any:
    """On the driver's own node: it must live exactly as long as the driver."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return Mailbox.options(name=name, scheduling_strategy=here).remote()


def _cause(error: Exception | None) -> str:
    if isinstance(error, OutOfMemoryError):
        return "worker was killed because its node ran out of memory"
    if error is None or isinstance(error, RayActorError):
        return "worker died"
    return f"worker failed: {describe(error)}"
