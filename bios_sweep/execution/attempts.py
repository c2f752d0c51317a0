"""One attempt at one trial, the same here and on a worker: load the engine, iterate, contain failures."""

from __future__ import annotations

import errno
import importlib
import os
import re
import socket
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from bios_sweep.errors import (
    BiosSweepError,
    DataError,
    DeviceError,
    ProbeError,
    StorageError,
    poisons_its_process,
    ran_out_of_memory,
)
from bios_sweep.ports import Timed, TrialEngine
from bios_sweep.records.trial_logs import set_aside
from bios_sweep.sealed import digests_of
from bios_sweep.secrecy import keep_secret, masked
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import ERROR_LOG, EVIDENCE, Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Failure, Status

DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE})
IMPORT_STRING = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def load_engine(name: str, options: Mapping[str, Any]) -> TrialEngine:
    """Build the engine that an import string `module:Class` names.

    Raises:
        DeviceError: its GPU failed, as it may in any trial.
        BiosSweepError: the string, the module, the class or its construction is at fault, and which.
    """
    kind = engine_class(name)
    try:
        return kind(options)
    except Exception as error:
        way = DeviceError if poisons_its_process(error) else BiosSweepError
        raise way(f"engine {name} could not be built: {describe(error)}") from error


def engine_class(name: str) -> Callable[[Mapping[str, Any]], TrialEngine]:
    """The class of an engine; all that is heavy in it is imported with it.

    Raises:
        BiosSweepError: the string, the module or the class is at fault, and which.
    """
    if not IMPORT_STRING.fullmatch(name):
        raise BiosSweepError(f"engine {name!r} is no import string; write it as module:Class")
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise BiosSweepError(f"engine {name}: importing its module failed: {describe(error)}") from error
    kind = getattr(module, class_name, None)
    if not isinstance(kind, type) or not callable(getattr(kind, "run", None)):
        raise BiosSweepError(f"engine {name}: {module_name} has no class {class_name} with a method run")
    return cast(Callable[[Mapping[str, Any]], TrialEngine], kind)


def attempt_trial(
    engine: TrialEngine, trial: TrialSpec, directory: Path, attempt: int
) -> Generator[Measurement | TrialResult]:
    """Iterate the engine; whatever it does, the last item is a `TrialResult`.

    An exception ends the trial as failed, with its measurements so far, the cause in one line and
    the traceback in `error.log`: one bad trial must not take the others with it. Closing this
    iterator closes the engine's.
    """
    curve: list[Measurement] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        set_aside(directory)
        with closing(cast(Any, engine.run(trial, directory))) as items:
            for item in items:
                if isinstance(item, TrialResult):
                    ended = replace(item, attempts=attempt, cause=masked(item.cause))
                    yield replace(ended, files=_left(item, directory))
                    return
                curve.append(item)
                yield item
        raise BiosSweepError("the engine stopped without a result")
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends this trial only
        write_error_log(directory, error)
        yield TrialResult(
            key=trial.key,
            status=Status.FAILED,
            curve=tuple(curve),
            wall_seconds=curve[-1].wall_seconds if curve else 0.0,
            tokens=curve[-1].tokens if curve else 0,
            attempts=attempt,
            cause=describe(error),
            failure=kind_of(error),
        )


def _left(result: TrialResult, directory: Path) -> dict[str, str]:
    """Digests of what a completed trial left; what its engine says of a file it wrote itself counts."""
    if result.status != Status.COMPLETED:
        return {}
    return dict(sorted({**digests_of(directory, EVIDENCE), **result.files}.items()))


def time_arms(engine: TrialEngine, arms: Sequence[TrainingSettings], repeats: int) -> Timed:
    """Have an engine timed, which may train afterwards.

    Raises:
        NoClockError: it has no clock.
        DeviceError: its GPU failed; another process may time the arms.
        BiosSweepError: it fails while it is timed.
    """
    try:
        return Timed(seconds=engine.time_steps(arms, repeats), hardware=engine.hardware)
    except BiosSweepError:
        raise
    except Exception as error:
        kind = DeviceError if poisons_its_process(error) else ProbeError
        raise kind(f"the timing probe failed: {describe(error)}") from error


def interrupted(result: Mapping[str, Any]) -> bool:
    """Whether a result, in plain values, is that of a script which ended before it was done.

    Asked only where the worker or the driver has been told to end: a scheduler's signal reaches the script
    too, and what it makes of it says nothing of the trial, be it a death by SIGTERM, exit status 1 after
    `torchrun`, or a model that was saved half way with exit status 0. So a metric is believed only at the
    trial's last step (a line without a step has none), a failure only at its time limit. If the script was
    at fault after all, or counts its steps otherwise, its next attempt tells.
    """
    if result.get("provenance", {}).get("exit_status") is None:
        return False
    if result["status"] == Status.COMPLETED:
        return not any(point["fraction"] >= 1.0 for point in result["curve"][-1:])
    return bool(result["status"] == Status.FAILED)


def kind_of(error: BaseException) -> str:
    """What kind of failure an engine's exception is."""
    if ran_out_of_memory(error):
        return Failure.OUT_OF_MEMORY
    if poisons_its_process(error):
        return Failure.DEVICE
    if isinstance(error, DataError):
        return Failure.DATA
    if isinstance(error, StorageError) or (isinstance(error, OSError) and error.errno in DISK):
        return Failure.STORAGE
    return Failure.CODE


def describe(error: BaseException) -> str:
    """`TypeName: message`, first line only, without secrets: what fits in a table."""
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return masked(f"{type(error).__name__}: {first}")


def write_error_log(directory: Path, error: BaseException) -> None:
    """Leave the traceback where the failed trial's files are."""
    with suppress(OSError):  # a full disk may be the very error; its cause still reaches the record
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ERROR_LOG).write_text(masked("".join(traceback.format_exception(error))))


def set_environment(environment: Mapping[str, str], threads: int | None = None) -> None:
    """On a worker, before an engine is imported: what it reads from its environment it reads once."""
    os.environ.update(environment)
    keep_secret(environment)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)


def worker_name() -> str:
    """Where this process runs: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"
