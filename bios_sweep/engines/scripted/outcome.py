"""How a script ended, in one sentence each: no metric, crash, hang, not a number, or a result. Pure."""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.engines.scripted.in_text import not_read
from bios_sweep.engines.scripted.last_words import why
from bios_sweep.engines.scripted.readings import Reading, named, whole_of
from bios_sweep.engines.scripted.spent import Spent
from bios_sweep.study.trials import OWN_METRICS, READ, TOLD, Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Failure, Status

ASKED_TO_END = frozenset(  # by a scheduler, an administrator: no fault of the script; a shell's status, too
    status for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) for status in (-number, 128 + number)
)
KILLED = frozenset(
    (-signal.SIGKILL, 128 + signal.SIGKILL, 256 - signal.SIGKILL)
)  # the last is Python's `sys.exit(-9)`
FROM_OUTSIDE = ASKED_TO_END | KILLED
LONGEST_CAUSE = 300  # characters of a script's own words
CALLABLE = "what it reported"  # where a callable's metrics are looked for, in words
MOST_NAMES = 8  # of metrics that were printed instead of the one that is wanted
# Each point goes through journal and tracking store: of a script that prints its metric at every step, the
# first so many are kept all, of those after them every 2nd, then every 4th. Chosen, not measured.
DENSE_POINTS = 1000
MOST_FINALS = 20  # numbers of a script that are kept beside its metric; chosen: charts slow down with many


