"""A sweep while it runs: a live table on a terminal, one line per finished trial elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bios_sweep.ports import ENDED, MEASURED, RETRIED, STARTED, TrialEvent
from bios_sweep.report.wording import ENDINGS, clean, duration, number, plural
from bios_sweep.study.trials import COMPLETED, FAILED, TrialResult, TrialSpec

REFRESHES_PER_SECOND = 4  # chosen, not measured: steady to the eye, nothing to the processor
ROWS = 12  # running trials that are listed; more would push the bar off a small terminal
BAR_COLUMNS = 24


@dataclass(frozen=True, kw_only=True)
class Running:
    """A trial that runs. fraction, loss: of its last measurement; started: clock seconds."""

    spec: TrialSpec
    started: float
    attempt: int = 1
    step: int = 0
    fraction: float = 0.0
    loss: float | None = None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What has happened so far, as a value: `after` gives the next one, so a reader never sees half an event.

    planned: trials the sweep needs, `before` of them finished before this run. Work is counted in
    training examples (steps x batch size): an arm of twice the steps takes twice as long.
    done: examples trained in this run by trials that ended. weights: key -> examples of each trial seen.
    since: clock seconds of the first start.
    """

    planned: int
    before: int = 0
    running: Mapping[str, Running] = field(default_factory=dict)
    ended: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    done: float = 0.0
    since: float | None = None

    @property
    def finished(self) -> int:
        """Trials with a result, those from before included."""
        return self.before + len(self.ended)

    def count(self, status: str) -> int:
        """Trials that ended so in this run."""
        return sum(ending == status for ending in self.ended.values())

    def staged(self, planned: int, finished: int | None) -> Progress:
        """With another number of trials in all, `finished` of them with a result by now (None: as before)."""
        before = self.before if finished is None else max(0, finished - len(self.ended))
        return replace(self, planned=planned, before=before)

    def after(self, event: TrialEvent, spec: TrialSpec, now: float) -> Progress:
        """With one more event, at clock seconds `now`."""
        weight = float(spec.settings.max_steps * spec.settings.batch_size)
        known = replace(
            self,
            weights=MappingProxyType({**self.weights, spec.key: weight}),
            since=now if self.since is None else self.since,
        )
        trial = known.running.get(spec.key) or Running(spec=spec, started=now, attempt=event.attempt)
        if event.kind == ENDED and event.result is not None:
            return known._ended(trial, event.result, weight)
        return known._with(_moved(trial, event))

    def seconds_left(self, now: float) -> float | None:
        """Remaining examples over the speed so far; None before anything was measured.

        Trials that nobody has seen yet count with the mean of those seen.
        """
        done = self.done + sum(trial.fraction * self.weights[key] for key, trial in self.running.items())
        if self.since is None or done <= 0 or now <= self.since:
            return None
        return self._remaining() * (now - self.since) / done

    def share(self) -> float:
        """Of all trials, the share that is behind us; running ones count by their fraction."""
        if not self.planned:
            return 1.0
        return min(1.0, (self.finished + sum(t.fraction for t in self.running.values())) / self.planned)

    def _remaining(self) -> float:
        mean = sum(self.weights.values()) / len(self.weights)
        unseen = max(0, self.planned - self.finished - len(self.running))
        return unseen * mean + sum(
            (1.0 - trial.fraction) * self.weights[key] for key, trial in self.running.items()
        )

    def _ended(self, trial: Running, result: TrialResult, weight: float) -> Progress:
        fraction = 1.0 if result.status == COMPLETED else trial.fraction
        return replace(
            self,
            running=MappingProxyType({k: v for k, v in self.running.items() if k != trial.spec.key}),
            ended=MappingProxyType({**self.ended, trial.spec.key: result.status}),
            done=self.done + fraction * weight,
        )

    def _with(self, trial: Running) -> Progress:
        return replace(self, running=MappingProxyType({**self.running, trial.spec.key: trial}))


def _moved(trial: Running, event: TrialEvent) -> Running:
    point = event.measurement
    if event.kind == MEASURED and point is not None:
        return replace(trial, step=point.step, fraction=point.fraction, loss=point.eval_loss)
    if event.kind in (STARTED, RETRIED):
        return replace(trial, attempt=event.attempt)
    return trial


