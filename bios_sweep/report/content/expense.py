"""What trials cost: hours of training, and money where an hour has a price. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bios_sweep.procedure.state import Results, State
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Status


@dataclass(frozen=True, kw_only=True)
class Tariff:
    """What an hour of a trial costs. gpus: of one trial. per_gpu_hour: None where nobody said it."""

    gpus: float = 0.0
    per_gpu_hour: float | None = None

    def money(self, hours: float | None) -> float | None:
        """Of so many hours of training."""
        if hours is None or self.per_gpu_hour is None:
            return None
        return hours * self.gpus * self.per_gpu_hour


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a sweep's trials took so far: hours of training, one after the other; money where it is known."""

    trials: int = 0
    hours: float = 0.0
    money: float | None = None


def spent_on(state: State, results: Results, tariff: Tariff) -> Spent:
    """Of all trials with a result, those that diverged or failed too: they were paid for."""
    ended = [results[trial.key].wall_seconds for trial in state.needed if trial.key in results]
    hours = sum(ended) / 3600.0
    return Spent(trials=len(ended), hours=hours, money=tariff.money(hours) if ended else None)


def hours_of(trials: Iterable[TrialSpec], state: State, results: Results) -> float | None:
    """Hours of training, one trial after the other, at the pace of the sweep's completed trials."""
    done = [
        (results[trial.key].wall_seconds, _examples(trial))
        for trial in state.needed
        if trial.key in results and results[trial.key].status == Status.COMPLETED
    ]
    seconds, examples = sum(took for took, _ in done), sum(seen for _, seen in done)
    if not seconds or not examples:
        return None
    hours = seconds / examples * sum(map(_examples, trials)) / 3600.0
    return float(f"{hours:.6g}")


def _examples(trial: TrialSpec) -> int:
    return trial.settings.max_steps * trial.settings.batch_size