@dataclass
class Output:
    """What a script has said so far. metric: the one it is judged on.

    watched: metrics that are kept in the curve, too; a script also prints its speed and the like, and charts
    slow down with many.
    """

    trial: TrialSpec
    metric: str
    watched: Sequence[str]
    curve: list[Measurement] = field(default_factory=list)
    latest: dict[str, float] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    _said: int = 0  # readings with the metric
    _held: Measurement | None = None  # the last one, where it was passed over

    def take(self, reading: Reading, wall_seconds: float) -> Measurement | None:
        """Remember a reading; a measurement where it has the metric and the curve is not too dense for it."""
        values = named(reading.values, (self.metric, *self.watched))
        settings = self.trial.settings
        self.latest |= values
        self.spent.take(reading, values.get(self.metric))
        if self.metric not in values:
            return None
        # only a line that says step 0 is of the untouched model, whose loss may narrow the margin
        step = self._said + 1 if reading.step is None else reading.step
        kept = [name for name in (self.metric, *self.watched) if name in values and name not in OWN_METRICS]
        self._held = Measurement(
            step=step,
            fraction=min(1.0, step / settings.max_steps),
            examples=step * settings.batch_size,
            tokens=whole_of(values.get("tokens")) or 0,
            eval_loss=values.get("eval_loss", math.nan),
            eval_bits_per_byte=values.get("eval_bits_per_byte"),
            train_loss=values.get("train_loss"),
            wall_seconds=wall_seconds,
            metrics={name: values[name] for name in kept},
        )
        self._said += 1
        return None if (self._said - 1) % (1 << len(self.curve) // DENSE_POINTS) else self.end()

    def end(self) -> Measurement | None:
        """The last measurement, where it was passed over: no curve lacks its end."""
        point, self._held = self._held, None
        if point is not None:
            self.curve.append(point)
        return point

    @property
    def said(self) -> list[float]:
        """The metric's values so far, as far as the curve has them, and the last one."""
        points = [*self.curve, *([self._held] if self._held else [])]
        return [math.nan if (value := point.value(self.metric)) is None else value for point in points]

    def forget(self) -> None:
        """Unsay everything: the script's file says something else in the end."""
        self.curve, self.latest, self._said, self._held, self.spent = [], {}, 0, None, Spent()


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How the process ended. status: None where the time limit ended it, negative for a signal.

    errors, output: last lines of standard error and standard output, without secrets. source: where metrics
    were looked for, in words. missing: why nothing could be read there, empty where it could. read: where the
    metric was read, in words. pattern: a pattern of the person's own told which lines count; unread: what it
    found last that is no number.
    """

    status: int | None
    limit_seconds: float | None
    errors: Sequence[str]
    source: str
    missing: str = ""
    read: str = ""
    pattern: bool = False
    unread: str | None = ""
    output: Sequence[str] = ()


def result_of(
    told: Output, ending: Ending, *, wall_seconds: float, provenance: Mapping[str, Any]
) -> TrialResult:
    """The trial's terminal record: the exit status decides, then whether there is a number."""
    failure, cause = _failure(told, ending)
    status = Status.FAILED if failure else Status.COMPLETED
    if not failure and not math.isfinite(value := told.latest[told.metric]):
        status = Status.DIVERGED
        cause = f"{told.metric} is not a finite number ({value}) at step {told.curve[-1].step}"
    return TrialResult(
        key=told.trial.key,
        status=status,
        curve=tuple(told.curve),
        final={} if failure else _final(told),
        wall_seconds=wall_seconds,
        tokens=max((point.tokens for point in told.curve), default=0),
        cause=cause,
        failure=failure,
        provenance={
            **provenance,
            "exit_status": ending.status,
            TOLD: dict(told.spent.seen),
            **({READ: ending.read} if ending.read and told.curve else {}),
        },
    )


def _failure(told: Output, ending: Ending) -> tuple[str, str]:
    """(kind, sentence) of a failure; two empty strings where the script did its work."""
    status = ending.status
    if status is None:
        last = f"no {told.metric} so far"
        if told.curve:
            value, step = told.latest[told.metric], told.curve[-1].step
            last = f"the last {told.metric} was {value:.6g} at step {step}"
        return Failure.TIME_LIMIT, (
            f"the script was still running after {ending.limit_seconds:g} s (method.time_limit_seconds) and "
            f"was ended; {last}"
        )
    if status == 0:
        return ("", "") if told.curve else (Failure.NO_METRIC, _no_metric(told, ending))
    said = why(ending.errors, ending.output, killed=status in FROM_OUTSIDE)
    shown = said.text[:LONGEST_CAUSE] or "nothing on its standard error"
    if status == -signal.SIGKILL and not said.memory:
        shown = f"as the kernel does when memory runs out; {shown}"
    # Only the kernel kills without asking first, mostly for memory; a scheduler takes the worker, too.
    kind = Failure.WORKER_LOST if status in ASKED_TO_END else Failure.CODE
    if status in KILLED or said.memory:
        kind = Failure.OUT_OF_MEMORY
    return kind, f"the script {_end(status)}: {shown}"


def _no_metric(told: Output, ending: Ending) -> str:
    if ending.missing:
        return f"the script ended well but {ending.missing}"
    if ending.source == CALLABLE and not told.latest:
        return (
            f"the function returned None and reported nothing; return the {told.metric}, or call "
            f"report({told.metric}=2.31, step=10)"
        )
    if ending.pattern and ending.unread:
        comma = ", for a decimal comma is not read: print it with a point" if "," in ending.unread else ""
        return f"the script ended well but method.pattern found {ending.unread[:40]!r}, no number{comma}"
    if ending.pattern:
        return (
            f"the script ended well but method.pattern found no number in a line of its output; try it with "
            f"`bios-sweep logs {told.trial.key}`, which shows them"
        )
    if unread := not_read((*ending.output, *ending.errors), told.metric):
        return f"the script ended well but {ending.source} has no {told.metric}; {unread}"
    instead = f"there are {', '.join(list(told.latest)[:MOST_NAMES])} (method.metric chooses one)"
    if not told.latest:
        instead = (
            f'print a JSON line such as {{"step": 10, "{told.metric}": 2.31}}, or let method.pattern find it'
        )
    return f"the script ended well but {ending.source} has no {told.metric}; {instead}"


def _end(status: int) -> str:
    if status > 0:
        return f"crashed with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _final(told: Output) -> dict[str, float]:
    """The metric, and whatever other finite numbers were last said, the watched ones first."""
    found = {name: value for name, value in told.latest.items() if math.isfinite(value) and name != "tokens"}
    names = dict.fromkeys((*told.watched, *found))
    others = [name for name in names if name in found and name != told.metric][:MOST_FINALS]
    return {told.metric: told.latest[told.metric], **{name: found[name] for name in others}}
