"""A sweep while it runs: a live table on a terminal, one line per finished trial elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bios_sweep.ports import ENDED, LEFT, RETRIED, TrialEvent
from bios_sweep.report.content.tally import Progress, shown_of
from bios_sweep.report.content.wording import ENDINGS, clean, duration, ended_as, number, plural
from bios_sweep.report.text.failed import logs_command
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import Status

REFRESHES_PER_SECOND = 4  # chosen, not measured: steady to the eye, nothing to the processor
ROWS = 12  # running trials that are listed; more would push the bar off a small terminal
BAR_COLUMNS = 24


class LiveView:
    """Shows a run. A context manager: outside of it only plain lines are printed.

    planned: trials the sweep needs; workers: one line on where they run, or empty; title: what runs.
    metric: the name of what it is judged on; judged_on: the same and which way it is better, in words.
    trials_dir: names the log of a failed trial. clock: monotonic seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        planned: int,
        workers: str,
        title: str,
        metric: str = "eval_loss",
        judged_on: str = "",
        trials_dir: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._title = clean(title)
        self._workers = clean(workers)
        self._judged_on = f"judged on {clean(judged_on)}" if judged_on else ""
        self._trials_dir = trials_dir
        self._clock = clock
        self._opened = clock()
        self._stage = ""
        self.progress = Progress(planned=planned, metric=metric)
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        self._opened = self._clock()
        if self._console.is_interactive and not self._console.quiet:
            self._live = Live(
                get_renderable=self.__rich__,
                console=self._console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
            )
            self._live.start()
        else:
            trials = f"{self._title}: {plural(self.progress.planned, 'trial')}"
            self._say(", ".join(filter(None, (trials, self._workers, self._judged_on))))
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._say(self._summary())

    def stage(self, name: str, planned: int, finished: int) -> None:
        """The sweep is in stage `name` and needs `planned` trials in all; `finished` have a result by now."""
        self.progress = self.progress.staged(planned, finished)
        if name != self._stage:
            self._stage = name
            reused = f", {self.progress.before} finished before" if self.progress.before else ""
            self._say(f"stage {clean(name)}: {plural(planned, 'trial')} in all{reused}")

    def event(self, event: TrialEvent, spec: TrialSpec) -> None:
        """Something happened to a trial."""
        now = self._clock()
        before = self.progress.running.get(spec.key)
        self.progress = self.progress.after(event, spec, now)
        if event.kind == RETRIED:
            cause = clean(event.cause) or "its worker was lost"
            self._say(f"{_name(spec)}: retried (attempt {event.attempt}): {cause}", "yellow")
        elif event.kind == LEFT:
            self._say(f"{_name(spec)}: left at its checkpoint; its arm was stopped by hand", "yellow")
        elif event.kind == ENDED and event.result is not None:
            seconds = event.result.wall_seconds if before is None else now - before.started
            self._say_ended(event.result, spec, seconds, now)

    def _say_ended(self, result: TrialResult, spec: TrialSpec, seconds: float, now: float) -> None:
        progress = self.progress
        if self._live is not None and result.status == Status.COMPLETED:
            return
        place = f"[{progress.finished:>{len(str(progress.planned))}}/{progress.planned}]"
        left = progress.seconds_left(now)
        rest = f", about {duration(left)} left" if left else ""
        styles: dict[str, str] = {Status.COMPLETED: "", Status.FAILED: "red"}
        style = styles.get(result.status, "yellow")
        self._say(
            f"{place} {_name(spec)}: {_outcome(result, progress.metric)} ({duration(seconds)}){rest}", style
        )
        if result.status == Status.FAILED and self._trials_dir is not None:
            command = logs_command(self._trials_dir, result.key)
            if command:
                self._say(f"  log: {command}")

    def _summary(self) -> str:
        progress = self.progress
        endings = ", ".join(f"{progress.count(status)} {status}" for status in ENDINGS)
        took = duration(self._clock() - self._opened)
        return f"{plural(progress.over, 'trial')} ended in {took}: {endings}"

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(clean(text), style=style), soft_wrap=True)

    def __rich__(self) -> Group:
        progress, now = self.progress, self._clock()
        hidden = len(progress.running) - ROWS
        more = [Text(f"and {plural(hidden, 'more trial')}", style="dim")] if hidden > 0 else []
        stage = f", {clean(self._stage)}" if self._stage else ""
        head = Text(f"{self._title}{stage}", style="bold").append(f"  {self._workers}", style="not bold dim")
        bad = [f"{progress.count(status)} {status}" for status in ENDINGS[1:] if progress.count(status)]
        trouble = [Text(f"  {', '.join(bad)}", style="yellow")] if bad else []
        judged = [Text(f"  {self._judged_on}", style="dim")] if self._judged_on else []
        return Group(head, *judged, self._bar(progress, now), *trouble, _running_table(progress), *more)

    def _bar(self, progress: Progress, now: float) -> Table:
        left = progress.seconds_left(now)
        parts = [f"{progress.finished}/{progress.planned} trials"]
        parts += [f"{duration(now - self._opened)} so far"]
        parts += [f"about {duration(left)} left"] if left is not None else []
        row = Table.grid(padding=(0, 1, 0, 0))
        bar = ProgressBar(total=1.0, completed=progress.share(), width=BAR_COLUMNS)
        row.add_row(bar, Text(", ".join(parts)))
        return row


def _running_table(progress: Progress) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for trial in list(progress.running.values())[:ROWS]:
        again = f" (attempt {trial.attempt})" if trial.attempt > 1 else ""
        table.add_row(
            Text(f"  {_name(trial.spec)}{again}"),
            Text(f"{100 * trial.fraction:3.0f} %", justify="right"),
            Text(f"step {trial.step}/{trial.spec.settings.max_steps}"),
            Text("" if trial.value is None else f"{clean(trial.metric)} {number(trial.value)}"),
        )
    return table


def _name(spec: TrialSpec) -> str:
    return f"{clean(spec.arm)} seed {spec.seed}"


def _outcome(result: TrialResult, metric: str) -> str:
    cause = clean(result.cause)
    if result.status != Status.COMPLETED:
        ended = ended_as(result.status, result.failure)
        return f"{ended}: {cause}" if cause else ended
    shown = shown_of(result.final, metric)
    return f"{result.status}, {clean(shown[0])} {number(shown[1])}" if shown else result.status