class LiveView:
    """Shows a run. A context manager: outside of it only plain lines are printed.

    planned: trials the sweep needs; workers: one line on where they run; title: what runs.
    trials_dir: names the log of a failed trial. clock: monotonic seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        planned: int,
        workers: str,
        title: str,
        trials_dir: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._title = clean(title)
        self._workers = clean(workers)
        self._trials_dir = trials_dir
        self._clock = clock
        self._opened = clock()
        self._stage = ""
        self._progress = Progress(planned=planned)
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        self._opened = self._clock()
        if self._console.is_interactive and not self._console.quiet:
            self._live = Live(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
            )
            self._live.start()
        else:
            self._say(f"{self._title}: {plural(self._progress.planned, 'trial')}, {self._workers}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._say(self._summary())

    @property
    def progress(self) -> Progress:
        """What has happened so far."""
        return self._progress

    def stage(self, name: str, planned: int, finished: int | None = None) -> None:
        """The sweep is in stage `name` and now needs `planned` trials in all.

        finished: how many of them have a result by now, reused ones included; None leaves the reused
        ones as they are.
        """
        self._progress = self._progress.staged(planned, finished)
        if name != self._stage:
            self._stage = name
            reused = f", {self._progress.before} finished before" if self._progress.before else ""
            self._say(f"stage {clean(name)}: {plural(planned, 'trial')} in all{reused}")

    def event(self, event: TrialEvent, spec: TrialSpec) -> None:
        """Something happened to a trial."""
        now = self._clock()
        before = self._progress.running.get(spec.key)
        self._progress = self._progress.after(event, spec, now)
        if event.kind == RETRIED:
            cause = clean(event.cause) or "its worker was lost"
            self._say(f"{_name(spec)}: retried (attempt {event.attempt}): {cause}", "yellow")
        elif event.kind == ENDED and event.result is not None:
            seconds = event.result.wall_seconds if before is None else now - before.started
            self._say_ended(event.result, spec, seconds, now)

    def _say_ended(self, result: TrialResult, spec: TrialSpec, seconds: float, now: float) -> None:
        progress = self._progress
        if self._live is not None and result.status == COMPLETED:
            return
        place = f"[{progress.finished:>{len(str(progress.planned))}}/{progress.planned}]"
        left = progress.seconds_left(now)
        rest = f", about {duration(left)} left" if left else ""
        style = {COMPLETED: "", FAILED: "red"}.get(result.status, "yellow")
        self._say(f"{place} {_name(spec)}: {_outcome(result)} ({duration(seconds)}){rest}", style)
        if result.status == FAILED and self._trials_dir is not None:
            self._say(f"  log: {self._trials_dir / result.key / 'error.log'}")

    def _summary(self) -> str:
        progress = self._progress
        endings = ", ".join(f"{progress.count(status)} {status}" for status in ENDINGS)
        took = duration(self._clock() - self._opened)
        return f"{plural(len(progress.ended), 'trial')} ended in {took}: {endings}"

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(clean(text), style=style), soft_wrap=True)

    def _render(self) -> Group:
        progress, now = self._progress, self._clock()
        hidden = len(progress.running) - ROWS
        more = [Text(f"and {plural(hidden, 'more trial')}", style="dim")] if hidden > 0 else []
        stage = f", {clean(self._stage)}" if self._stage else ""
        head = Text(f"{self._title}{stage}", style="bold").append(f"  {self._workers}", style="not bold dim")
        bad = [f"{progress.count(status)} {status}" for status in ENDINGS[1:] if progress.count(status)]
        trouble = [Text(f"  {', '.join(bad)}", style="yellow")] if bad else []
        return Group(head, self._bar(progress, now), *trouble, _running_table(progress), *more)

    def _bar(self, progress: Progress, now: float) -> Table:
        left = progress.seconds_left(now)
        told = [f"{progress.finished}/{progress.planned} trials"]
        told += [f"{duration(now - self._opened)} so far"]
        told += [f"about {duration(left)} left"] if left is not None else []
        row = Table.grid(padding=(0, 1, 0, 0))
        bar = ProgressBar(total=1.0, completed=progress.share(), width=BAR_COLUMNS)
        row.add_row(bar, Text(", ".join(told)))
        return row


def _running_table(progress: Progress) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for trial in list(progress.running.values())[:ROWS]:
        again = f" (attempt {trial.attempt})" if trial.attempt > 1 else ""
        table.add_row(
            Text(f"  {_name(trial.spec)}{again}"),
            Text(f"{100 * trial.fraction:3.0f} %", justify="right"),
            Text(f"step {trial.step}/{trial.spec.settings.max_steps}"),
            Text("" if trial.loss is None else f"eval_loss {number(trial.loss)}"),
        )
    return table


def _name(spec: TrialSpec) -> str:
    return f"{clean(spec.arm)} seed {spec.seed}"


def _outcome(result: TrialResult) -> str:
    cause = clean(result.cause)
    if result.status != COMPLETED:
        return f"{result.status}: {cause}" if cause else result.status
    name, value = next(iter(result.final.items()), ("", None))
    return f"{result.status}, {clean(name)} {number(value)}" if name else result.status
