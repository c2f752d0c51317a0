"""What is lost, and why: a worker by what Ray says of it, its node, and the head."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.execution import tune_controller

from bios_sweep.errors import BiosSweepError, ClusterLostError
from bios_sweep.execution.attempts import describe
from bios_sweep.execution.dispatch import Loss
from bios_sweep.vocabulary import Failure

NODE_SECONDS = 1.0  # chosen: a raylet that does not take a connection by then is gone or as good as
NODE_WORDS = ("node has died", "node died", "node was terminated", "because its node")  # Ray 2.60
MEMORY_WORDS = ("running low on memory", "ran out of memory", "due to memory")
LOOK_SECONDS = 2.0  # chosen, not measured
HEAD_SECONDS = 40.0  # a head that is restarted has Ray's minute (2.60); ours ends before, to end in order
LAST_SECONDS = 15.0  # chosen: what the main thread gets to end; it may hang in a call to the head


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
    return answers(node["NodeManagerAddress"], node["NodeManagerPort"], NODE_SECONDS)


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


class HeadWatch:
    """A thread for the time of a run: without its head Ray ends the driver after a minute, with status 1.

    tell: gets the error that should end it, at any moment.

    Where nobody can end in order, for the main thread waits in one long call to Ray, tell does nothing.
    """

    def __init__(self, address: str, tell: Callable[[BiosSweepError], None] = lambda error: None) -> None:
        self._address, self._tell = address, tell
        self._over = threading.Event()

    def __enter__(self) -> HeadWatch:
        threading.Thread(target=self._watch, daemon=True, name="head").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        host, _, port = self._address.rpartition(":")
        heard = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            if answers(host.strip("[]"), int(port), LOOK_SECONDS):
                heard = time.monotonic()
            elif time.monotonic() - heard > HEAD_SECONDS:
                self._end()
                return

    def _end(self) -> None:
        error = ClusterLostError(
            f"the head of the Ray cluster at {self._address} has not answered for {HEAD_SECONDS:g} s; "
            "start a cluster again, and the same command goes on from here"
        )
        self._tell(error)
        if not self._over.wait(LAST_SECONDS):
            sys.stderr.write(f"bios-sweep: {error}\n")
            sys.stderr.flush()
            os._exit(error.exit_code)  # as after kill -9: all that counts is on the disk


def answers(host: str, port: int, seconds: float) -> bool:
    """Whether something takes connections there."""
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError:
        return False
    return True
