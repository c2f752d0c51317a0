"""The seams: what the rooms that touch the world promise each other. Only plain values cross.

The flow of a run: an `Executor` takes trials from a `TrialSource`, has a `TrialEngine` train them
(here or on workers), and hands every `TrialEvent` to `record` in the driver's own thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bios_sweep.errors import ConfigError, DeviceError, NoClockError
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.search import KnownProposal, Proposal
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec
from bios_sweep.trouble import Trouble

EngineOptions = TypeVar("EngineOptions")

STARTED = "started"
MEASURED = "measured"
RETRIED = "retried"  # an attempt was lost (worker or node died); the trial goes on elsewhere
LEFT = "left"  # nobody wants the trial any more; it stays at its checkpoint
ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class TrialEvent:
    """Something that happened to a trial. `measurement` comes with MEASURED, `result` with ENDED.

    worker: where (host and process). cause: why an attempt was lost, with RETRIED; failure: its kind,
    a `vocabulary.Failure`.
    """

    kind: str
    key: str
    attempt: int = 1
    worker: str = ""
    measurement: Measurement | None = None
    result: TrialResult | None = None
    cause: str = ""
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class PreflightLine:
    """One thing looked at on one node before the first trial.

    node: its address or name. check: what was looked at. found, wanted: in words or numbers, for the
    table. red: whether no trial can run there. way_out: what to do about it, when red.
    """

    node: str
    check: str
    found: str
    wanted: str = ""
    red: bool = False
    way_out: str = ""


def options_of(kind: type[EngineOptions], values: Mapping[str, Any]) -> EngineOptions:
    """An engine's options, a dataclass of this kind, from the plain values of `Scenario.engine_options`.

    Raises:
        ConfigError: a name that is no option, or a value out of range.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # no word for any dataclass
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ConfigError(f"unknown engine option {unknown[0]!r}; the options are {', '.join(names)}")
    return kind(**values)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What was timed: seconds per optimizer step, shape (repeats, arms), and the hardware's name."""

    seconds: list[list[float]]
    hardware: str


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Arms that are timed before the first trial, by the worker that trains it; no other works meanwhile.

    settings: the arms. heard: gets what came of it, in the driver's thread and before a trial is taken. An
    error says why nothing could be measured; the trials then run all the same.
    """

    settings: tuple[TrainingSettings, ...]
    repeats: int
    heard: Callable[[Timed | NoClockError | DeviceError], None]


class TrialEngine(Protocol):
    """Trains trials, one after the other, in one process; what is heavy is loaded once and kept warm.

    Built as `Engine(options)` from plain values (`Scenario.engine_options` plus `measurements`).
    resumes: whether another attempt goes on from what lies in a trial's folder; if not, nobody needs the
    folder before the trial ends.
    """

    version: str
    resumes: bool

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        """Train to the next measurement at each `next()`; the last item is the `TrialResult`.

        Measurements start at step 0. After each one a checkpoint lies in `directory` if the engine resumes;
        called again there (another process, after a kill) it replays the measurements made so far and goes
        on, with the same numbers to the bit. Divergence is a result, not an exception. A warm engine
        gives the same numbers as a fresh one.
        """

    @property
    def hardware(self) -> str:
        """What it trains on, as people name it."""

    def time_steps(self, settings: Sequence[TrainingSettings], repeats: int) -> list[list[float]]:
        """Seconds per optimizer step, shape (repeats, arms): each arm alone, warm, the arms interleaved.

        Leaves no trace: trials before and after give the same numbers.
        """


class TrialSource(Protocol):
    """Where an executor gets its trials; it grows as results come in."""

    def take(self) -> TrialSpec | None:
        """The next trial to start, or None when there is none now."""

    @property
    def closed(self) -> bool:
        """Whether nothing more will come, given all that was recorded so far."""

    @property
    def stopping(self) -> bool:
        """Whether the user asked to stop: start nothing, leave running trials at their checkpoint."""

    @property
    def paused(self) -> bool:
        """Whether the user holds the run: start nothing for now, let running trials end, and wait."""

    def unwanted(self, key: str) -> bool:
        """Whether a trial that runs is to be left at its checkpoint, for its arm was stopped by hand."""


EventSink = Callable[[TrialEvent], None]
Options = Mapping[str, Any]  # of an engine, plain values


class Executor(Protocol):
    """Runs what a source offers until it is closed or stopping; returns when no trial is running.

    While it is paused nothing is started, and workers are kept.

    idle_seconds: after `run`, seconds each worker spent without a trial since it was ready.
    """

    @property
    def idle_seconds(self) -> Mapping[int, float]:
        """By worker; empty where no worker can idle."""

    def check(self) -> str:
        """One line on where trials will run.

        Raises:
            ClusterError: a request that can never be satisfied, needed against offered.
        """

    def gpus(self, looker: str) -> tuple[Mapping[str, Any], ...]:
        """The GPUs of every place where trials may run, as a looker (an import string) finds them there.

        Raises:
            ClusterError: a place that has none that a trial could use, or cannot answer, and why.
        """

    def preflight(self, wanted: Mapping[str, Any]) -> tuple[PreflightLine, ...]:
        """What every node where trials may run has of what they need; empty where there is one place only.

        wanted: plain values, the fields that `execution.preflight` knows.
        """

    def run(
        self,
        source: TrialSource,
        record: EventSink,
        engine: str,
        engine_options: Options,
        trials_dir: Path,
        probe: Probe | None = None,
    ) -> None:
        """Take the probe, then run trials; each one's files lie in `trials_dir / key`.

        An exception of the engine ends the trial as `failed` with its cause (traceback in
        `trials_dir / key / error.log`); a lost worker is replaced and the trial tried again.

        Raises:
            BiosSweepError: the engine cannot be built or timed, or its workers die.
        """


class Recorder(Protocol):
    """Brings one sweep's journal to where people look; may lag, never loses: it can always catch up."""

    def start(self) -> None:
        """Begin to follow the journal in the background."""

    @property
    def trouble(self) -> Trouble | None:
        """Why the other side does not follow at the moment; None where it does, or is only slow."""

    def finish(self, timeout_seconds: float) -> bool:
        """Catch up and end; False when the other side did not follow in time, or needs a hand."""

    def sync(self) -> None:
        """Compare everything, here and now, and bring over what is missing.

        Raises:
            WorkspaceBusyError: a live driver is recording to the same place.
            TrackingError: the other side does not answer; nothing is lost.
        """


