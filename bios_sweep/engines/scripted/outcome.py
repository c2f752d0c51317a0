"""How a script ended, in one sentence each: no metric, crash, hang, not a number, or a result. Pure."""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.engines.scripted.last_words import Why, why
from bios_sweep.engines.scripted.readings import Reading, measurement_of
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Failure, Status

ASKED_TO_END = frozenset(  # by a scheduler, an administrator: no fault of the script; a shell's status, too
    status for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) for status in (-number, 128 + number)
)
KILLED = frozenset((-signal.SIGKILL, 128 + signal.SIGKILL))
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
    """What a script has said so far. metric: the one it is judged on; watched: also kept in the curve."""

    trial: TrialSpec
    metric: str
    watched: Sequence[str]
    curve: list[Measurement] = field(default_factory=list)
    latest: dict[str, float] = field(default_factory=dict)
    _said: int = 0  # readings with the metric
    _held: Measurement | None = None  # the last one, where it was passed over

    def take(self, reading: Reading, wall_seconds: float) -> Measurement | None:
        """Remember a reading; a measurement where it has the metric and the curve is not too dense for it."""
        self.latest |= reading.values
        if self.metric not in reading.values:
            return None
        point = measurement_of(
            reading,
            self.trial.settings,
            watched=(self.metric, *self.watched),
            number=self._said,
            wall_seconds=wall_seconds,
        )
        self._said, self._held = self._said + 1, point
        if (self._said - 1) % (1 << len(self.curve) // DENSE_POINTS):
            return None
        return self.end()

    def end(self) -> Measurement | None:
        """The last measurement, where it was passed over: no curve lacks its end."""
        point, self._held = self._held, None
        if point is not None:
            self.curve.append(point)
        return point

    def forget(self) -> None:
        """Unsay everything: the script's file says something else in the end."""
        self.curve, self.latest, self._said, self._held = [], {}, 0, None

    @property
    def last(self) -> str:
        """The last metric, in words."""
        if not self.curve:
            return f"no {self.metric} so far"
        return f"the last {self.metric} was {self.latest[self.metric]:.6g} at step {self.curve[-1].step}"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How the process ended. status: None where the time limit ended it, negative for a signal.

    errors, output: last lines of standard error and standard output, without secrets. source: where metrics
    were looked for, in words.
    missing: why nothing could be read there, empty where it could.
    """

    status: int | None
    limit_seconds: float | None
    errors: Sequence[str]
    source: str
    missing: str = ""
    output: Sequence[str] = ()


def result_of(
    told: Output, ending: Ending, *, wall_seconds: float, provenance: Mapping[str, Any]
) -> TrialResult:
    """The trial's terminal record: the exit status decides, then whether there is a number."""
    failure, cause = _failure(told, ending)
    status = Status.FAILED if failure else Status.COMPLETED
    if not failure and not math.isfinite(told.latest[told.metric]):
        status = Status.DIVERGED
        cause = (
            f"{told.metric} is not a finite number ({told.latest[told.metric]}) at step {told.curve[-1].step}"
        )
    return TrialResult(
        key=told.trial.key,
        status=status,
        curve=tuple(told.curve),
        final={} if failure else _final(told),
        wall_seconds=wall_seconds,
        tokens=max((point.tokens for point in told.curve), default=0),
        cause=cause,
        failure=failure,
        provenance={**provenance, "exit_status": ending.status},
    )


def _failure(told: Output, ending: Ending) -> tuple[str, str]:
    """(kind, sentence) of a failure; two empty strings where the script did its work."""
    if ending.status is None:
        return Failure.TIME_LIMIT, (
            f"the script was still running after {ending.limit_seconds:g} s (method.time_limit_seconds) and "
            f"was ended; {told.last}"
        )
    if ending.status == 0 and told.curve:
        return "", ""
    if ending.status == 0:
        return Failure.NO_METRIC, _no_metric(told, ending)
    said = why(ending.errors, ending.output, killed=ending.status in FROM_OUTSIDE)
    shown = said.text[:LONGEST_CAUSE] or "nothing on its standard error"
    if ending.status == -signal.SIGKILL and not said.memory:
        shown = f"as the kernel does when memory runs out; {shown}"
    return _kind(ending, said), f"the script {_end(ending.status)}: {shown}"


def _no_metric(told: Output, ending: Ending) -> str:
    if ending.missing:
        return f"the script ended well but {ending.missing}"
    if ending.source == CALLABLE and not told.latest:
        return (
            f"the function returned None and reported nothing; return the {told.metric}, or call "
            f"report({told.metric}=2.31, step=10)"
        )
    return f"the script ended well but {ending.source} has no {told.metric}; {_instead(told)}"


def _kind(ending: Ending, said: Why) -> str:
    """Only the kernel kills without asking first, mostly for memory; a scheduler takes the worker, too."""
    if ending.status in KILLED or said.memory:
        return Failure.OUT_OF_MEMORY
    return Failure.WORKER_LOST if ending.status in ASKED_TO_END else Failure.CODE


def _end(status: int) -> str:
    if status > 0:
        return f"crashed with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _instead(told: Output) -> str:
    names = list(told.latest)[:MOST_NAMES]
    if names:
        return f"there are {', '.join(names)} (method.metric chooses one)"
    return f'print a JSON line such as {{"step": 10, "{told.metric}": 2.31}}'


def _final(told: Output) -> dict[str, float]:
    """The metric, and whatever other finite numbers were last said."""
    others = {
        name: value
        for name, value in told.latest.items()
        if math.isfinite(value) and name not in (told.metric, "tokens")
    }
    first = [name for name in told.watched if name in others]
    names = list(dict.fromkeys((*first, *others)))[:MOST_FINALS]
    return {told.metric: told.latest[told.metric], **{name: others[name] for name in names}}
