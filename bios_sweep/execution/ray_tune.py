"""`RayTuneExecutor`: trials on the workers of a Ray cluster, through one `Tuner.fit` per run.

The driver decides (`dispatch`), the slots work (`ray_slot`), Ray Tune starts the slots, carries their
reports and restarts those that die. Reports arrive in the driver's thread, so `record` runs there.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bios_sweep.errors import BiosSweepError, ClusterError, NoClockError
from bios_sweep.execution.attempts import describe, time_arms
from bios_sweep.execution.dispatch import Dispatch
from bios_sweep.execution.ray_bridge import Bridge
from bios_sweep.execution.ray_cluster import (
    Request,
    count_slots,
    kept_signals,
    open_cluster,
    quiet_environment,
)
from bios_sweep.execution.ray_slot import Mailbox, WorkerSlot
from bios_sweep.ports import PreflightLine, Record, TrialSource
from bios_sweep.settings import TrainingSettings

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

    def preflight(self, wanted: Mapping[str, Any]) -> tuple[PreflightLine, ...]:
        """What every node has of what trials need; a local Ray has one node, this one. Leaves Ray up."""
        return ()

    def close(self) -> None:
        """Shut Ray down if this executor started or joined it."""
        if self._ours:
            self._ours = False
            with kept_signals():
                ray.shutdown()

    def time(
        self,
        settings: Sequence[TrainingSettings],
        *,
        engine: str,
        engine_options: Mapping[str, Any],
        repeats: int,
    ) -> tuple[list[list[float]], str]:
        """Time the arms in one worker with a trial's resources, before the slots start.

        The worker ends with the probe, so that the slots find the device empty. Ray is left up for `run`.
        """
        self._open()
        task = ray.remote(
            num_cpus=self._request.cpus_per_trial,
            num_gpus=self._request.gpus_per_trial,
            max_calls=1,
            max_retries=0,  # counted by `_answer`: Ray would try for ever where the memory is too small
        )(_timed)
        arms = [arm.to_dict() for arm in settings]
        threads = self._request.cpus_per_trial
        try:
            answer = _answer(lambda: task.remote(engine, dict(engine_options), arms, repeats, threads))
        except BaseException:
            self.close()
            raise
        return answer["seconds"], answer["hardware"]

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
            self.close()
            return
        try:
            bridge = Bridge(dispatch)
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

    def _fit(self, bridge: Bridge, config: dict[str, Any], *, slots: int) -> None:
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
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the engines keep theirs
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


def _answer(ask: Callable[[], Any]) -> dict[str, Any]:
    """What a probe's worker answers; one that dies is asked for once more.

    Raises:
        BiosSweepError: in the words of the engine, or both workers died.
    """
    for last in (False, True):
        try:
            with kept_signals():
                answer: dict[str, Any] = ray.get(ask())
        except ray.exceptions.RayError as error:
            if last:
                raise BiosSweepError(
                    f"the timing probe's worker died twice ({describe(error)}); an arm may need more memory "
                    "than a worker has"
                ) from error
            continue
        break
    if "clockless" in answer:
        raise NoClockError(answer["clockless"])
    if "broken" in answer:
        raise BiosSweepError(answer["broken"])
    return answer


def _timed(
    engine: str, options: dict[str, Any], arms: list[dict[str, Any]], repeats: int, threads: int
) -> dict[str, Any]:
    """On a worker: plain values both ways, errors as text."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before the engine's imports, which read it once
    try:
        seconds, hardware = time_arms(engine, options, arms, repeats)
    except NoClockError as error:
        return {"clockless": str(error)}
    except BiosSweepError as error:
        return {"broken": str(error)}
    return {"seconds": seconds, "hardware": hardware}


def _start_mailbox(name: str) -> Any:
    """On the driver's own node: it must live exactly as long as the driver."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Mailbox).options(num_cpus=0, name=name, scheduling_strategy=here).remote()
