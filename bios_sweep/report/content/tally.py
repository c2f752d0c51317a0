"""How far a run is and how long it will take: a value, changed by events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bios_sweep.ports import ENDED, LEFT, MEASURED, RETRIED, STARTED, TrialEvent
from bios_sweep.study.trials import OWN_METRICS, Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Status


@dataclass(frozen=True, kw_only=True)
class Running:
    """A trial that runs. fraction, metric and its value: of its last measurement; started: clock seconds.

    curve: its values so far. weight: its training examples.
    """

    spec: TrialSpec
    started: float
    weight: float
    attempt: int = 1
    step: int = 0
    fraction: float = 0.0
    metric: str = "eval_loss"
    value: float | None = None
    curve: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What has happened so far, as a value: `after` gives the next one, so a reader never sees half an event.

    planned: trials the sweep needs, `before` of them finished before this run. metric: what the sweep is
    judged on, and so what is shown of a trial where it was measured. Work is counted in
    training examples (steps x batch size): an arm of twice the steps takes twice as long.
    ended: status -> trials of this run that ended so. done: examples trained in this run by them.
    seen: trials that began in this run, and weight: the examples of all of them. since: clock seconds of the
    first start.
    Sums, for an event must cost the same in a sweep of ten trials and of ten thousand.
    """

    planned: int
    metric: str = "eval_loss"
    before: int = 0
    running: Mapping[str, Running] = field(default_factory=dict)
    ended: Mapping[str, int] = field(default_factory=dict)
    done: float = 0.0
    seen: int = 0
    weight: float = 0.0
    since: float | None = None

    @property
    def finished(self) -> int:
        """Trials with a result, those from before included."""
        return self.before + self.over

    @property
    def over(self) -> int:
        """Trials that ended in this run."""
        return sum(self.ended.values())

    def count(self, status: str) -> int:
        """Trials that ended so in this run."""
        return self.ended.get(status, 0)

    def staged(self, planned: int, finished: int) -> Progress:
        """With another number of trials in all, `finished` of them with a result by now."""
        return replace(self, planned=planned, before=max(0, finished - self.over))

    def after(self, event: TrialEvent, spec: TrialSpec, now: float) -> Progress:
        """With one more event, at clock seconds `now`."""
        progress = replace(self, since=now) if self.since is None else self
        trial = progress.running.get(spec.key)
        if trial is None:
            weight = float(spec.settings.max_steps * spec.settings.batch_size)
            trial = Running(spec=spec, started=now, weight=weight, attempt=event.attempt)
            progress = replace(progress, seen=self.seen + 1, weight=self.weight + weight)
        if event.kind == ENDED and event.result is not None:
            return progress._ended(trial, event.result)
        if event.kind == LEFT:
            return progress._left(trial)
        return replace(progress, running={**self.running, spec.key: self._moved(trial, event)})

    def seconds_left(self, now: float) -> float | None:
        """Remaining examples over the speed so far; None before anything was measured.

        Trials that nobody has seen yet count with the mean of those seen.
        """
        done = self.done + sum(trial.fraction * trial.weight for trial in self.running.values())
        if self.since is None or done <= 0 or now <= self.since:
            return None
        return self._remaining() * (now - self.since) / done

    def share(self) -> float:
        """Of all trials, the share that is behind us; running ones count by their fraction."""
        if not self.planned:
            return 1.0
        return min(1.0, (self.finished + sum(t.fraction for t in self.running.values())) / self.planned)

    def _remaining(self) -> float:
        unseen = max(0, self.planned - self.finished - len(self.running))
        return unseen * self.weight / self.seen + sum(
            (1.0 - trial.fraction) * trial.weight for trial in self.running.values()
        )

    def _ended(self, trial: Running, result: TrialResult) -> Progress:
        fraction = 1.0 if result.status == Status.COMPLETED else trial.fraction
        return replace(
            self,
            running={key: one for key, one in self.running.items() if key != trial.spec.key},
            ended={**self.ended, result.status: self.count(result.status) + 1},
            done=self.done + fraction * trial.weight,
        )

    def _left(self, trial: Running) -> Progress:
        """Nobody waits for it any more, and what was trained of it tells the speed all the same."""
        running = {key: one for key, one in self.running.items() if key != trial.spec.key}
        return replace(self, running=running, done=self.done + trial.fraction * trial.weight)

    def _moved(self, trial: Running, event: TrialEvent) -> Running:
        point = event.measurement
        if event.kind == MEASURED and point is not None:
            name, value = shown_of({**point.metrics, **_own(point)}, self.metric) or (self.metric, None)
            curve = trial.curve if value is None else (*trial.curve, value)
            return replace(
                trial, step=point.step, fraction=point.fraction, metric=name, value=value, curve=curve
            )
        if event.kind in (STARTED, RETRIED):
            return replace(trial, attempt=event.attempt)
        return trial


def shown_of(values: Mapping[str, float], metric: str) -> tuple[str, float] | None:
    """The number of a trial that is told: the metric's, or the first where that is not measured there."""
    return (metric, values[metric]) if metric in values else next(iter(values.items()), None)


def _own(point: Measurement) -> dict[str, float]:
    return {name: value for name in OWN_METRICS if (value := point.value(name)) is not None}
