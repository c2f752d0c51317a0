"""The timing probe on a cluster: one worker with a trial's resources, which ends with the probe."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray

from bios_sweep.errors import BiosSweepError, NoClockError
from bios_sweep.execution.attempts import describe, time_arms
from bios_sweep.execution.ray.cluster import restored_signals
from bios_sweep.execution.ray.waiting import capacity_for_one
from bios_sweep.execution.transfer.node_options import bring_data
from bios_sweep.request import Request
from bios_sweep.secrecy import keep_secret, masked
from bios_sweep.settings import TrainingSettings


def time_on_worker(
    request: Request,
    settings: Sequence[TrainingSettings],
    *,
    engine: str,
    engine_options: Mapping[str, Any],
    environment: Mapping[str, str],
    repeats: int,
) -> tuple[list[list[float]], str]:
    """Seconds per step, shape (repeats, arms), and the hardware's name. Waits for room.

    Raises:
        BiosSweepError: in the words of the engine, or two workers died.
    """
    task = _task(request)
    options = {"driver": dict(engine_options), "storage": request.storage}
    arms = [arm.to_dict() for arm in settings]
    job = (engine, options, arms, repeats, request.cpus_per_trial, dict(environment))

    def ask() -> Any:
        with capacity_for_one(request) as place:
            return ray.get(task.options(scheduling_strategy=place).remote(*job))

    answer = _answer(ask)
    return answer["seconds"], answer["hardware"]


def _task(request: Request) -> Any:
    decorate: Any = ray.remote
    return decorate(
        num_cpus=request.cpus_per_trial,
        num_gpus=request.gpus_per_trial,
        resources=dict(request.resources_per_trial or {}) or None,
        accelerator_type=request.accelerator_type,
        max_calls=1,
        max_retries=0,  # counted by `_answer`: Ray would try for ever where the memory is too small
    )(_timed)


def _answer(ask: Callable[[], Any]) -> dict[str, Any]:
    """What a probe's worker answers; one that dies is asked for once more.

    Raises:
        BiosSweepError: in the words of the engine, or both workers died.
    """
    for last in (False, True):
        try:
            with restored_signals():
                answer: dict[str, Any] = ask()
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
    engine: str,
    options: dict[str, Any],
    arms: list[dict[str, Any]],
    repeats: int,
    threads: int,
    environment: dict[str, str],
) -> dict[str, Any]:
    """On a worker: plain values both ways, errors as text. options: the driver's, and the storage."""
    os.environ.update(environment)
    keep_secret(environment)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before the engine's imports, which read it once
    try:
        seconds, hardware = time_arms(
            engine, bring_data(options["driver"], options["storage"]), arms, repeats
        )
    except NoClockError as error:
        return {"clockless": masked(str(error))}
    except BiosSweepError as error:
        return {"broken": masked(str(error))}
    return {"seconds": seconds, "hardware": hardware}
