"""Small real parts for tests of executors: a source that can grow and stop, and a record of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bios_sweep.errors import DeviceError, NoClockError
from bios_sweep.ports import ENDED, LEFT, MEASURED, Executor, Probe, Timed, TrialEvent
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import TrialResult, TrialSpec

SETTINGS = TrainingSettings(learning_rate=1e-3, batch_size=4, lora_rank=4, max_steps=6, max_length=64)


class ListSource:
    """Offers the given trials; `then` are added once all of those have ended, as a stage would be."""

    def __init__(self, trials: Sequence[TrialSpec], then: Sequence[TrialSpec] = ()) -> None:
        self._waiting = list(trials)
        self._then = list(then)
        self.offered = [*trials]
        self._running = 0
        self.stopping = self.paused = False
        self.given_up: set[str] = set()

    def take(self) -> TrialSpec | None:
        if self.paused or not self._waiting:
            return None
        self._running += 1
        return self._waiting.pop(0)

    def unwanted(self, key: str) -> bool:
        return key in self.given_up

    def add(self, trial: TrialSpec) -> None:
        self.offered.append(trial)
        self._waiting.append(trial)

    @property
    def closed(self) -> bool:
        return not self._waiting and not self._running and not self._then

    def ended(self) -> None:
        self._running -= 1
        if not self._waiting and not self._running:
            self._waiting, self._then = self._then, []


class Log:
    """Records events in order, tells the source, and lets a test act on each event."""

    def __init__(self, source: ListSource, act: Callable[[TrialEvent], None] = lambda event: None) -> None:
        self._source = source
        self._act = act
        self.events: list[TrialEvent] = []

    def __call__(self, event: TrialEvent) -> None:
        self.events.append(event)
        if event.kind in (ENDED, LEFT):
            self._source.ended()
        self._act(event)

    def of(self, kind: str, key: str | None = None) -> list[TrialEvent]:
        return [event for event in self.events if event.kind == kind and key in (None, event.key)]

    @property
    def results(self) -> dict[str, TrialResult]:
        return {event.key: event.result for event in self.of(ENDED) if event.result is not None}

    def steps(self, key: str) -> list[int]:
        return [event.measurement.step for event in self.of(MEASURED, key) if event.measurement]


def trials(arms: Mapping[str, TrainingSettings], seeds: Sequence[int]) -> list[TrialSpec]:
    return [
        TrialSpec(key=f"{arm}-{seed}", arm=arm, seed=seed, settings=settings)
        for seed in seeds
        for arm, settings in arms.items()
    ]


def timed_by(
    executor: Executor,
    settings: Sequence[TrainingSettings],
    *,
    engine: str,
    options: Mapping[str, object],
    repeats: int,
    folder: Path,
) -> Timed | NoClockError | DeviceError:
    """What an executor says of arms that it is asked to time, where no trial follows."""
    heard: list[Timed | NoClockError | DeviceError] = []
    probe = Probe(settings=tuple(settings), repeats=repeats, heard=heard.append)
    source = ListSource([])
    executor.run(source, Log(source), engine=engine, engine_options=options, trials_dir=folder, probe=probe)
    return heard[0]


def numbers(result: TrialResult) -> str:
    """All that must not depend on where, when or at which try a trial ran, as text: exact, NaN included."""
    curve = tuple(replace(point, wall_seconds=0.0) for point in result.curve)
    return repr((result.status, curve, sorted(result.final.items()), result.tokens, result.cause))
