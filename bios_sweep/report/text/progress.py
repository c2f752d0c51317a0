"""A sweep while it runs: a live table on a terminal, one line per finished trial elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bios_sweep.ports import ENDED, LEFT, RETRIED, TrialEvent
from bios_sweep.report.content.live import LiveSweep, Standing
from bios_sweep.report.content.tally import Progress, shown_of
from bios_sweep.report.content.wording import ENDINGS, clean, duration, ended_as, number, plural
from bios_sweep.report.text.failed import logs_command
from bios_sweep.report.text.live import LiveScreen, name_of
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import Status

REFRESHES_PER_SECOND = 4  # chosen, not measured: steady to the eye, nothing to the processor
STANDING_SECONDS = 0.5  # chosen: between two looks at all trials


class LiveView:
    """Shows a run. A context manager: outside of it only plain lines are printed.

    planned: trials the sweep needs; workers: one line on where they run, or empty; title: what runs.
    metric: the name of what it is judged on; judged_on: the same and which way it is better, in words.
    trials_dir: names the log of a failed trial. standing: where the arms stand now; asked where there is a
    terminal, in the thread of the events. clock: seconds that never go back.
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
        standing: Callable[[], Standing] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._title = clean(title)
        self._workers = clean(workers)
        self._judged_on = clean(judged_on)
        self._trials_dir = trials_dir
        self._standing = standing
        self._stands: Standing | None = None
        self._stood = -math.inf
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
            judged = f"judged on {self._judged_on}" if self._judged_on else ""
            self._say(", ".join(filter(None, (trials, self._workers, judged))))
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._say(self._summary())

    def stage(self, name: str, planned: int, finished: int) -> None:
        """The sweep is in stage `name` and needs `planned` trials in all; `finished` have a result by now."""
        self.progress = self.progress.staged(planned, finished)
        self._stand(now=self._clock())
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
            self._say(f"{name_of(spec)}: retried (attempt {event.attempt}): {cause}", "yellow")
        elif event.kind == LEFT:
            self._say(f"{name_of(spec)}: left at its checkpoint; its arm was stopped by hand", "yellow")
        elif event.kind == ENDED and event.result is not None:
            seconds = event.result.wall_seconds if before is None else now - before.started
            self._say_ended(event.result, spec, seconds, now)
        if event.kind in (ENDED, LEFT):
            self._stand(now)

    def note(self, text: str) -> None:
        """Something that people asked for on the way."""
        self._say(text, "yellow")

    def _stand(self, now: float) -> None:
        """Where the arms stand, not oftener than anybody can read: it goes over all trials."""
        if self._live is not None and self._standing is not None and now - self._stood >= STANDING_SECONDS:
            self._stands, self._stood = self._standing(), now

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
            f"{place} {name_of(spec)}: {_outcome(result, progress.metric)} ({duration(seconds)}){rest}", style
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

    def __rich__(self) -> LiveScreen:
        now = self._clock()
        return LiveScreen(
            LiveSweep(
                title=self._title,
                workers=self._workers,
                judged_on=self._judged_on,
                stage=self._stage,
                progress=self.progress,
                standing=self._stands,
                seconds=now - self._opened,
                seconds_left=self.progress.seconds_left(now),
            )
        )


def _outcome(result: TrialResult, metric: str) -> str:
    cause = clean(result.cause)
    if result.status != Status.COMPLETED:
        ended = ended_as(result.status, result.failure)
        return f"{ended}: {cause}" if cause else ended
    shown = shown_of(result.final, metric)
    return f"{result.status}, {clean(shown[0])} {number(shown[1])}" if shown else result.status
