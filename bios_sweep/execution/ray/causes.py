"""Why a worker died, in our words, by what Ray says of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.execution import tune_controller

from bios_sweep.execution.attempts import describe
from bios_sweep.execution.dispatch import Loss
from bios_sweep.vocabulary import Failure

NODE_SECONDS = 1.0  # chosen: a raylet that does not take a connection by then is gone or as good as
NODE_WORDS = ("node has died", "node died", "node was terminated", "because its node")  # Ray 2.60
MEMORY_WORDS = ("running low on memory", "ran out of memory", "due to memory")


def loss_of(error: Exception | None) -> Loss:
    """The kind of loss; an error of ours inside the slot is told in full: it is a fault of this package."""
    text = "" if error is None else str(error).lower()
    if isinstance(error, OutOfMemoryError) or any(words in text for words in MEMORY_WORDS):
        return Loss(
            failure=Failure.OUT_OF_MEMORY, cause="worker was killed because its node ran out of memory"
        )
    if isinstance(error, RayActorError) and error.preempted:
        return Loss(failure=Failure.PREEMPTED, cause="its node was taken back")
    if any(words in text for words in NODE_WORDS):
        return Loss(failure=Failure.NODE_LOST, cause="its node died")
    if error is None or isinstance(error, RayActorError):
        return Loss(failure=Failure.WORKER_LOST, cause="worker died")
    return Loss(failure=Failure.WORKER_LOST, cause=f"worker failed: {describe(_own(error))}")


def _own(error: Exception) -> BaseException:
    """What was raised in the worker; Ray's own words begin with where that was."""
    cause = error.cause if isinstance(error, RayTaskError) else None
    return cause if isinstance(cause, BaseException) else error


def node_answers(node_id: str) -> bool:
    """Whether the raylet of a node takes connections.

    A lost node is first seen as workers that do not answer: Ray itself takes a quarter of a minute and more
    to call the node dead (2.60: five health checks missed, one every three seconds).
    """
    node = next((node for node in ray.nodes() if node["NodeID"] == node_id), None)
    if node is None or not node["Alive"]:
        return False
    try:
        address = (node["NodeManagerAddress"], node["NodeManagerPort"])
        socket.create_connection(address, timeout=NODE_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def every_loss_is_a_death() -> Iterator[None]:
    """Have Tune take every end of a worker for one.

    Tune (2.60) knows two ways for a call to fail, and ends the whole run at any other. Ray's memory monitor
    has a third: a worker that it kills answers with an `OutOfMemoryError`, which is no `RayActorError`.
    """
    tune: Any = tune_controller
    before = tune.RayActorManager
    tune.RayActorManager = PatientActorManager
    try:
        yield
    finally:
        tune.RayActorManager = before


class PatientActorManager(RayActorManager):
    """Tune's, but it takes what it does not know for the death of the actor."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        super()._actor_task_failed(tracked_actor_task, exception)