class Tracker(Protocol):
    """Where sweeps are recorded: one address. Light to make and to ask."""

    @property
    def uri(self) -> str:
        """The address, without credentials."""

    def check(self, experiment: str = "") -> None:
        """Ask whether it can be used, before anything is started. experiment: what it is filed under.

        Raises:
            TroubleError: it does not answer, or cannot be used.
            InputError: its address cannot be meant.
        """

    def trouble(self, experiment: str = "") -> Trouble | None:
        """What is the matter with it now; None where it can be used. Asked anew, and nothing is written."""

    def knows(self, sweep_id: str) -> bool:
        """Whether it was given anything of the sweep before."""

    def load(self) -> None:
        """Import what a recorder needs, from any thread; else the first recorder does."""

    def has(self, sweep_id: str, last_entry: int) -> bool:
        """Whether it has everything up to `last_entry` of the sweep's journal."""

    def recorder(self, sweep_id: str, experiment: str) -> Recorder:
        """What brings the sweep there, not yet started. experiment: what it is filed under, where that is."""

    def link(self, sweep_id: str, options: str) -> str:
        """One line: where to look. options: the overrides that say where, for a command that is printed."""


class Searcher(Protocol):
    """Proposes settings one after another and learns from what they gave; remembers across processes.

    The same asks and tells give the same proposals. Every proposal has the same budget: nothing is
    judged by a part of its training.
    """

    def ask(self, count: int) -> list[Proposal]:
        """The next `count` proposals; may be asked while earlier ones have no result yet."""

    def tell(self, number: int, objectives: tuple[float, ...] | None) -> None:
        """What a proposal gave; None when it diverged, which counts as worse than anything seen.

        Telling again changes nothing.
        """

    def drop(self, number: int) -> None:
        """A proposal ended without an outcome (its trial failed): nothing is learnt from it."""

    def importance(self) -> dict[str, float]:
        """Setting -> share of what makes the first objective good, summing to 1; {} with too few results."""

    def reconcile(self, known: Sequence[KnownProposal]) -> None:
        """After an interruption: make the search agree with what the sweep's journal knows.

        Proposals that ended are told, those still to be run stay open, and those that the journal does
        not know (killed before they were written) are given up.
        """


class View(Protocol):
    """Where the progress of trials is shown."""

    def stage(self, name: str, planned: int, finished: int) -> None:
        """The sweep now needs `planned` trials in all, of which `finished` have a result."""

    def event(self, event: TrialEvent, spec: TrialSpec) -> None:
        """Something happened to a trial."""

    def note(self, text: str) -> None:
        """Something that people asked for on the way: a pause, an arm that is stopped."""


class Listener(Protocol):
    """Who hears of a run, in the order in which it happens. The driver prints nothing itself."""

    def warn(self, text: str) -> None:
        """A sentence on what was chosen for the user, or counts for nothing."""

    def say(self, text: str) -> None:
        """A line on what comes next."""

    def preflight(self, lines: tuple[PreflightLine, ...]) -> None:
        """What was looked at on the nodes; a red line ends the run after this."""

    def watch(
        self,
        *,
        planned: int,
        workers: str,
        title: str,
        metric: str,
        judged_on: str,
        trials_dir: Path,
        standing: Callable[[], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> AbstractContextManager[View]:
        """Trials run inside; see `report.text.progress.LiveView`. standing: where the arms stand now."""
