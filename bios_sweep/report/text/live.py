"""The screen of a sweep that runs: where its arms stand, what runs, what failed. Drawn from one value."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bios_sweep.report.content.failure_rows import FailureRow
from bios_sweep.report.content.live import LiveArm, LiveSweep, Standing, sparkline
from bios_sweep.report.content.tally import Running
from bios_sweep.report.content.wording import (
    ENDINGS,
    clean,
    duration,
    ended_as,
    interval,
    money,
    number,
    plural,
    trained,
)
from bios_sweep.report.content.wording import gain as gain_text
from bios_sweep.report.text.narrow import NARROW
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Status

ARMS = 8  # that are listed, the best; chosen, as the next
ROWS = 12  # running trials that are listed; more would push the bar off a small terminal
BAR_COLUMNS = 24
SPARK_COLUMNS = 8
MARKS, ASCII_MARKS = "▁▂▃▄▅▆▇█", "_.-=^"


class LiveScreen:
    """A `LiveSweep` as rich draws it, at the console's width and in its characters."""

    def __init__(self, sweep: LiveSweep) -> None:
        self._sweep = sweep

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The whole screen."""
        ascii_only = options.ascii_only
        yield Group(
            *_head(self._sweep),
            *_standing(self._sweep.standing, options.max_width),
            *_running(self._sweep, options.max_width, ASCII_MARKS if ascii_only else MARKS),
            *_failures(self._sweep.standing),
        )


def _head(sweep: LiveSweep) -> Iterator[RenderableType]:
    stage = f", {clean(sweep.stage)}" if sweep.stage else ""
    yield Text(f"{sweep.title}{stage}", style="bold").append(f"  {sweep.workers}", style="not bold dim")
    if sweep.judged_on:
        yield Text(f"  judged on {sweep.judged_on}", style="dim")
    progress = sweep.progress
    parts = [f"{progress.finished}/{progress.planned} trials", f"{duration(sweep.seconds)} so far"]
    parts += [f"about {duration(sweep.seconds_left)} left"] if sweep.seconds_left is not None else []
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_row(ProgressBar(total=1.0, completed=progress.share(), width=BAR_COLUMNS), Text(", ".join(parts)))
    yield row
    if sweep.standing is not None and sweep.standing.hours:
        yield Text(f"  {_cost(sweep.standing)}", style="dim")
    if bad := [f"{progress.count(status)} {status}" for status in ENDINGS[1:] if progress.count(status)]:
        yield Text(f"  {', '.join(bad)}", style="yellow")


def _cost(standing: Standing) -> str:
    """What the trials took so far and may take yet."""
    told = f"{trained(standing.hours)} of training so far"
    if standing.hours_left:
        told += f", about {trained(standing.hours_left)} to go"
    if standing.money is None:
        return told
    left = "" if standing.money_left is None else f", about {money(standing.money_left)} to go"
    return f"{told}; {money(standing.money)} so far{left}"


def _standing(standing: Standing | None, width: int) -> Iterator[RenderableType]:
    """The arms, the best first, and what a verdict waits for."""
    if standing is None or not standing.arms:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    for column in range(4):
        table.add_column(justify="right" if column in (1, 3) else "left", overflow="fold")
    for arm in standing.arms[:ARMS]:
        table.add_row(*_arm(arm, width))
    yield Text("arms by their gain so far, in percent", style="bold")
    yield table
    if len(standing.arms) > ARMS:
        yield Text(f"  and {plural(len(standing.arms) - ARMS, 'more arm')}", style="dim")
    if standing.next_look:
        yield Text(f"  {standing.next_look}", style="dim")


def _arm(arm: LiveArm, width: int) -> tuple[Text, ...]:
    word = f" ({arm.word})" if arm.word and width >= NARROW else ""
    bounds = "" if arm.lower is None else f"[{interval(arm.lower, arm.upper)}]"
    return (
        Text(f"  {clean(arm.arm)}{word}", style="dim" if arm.word else ""),
        Text("" if arm.gain is None else gain_text(arm.gain)),
        Text(bounds),
        Text(f"{arm.ended}/{arm.planned}"),
    )


def _running(sweep: LiveSweep, width: int, marks: str) -> Iterator[RenderableType]:
    running = list(sweep.progress.running.values())
    if not running:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    for trial in running[:ROWS]:
        table.add_row(*_trial(trial, width, marks))
    yield Text("running", style="bold")
    yield table
    if len(running) > ROWS:
        yield Text(f"  and {plural(len(running) - ROWS, 'more trial')}", style="dim")


def _trial(trial: Running, width: int, marks: str) -> Iterator[Text]:
    again = f" (attempt {trial.attempt})" if trial.attempt > 1 else ""
    yield Text(f"  {name_of(trial.spec)}{again}")
    yield Text(f"{100 * trial.fraction:3.0f} %", justify="right")
    if width >= NARROW:
        yield Text(f"step {trial.step}/{trial.spec.settings.max_steps}")
        yield Text(sparkline(trial.curve[-SPARK_COLUMNS:], marks), style="cyan")
    yield Text("" if trial.value is None else f"{clean(trial.metric)} {number(trial.value)}")


def _failures(standing: Standing | None) -> Iterator[RenderableType]:
    if standing is None or not standing.failures:
        return
    yield Text("failed or diverged", style="bold")
    for one in standing.failures:
        yield Text(f"  {_failure(one)}", style="red" if one.status == Status.FAILED else "yellow")


def _failure(one: FailureRow) -> str:
    ended = ended_as(one.status, one.failure)
    cause = f": {clean(one.cause)}" if one.cause else ""
    return f"{clean(one.arm)} seed {one.seed}: {ended}{cause}"


def name_of(spec: TrialSpec) -> str:
    """A trial as people call it."""
    return f"{clean(spec.arm)} seed {spec.seed}"
