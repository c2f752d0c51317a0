"""`InlineExecutor`: trials in this process, one after another. The reference for every other executor."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bios_sweep.errors import ClusterLostError, DeviceError, NoClockError
from bios_sweep.execution.attempts import attempt_trial, interrupted, load_engine, time_arms, worker_name
from bios_sweep.execution.dispatch import require_closed
from bios_sweep.execution.gpus import gpus_here
from bios_sweep.ports import (
    ENDED,
    LEFT,
    MEASURED,
    STARTED,
    EventSink,
    Options,
    Probe,
    Timed,
    TrialEngine,
    TrialEvent,
    TrialSource,
)
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import Failure, Status

PAUSE_SECONDS = 0.2  # chosen: between two looks at whether a pause is over


class InlineExecutor:
    """Runs trials here. Nothing to install, nothing to wait for; a crash of the process ends the run."""

    idle_seconds: Mapping[int, float] = MappingProxyType({})  # this process is never without a trial

    def check(self) -> str:
        """This process can always run one trial at a time."""
        return "in this process, one trial at a time"

    def gpus(self, looker: str) -> tuple[Mapping[str, Any], ...]:
        """Those of this machine."""
        return gpus_here(looker)

    def preflight(self, wanted: Mapping[str, Any]) -> tuple[()]:
        """Nothing to compare: trials run where they were planned."""
        return ()

    def run(
        self,
        source: TrialSource,
        record: EventSink,
        engine: str,
        engine_options: Options,
        trials_dir: Path,
        probe: Probe | None = None,
    ) -> None:
        """Run trials until the source is closed or stopping; a trial that fails gets a fresh engine after it.

        Raises:
            ClusterLostError: the GPU failed: in a trial, in the probe, or while the engine was built.
            BiosSweepError: the engine cannot be built or timed, or the source is open but offers nothing.
        """
        folder = Path(trials_dir).absolute()
        built = None if probe is None else _timed(probe, engine, engine_options)
        while not source.stopping:
            trial = source.take()
            if trial is None:
                if source.paused:
                    time.sleep(PAUSE_SECONDS)
                    continue
                require_closed(source)
                return
            built = built or _built(engine, engine_options)
            ended = _run_one(built, trial, source, record, folder / trial.key)
            if ended is not None and ended.failure == Failure.DEVICE:
                raise _lost(ended.cause)
            if ended is not None and ended.status == Status.FAILED:
                built = None  # the exception may have left it half changed


def _timed(probe: Probe, engine: str, engine_options: Options) -> TrialEngine:
    """Take the probe; the engine goes on to train."""
    built = _built(engine, engine_options)
    try:
        answer: Timed | NoClockError = time_arms(built, probe.settings, probe.repeats)
    except NoClockError as error:
        answer = error
    except DeviceError as error:
        raise _lost(error) from error
    probe.heard(answer)
    return built


def _built(engine: str, engine_options: Options) -> TrialEngine:
    try:
        return load_engine(engine, engine_options)
    except DeviceError as error:
        raise _lost(error) from error


def _lost(cause: str | DeviceError) -> ClusterLostError:
    """This process is the run: it ends with its GPU."""
    return ClusterLostError(
        f"the GPU failed and this process with it ({cause}); the same command goes on from here"
    )


def _run_one(
    engine: TrialEngine, trial: TrialSpec, source: TrialSource, record: EventSink, directory: Path
) -> TrialResult | None:
    """Returns the trial's result, or None when it was left at its checkpoint."""
    worker = worker_name()
    record(TrialEvent(kind=STARTED, key=trial.key, worker=worker))
    with closing(attempt_trial(engine, trial, directory, attempt=1)) as items:
        for item in items:
            if isinstance(item, TrialResult):
                if source.stopping and interrupted(asdict(item)):
                    return None
                record(TrialEvent(kind=ENDED, key=trial.key, worker=worker, result=item))
                return item
            record(TrialEvent(kind=MEASURED, key=trial.key, worker=worker, measurement=item))
            if source.stopping:
                return None
            if source.unwanted(trial.key):
                record(TrialEvent(kind=LEFT, key=trial.key, worker=worker))
                return None
    return None
