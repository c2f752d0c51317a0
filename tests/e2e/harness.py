"""A sweep under a schedule of faults, and what must hold after its last resume.

As a command it repeats one schedule: `python -m tests.e2e.harness inline "kill-driver@12+3 stop@4+0"`.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

import bios_sweep
from bios_sweep.mirror.mlflow.schema import is_current
from bios_sweep.records.reading import read_journal
from bios_sweep.records.replay import Entry, replay
from tests.e2e.schedules import ON_RAY, SERVED, SINGLE, Fault, Schedule, Step, schedule_of, text_of
from tests.mirror import postgres
from tests.mirror.births import CONTEXT
from tests.mirror.front import Front, front_of
from tests.mirror.tracking_server import TrackingServer, serving
from tests.mirror.whole import check_whole

PATIENCE_SECONDS = 240
# How a driver under faults may end: by a signal before it has handlers for it, or by what these say.
ENDS = (0, 4, -signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM, 128 + signal.SIGINT)
LEAVING_SECONDS = 120  # Ray's agents notice after about a minute that their raylet was killed
TRIES = 6  # drivers after the last fault; the first of them finishes unless a worker was lost
SMALL = (
    *("sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.5,2]", "seeds=[0,1]"),
    *("decision.looks=[2]", "decision.confirmation_seeds=0", "budget.measurements=3"),
    *("tracking=sqlite", "tracking.flush_seconds=30"),
)
PLANTED = ("model=planted", "model.planted.pause_seconds=0.01")
REAL = ("baseline.batch_size=8", "budget.max_steps=6", "budget.measurements=2", "data.eval_examples=32")
LONG = (f"seeds={list(range(20))}".replace(" ", ""), "decision.looks=[20]", "budget.measurements=10")
LIBRARIES = ("torch", "transformers", "peft")
NAMED = re.compile(r"[0-9a-f]{12,}")  # trials, runs, stores
SESSION = 3  # the field of /proc/PID/stat, behind the name in brackets


@dataclass
class Rig:
    """Where sweeps run. words: of every run. front: the door of a tracking server."""

    words: tuple[str, ...]
    folder: Path
    front: Front | None = None
    clock_back: int = 0
    upgraded: bool = False
    sessions: list[int] = field(default_factory=list)
    struck: list[tuple[int, int]] = field(default_factory=list)  # exit code, trials ended by then

    @property
    def workspace(self) -> Path:
        return self.folder / "runs"

    @property
    def address(self) -> str:
        return self.front.url if self.front else f"sqlite:///{self.workspace}/mlflow.db"

    @property
    def log(self) -> Path:
        return self.folder / "drivers.log"

    def said(self) -> str:
        """What its drivers said so far."""
        return self.log.read_text() if self.log.exists() else ""

    def entries(self) -> tuple[Entry, ...]:
        """Of the sweep's journal, as far as it is there."""
        journals = list(self.workspace.glob("sweeps/*/journal.jsonl"))
        return read_journal(journals[0]) if journals else ()

    def lines(self) -> int:
        """How long the journal is; cheap enough to be asked every millisecond."""
        return sum(file.read_bytes().count(b"\n") for file in self.workspace.glob("sweeps/*/journal.jsonl"))


