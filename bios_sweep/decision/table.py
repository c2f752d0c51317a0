"""Results as a table of arms x seeds, and its complete seed blocks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bios_sweep.errors import InputError
from bios_sweep.reasons import Reason
from bios_sweep.study.margins import whole_of
from bios_sweep.study.metric_names import is_share, is_signed
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status

MAX_DROPPED_SHARE = 0.2  # docs/statistics.md, item 1: more than a fifth of the blocks lost fails the gate

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one trial ended: its status and, when completed, the metric at its last step."""

    status: str
    value: float = math.nan

    @property
    def usable(self) -> bool:
        """Whether the value is a number that can be compared."""
        return self.status == Status.COMPLETED and math.isfinite(self.value)


NEVER_ENDED = Outcome(status=Status.FAILED)


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """One outcome per (arm, seed). `arms[0]` is the baseline.

    untouched: the metric of the model before any training, None when unknown.
    hardware: the device classes that produced the values. points: whether a margin in points is given, so
    that the metric is a share whatever its name says. flaw: why nothing can be judged on these values,
    whatever they are; None where nothing is known against them.

    Raises:
        InputError: an arm or a seed is listed twice; a repeated seed is not a replicate.
    """

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    outcomes: Mapping[tuple[str, int], Outcome]
    metric: Metric
    untouched: float | None = None
    hardware: tuple[str, ...] = ()
    flaw: Reason | None = None
    points: bool = False

    def __post_init__(self) -> None:
        for kind, names in (("arm", self.arms), ("seed", self.seeds)):
            repeated = [name for name, count in Counter(names).items() if count > 1]
            if repeated:
                raise InputError(f"results: {kind} {repeated[0]} is given twice; give each one once")

    def outcome(self, arm: str, seed: int) -> Outcome:
        """The outcome of a trial; one that never ended counts as failed."""
        return self.outcomes.get((arm, seed), NEVER_ENDED)

    def level(self, mean: float) -> float:
        """Of what gains are percents: the size of the default's mean; of a share that is 0, all of it.

        Of what may be 0 or less, and is 0, so much that a percent is one of its own unit. 0 where nothing is
        a percent of it.
        """
        if not mean and is_signed(self.metric.name):
            return 100.0
        if mean or not (self.points or is_share(self.metric.name)):
            return abs(mean)
        return whole_of(max((abs(one.value) for one in self.outcomes.values() if one.usable), default=0.0))

    def diverged(self, arm: str) -> int:
        """Seeds at which the arm diverged (a NaN metric counts: it is an outcome, not a gap)."""
        return self._diverged.get(arm, 0)

    @cached_property
    def _diverged(self) -> Mapping[str, int]:
        """Counted once: many rules ask, and a table may have 100 000 outcomes."""
        return {arm: sum(_diverged(self.outcome(arm, seed)) for seed in self.seeds) for arm in self.arms}


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """The complete seed blocks of the arms that never diverged.

    values: metric per arm and seed, shape (A, S), baseline first, all finite. dropped: seeds that a
    failed trial took out for every arm (never imputed). of: what gains are percents of, None where that is
    the size of the baseline's mean.
    """

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    values: Floats
    dropped: tuple[int, ...]
    metric: Metric
    of: float | None = None

    @property
    def level(self) -> float:
        """What gains are percents of; 0 where nothing is."""
        return abs(float(self.values[0].mean())) if self.of is None else self.of

    @property
    def too_many_dropped(self) -> bool:
        """Whether more than a fifth of the planned seeds are gone."""
        planned = len(self.seeds) + len(self.dropped)
        return len(self.dropped) > MAX_DROPPED_SHARE * planned

    def gains(self) -> Floats:
        """Gain of each variation over the baseline, shape (A - 1, S), percent of `level`.

        Positive is better whatever the metric's direction.
        """
        scale = 100.0 * self.metric.sign / self.level
        return np.asarray((self.values[1:] - self.values[0]) * scale, dtype=np.float64)


def complete_blocks(table: ResultTable, arms: Sequence[str] | None = None) -> Blocks:
    """Keep the arms that never diverged and the seeds at which all of them completed."""
    wanted = table.arms if arms is None else tuple(arms)
    finite = tuple(arm for arm in wanted if not table.diverged(arm))
    found = [[table.outcome(arm, seed) for seed in table.seeds] for arm in finite]
    shape = (len(finite), len(table.seeds))
    values = np.array(
        [[one.value if one.usable else np.nan for one in row] for row in found], dtype=np.float64
    )
    kept = np.asarray(np.isfinite(values.reshape(shape)).all(axis=0), dtype=np.bool_).tolist()
    whole = values.reshape(shape)[:, np.array(kept, dtype=np.bool_)]
    zero = whole.size > 0 and not whole[0].any()
    return Blocks(
        arms=finite,
        seeds=tuple(seed for seed, whole in zip(table.seeds, kept, strict=True) if whole),
        values=whole,
        dropped=tuple(seed for seed, whole in zip(table.seeds, kept, strict=True) if not whole),
        metric=table.metric,
        of=table.level(0.0) if zero else None,
    )


def _diverged(outcome: Outcome) -> bool:
    completed_without_a_number = outcome.status == Status.COMPLETED and not math.isfinite(outcome.value)
    return outcome.status == Status.DIVERGED or completed_without_a_number