def driven(words: list[str], folder: Path, hours_back: int, upgraded: bool) -> None:
    """A driver: the command line in a process and session of its own, with the faults that are set for it."""
    os.setsid()
    scratch = folder / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"], tempfile.tempdir = str(scratch), None
    output = os.open(folder / "drivers.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if hours_back:
        _turn_back_the_clock(hours_back)
    if upgraded:
        _upgrade()
    import bios_sweep.report.text.publish as publish
    from bios_sweep.cli.main import main

    publish.figures_of = lambda summary: ()  # two thirds of a small sweep's time
    raise SystemExit(main(words))


def _turn_back_the_clock(hours: int) -> None:
    import datetime as world

    from bios_sweep.records import journal

    class Clock(world.datetime):
        @classmethod
        def now(cls, tz: world.tzinfo | None = None) -> Any:
            return world.datetime.now(tz) - world.timedelta(hours=hours)

    journal.datetime = Clock  # type: ignore[attr-defined]


def _upgrade() -> None:
    import importlib.metadata as installed

    version = installed.version
    newer: Callable[[str], str] = lambda name: "99.0" if name in LIBRARIES else version(name)  # noqa: E731
    installed.version = newer  # type: ignore[assignment]


class Driver:
    """One driver of a rig, alive until it ends."""

    def __init__(self, rig: Rig) -> None:
        tracking = [f"tracking.uri={rig.front.url}"] if rig.front else []
        words = ["run", *rig.words, f"workspace={rig.workspace}", *tracking]
        arguments = (words, rig.folder, rig.clock_back, rig.upgraded)
        self.rig = rig
        self.process = CONTEXT.Process(target=driven, args=arguments)
        self.process.start()
        assert self.process.pid is not None
        self.pid: int = self.process.pid
        rig.sessions.append(self.pid)

    def reaches(self, lines: int) -> bool:
        """Whether the journal comes to so many lines before the driver ends."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.is_alive() and time.monotonic() < deadline:
            if self.rig.lines() >= lines:
                return True
            time.sleep(0.001)  # waiting for another process, not for luck
        return False

    def signal(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self) -> int:
        self.process.join(PATIENCE_SECONDS)
        if self.process.exitcode is None:
            self.signal(signal.SIGKILL)
        assert self.process.exitcode is not None, f"a driver hangs\n{self.rig.said()[-3000:]}"
        return self.process.exitcode


def strike(step: Step, driver: Driver) -> None:
    """Let a fault happen."""
    rig = driver.rig
    match step.fault:
        case Fault.KILL_DRIVER:
            driver.signal(signal.SIGKILL)
        case Fault.STOP:
            driver.signal(signal.SIGTERM)
        case Fault.STOP_NOW:
            driver.signal(signal.SIGTERM, signal.SIGTERM)
        case Fault.FULL_DISK:
            with suppress(ProcessLookupError):  # no file grows beyond 1000 bytes any more
                resource.prlimit(driver.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        case Fault.PAUSE:
            for verb in ("pause", "resume"):
                _ask(verb, rig)
        case Fault.CLOCK_BACK:
            rig.clock_back += 1
        case Fault.UPGRADE:
            rig.upgraded = True
        case Fault.KILL_WORKER:
            started = [entry.fields["worker"] for entry in rig.entries() if entry.kind == "started"]
            _kill([int(worker.rpartition(":")[2]) for worker in started[-1:]])
        case Fault.KILL_RAYLET:
            _kill([pid for pid in of_sessions([driver.pid]) if _name(pid) == "raylet"])
        case Fault.KILL_SERVER:
            if rig.front is not None:
                rig.front.says(503)
        case Fault.LOSE_REPLY:
            if rig.front is not None:
                rig.front.lost += 1


def _ask(verb: str, rig: Rig) -> None:
    from bios_sweep.cli.main import main

    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        main([verb, f"workspace={rig.workspace}"])
    time.sleep(0.05)


def _kill(processes: list[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def of_sessions(sessions: list[int]) -> list[int]:
    """The processes alive in these sessions; those that only wait to be reaped are none."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError, IndexError):
                told = (place / "stat").read_text().rpartition(")")[2].split()
                if int(told[SESSION]) in sessions and told[0] != "Z":
                    found.append(int(place.name))
    return found


def run_through(rig: Rig, schedule: Schedule) -> None:
    """Every fault in its turn, a new driver where one has ended; then the same command until it is done."""
    driver = Driver(rig)
    for step in schedule:
        if not driver.process.is_alive():
            _ended(driver)
            driver = Driver(rig)
        if driver.reaches(rig.lines() + step.lines):
            time.sleep(step.milliseconds / 1000)
        _let_through(rig)
        strike(step, driver)
        if step.fault in (Fault.KILL_DRIVER, Fault.STOP, Fault.STOP_NOW, Fault.FULL_DISK):
            code = _ended(driver)
            rig.struck.append((code, sum(entry.kind == "ended" for entry in rig.entries())))
            assert rig.front or not _store(rig).exists() or is_current(_store(rig)), "a broken store"
    codes = [_ended(driver)]
    _let_through(rig)
    while codes[-1] != 0 or len(codes) == 1:
        assert len(codes) <= TRIES, f"it does not finish: {codes}\n{rig.said()[-3000:]}"
        codes.append(_ended(Driver(rig)))


def _ended(driver: Driver) -> int:
    code = driver.end()
    refused = code == 2 and driver.rig.front is not None  # the server was away before anything was there
    assert code in ENDS or refused, f"a driver ended with {code}\n{driver.rig.said()[-3000:]}"
    return code


def _let_through(rig: Rig) -> None:
    if rig.front is not None:
        rig.front.lets_through()


def _store(rig: Rig) -> Path:
    return rig.workspace / "mlflow.db"


def found_in(workspace: Path) -> Mapping[str, Any]:
    """What a sweep comes to: everything that must not depend on what happened on the way."""
    sweep = bios_sweep.open(workspace)
    (journal,) = workspace.glob("sweeps/*/journal.jsonl")
    state = replay(read_journal(journal))
    results = {key: trial.result for key, trial in state.trials.items()}
    return {
        "curves": {
            key: [(one.step, one.eval_loss, one.train_loss, one.tokens) for one in result.curve]
            for key, result in results.items()
            if result is not None
        },
        "ends": {
            key: None if result is None else (result.status, dict(result.final), result.tokens)
            for key, result in results.items()
        },
        "verdicts": [str(verdict.verdict) for verdict in sweep.verdicts],
        "counts": state.counts,
    }


def check(rig: Rig, undisturbed: Rig) -> None:
    """What must hold after the last resume.

    Raises:
        AssertionError: what does not, with the end of what the drivers said.
    """
    said = rig.said()
    assert "Traceback" not in said, said[-4000:]
    assert found_in(rig.workspace) == found_in(undisturbed.workspace), "other results"
    check_sums(rig.entries())
    planned = len(replay(rig.entries()).trials)
    assert check_whole(rig.workspace, rig.address) == planned, "not a run per trial"
    deadline = time.monotonic() + LEAVING_SECONDS
    while of_sessions(rig.sessions) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [(pid, _name(pid)) for pid in of_sessions(rig.sessions)]
    assert not left, f"still running: {left}"
    more = names(rig.workspace) - names(undisturbed.workspace)
    assert not more, f"files that no undisturbed run has: {sorted(more)}"
    # Ray's agents outlive a killed driver by a minute, and make folders of its session again: no files
    scratch = sorted(path.name for path in (rig.folder / "tmp").rglob("*") if path.is_file())
    assert not scratch, f"left in the folder for temporary files: {scratch}"


def check_sums(entries: tuple[Entry, ...]) -> None:
    """Attempts and seconds are those of every trial's starts and of its one result."""
    starts = starts_of(entries)
    state = replay(entries)
    counts = state.counts
    assert counts["planned"] == counts["completed"] + counts["diverged"] + counts["failed"]
    for key, trial in state.trials.items():
        assert trial.attempts == starts.get(key, 0) > 0, f"{key}: {trial.attempts} attempts"
        assert trial.result is not None, f"{key}: no result"
        assert trial.result.wall_seconds >= trial.result.curve[-1].wall_seconds >= 0, f"{key}: its seconds"


def starts_of(entries: Iterable[Entry]) -> dict[str, int]:
    """How often each trial was started; it ends once, and is not started after that."""
    ended: set[str] = set()
    starts: dict[str, int] = {}
    for entry in entries:
        key = entry.fields.get("key", "")
        assert entry.kind not in ("started", "ended") or key not in ended, f"{key} was trained again"
        if entry.kind == "started":
            starts[key] = starts.get(key, 0) + 1
        if entry.kind == "ended":
            ended.add(key)
    return starts


def names(workspace: Path) -> set[str]:
    """The files of a workspace, without what is named by chance or kept by MLflow."""
    found = (str(path.relative_to(workspace)) for path in workspace.rglob("*") if path.is_file())
    return {NAMED.sub("*", name) for name in found if not name.startswith("mlartifacts/")}


def undisturbed(kind: str, folder: Path) -> Rig:
    """The same sweep, to which nothing happened. kind: of `KINDS`."""
    calm = Rig((*KINDS[kind].words, "cluster=inline"), folder / "calm")
    calm.folder.mkdir(parents=True)
    assert Driver(calm).end() == 0, calm.said()[-3000:]
    return calm


@contextmanager
def rigged(kind: str, folder: Path, server: TrackingServer | None = None) -> Iterator[Rig]:
    """A fresh rig for faults; on a server whose experiment, if it has one, is kept under another name."""
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        front = None
        if KINDS[kind].served:
            server = server or stack.enter_context(serving(over_postgres=not postgres.missing()))
            front = stack.enter_context(front_of(server.url))
            _put_away(server.url)
        yield Rig(KINDS[kind].words, folder, front)


def _put_away(url: str) -> None:
    client = MlflowClient(url)
    for experiment in client.search_experiments():
        if experiment.name != "Default" and not experiment.name.startswith(PAST):
            client.rename_experiment(experiment.experiment_id, f"{PAST} {experiment.experiment_id}")


PAST = "of an earlier schedule"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Where a sweep runs, and which faults there are. served: on a tracking server, else in a file."""

    words: tuple[str, ...]
    faults: tuple[Fault, ...]
    served: bool = False


INLINE = "cluster=inline"
RAY = ("cluster=ray", "cluster.num_cpus=2")
KINDS = {
    "inline": Kind(words=(*SMALL, *PLANTED, INLINE), faults=SINGLE),
    "served": Kind(words=(*SMALL, *PLANTED, INLINE), faults=(*SINGLE, *SERVED), served=True),
    "ray": Kind(words=(*SMALL, *PLANTED, *RAY), faults=(*SINGLE, *SERVED, *ON_RAY), served=True),
    "real": Kind(words=(*SMALL, *REAL, *RAY), faults=(*SINGLE[:4], *SERVED, *ON_RAY), served=True),
    "long": Kind(words=(*SMALL, *LONG, *PLANTED, INLINE), faults=(Fault.KILL_DRIVER,)),
}


def hold(kind: str, schedule: Schedule, folder: Path, calm: Rig, server: TrackingServer | None = None) -> Rig:
    """One schedule, and what must hold after it; the folder goes where it does.

    Raises:
        Exception: what does not hold, and the command that repeats the schedule.
    """
    try:
        with rigged(kind, folder, server) as rig:
            run_through(rig, schedule)
            check(rig, calm)
    except Exception as error:
        error.add_note(f"again: python -m tests.e2e.harness {kind} '{text_of(schedule)}'")
        raise
    shutil.rmtree(folder)
    return rig


def repeat(kind: str, text: str) -> None:
    """One schedule, once, in a folder that stays where it fails."""
    folder = Path(tempfile.mkdtemp(prefix="schedule-"))
    hold(kind, schedule_of(text), folder / "faults", undisturbed(kind, folder))
    shutil.rmtree(folder)
    print(f"{kind}: {text_of(schedule_of(text))}: everything holds")


if __name__ == "__main__":
    repeat(*sys.argv[1:3])
