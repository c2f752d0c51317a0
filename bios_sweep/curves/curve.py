"""An arm's curve: its seeds' measurements on one grid, what they have in common, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bios_sweep.decision.table import Floats
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Status


@dataclass(frozen=True, kw_only=True)
class ArmCurve:
    """Completed trials of one arm at the same fractions of training.

    fractions: shape (P,), rising, from 0 (the untouched model) to 1. values: shape (S, P), the study's
    metric turned so that smaller is better. train: training losses between measurements, shape (S, P),
    NaN at step 0; None where no trial tells them.
    """

    fractions: Floats
    values: Floats
    train: Floats | None = None

    @property
    def mean(self) -> Floats:
        """The mean over seeds, shape (P,)."""
        return np.asarray(self.values.mean(axis=0))

    def at(self, fraction: float) -> float:
        """The mean curve at a fraction of training, linear between measurements."""
        return float(np.interp(fraction, self.fractions, self.mean))

    def error(self) -> float | None:
        """Standard error of the difference of two points of the mean curve; None for one seed.

        Seeds and points have their own levels; what they leave over is noise:
        s2 = sum (y_sp - ys. - y.p + y..)^2 / ((S-1)(P-2)) over the points after step 0, which every seed
        shares. The error is s sqrt(2/S).
        """
        rest = self.values[:, 1:]
        seeds, points = rest.shape
        if seeds < 2 or points < 2:
            return None
        left = rest - rest.mean(axis=1, keepdims=True) - rest.mean(axis=0) + rest.mean()
        variance = float((left**2).sum()) / ((seeds - 1) * (points - 1))
        return math.sqrt(variance * 2.0 / seeds)


def arm_curve(results: Sequence[TrialResult], metric: Metric) -> ArmCurve | None:
    """The completed trials' curve; None where no two points were measured.

    Trials of another grid than most (an older number of measurements) are left out.
    """
    rows = [row for result in results if result.status == Status.COMPLETED and (row := _row(result, metric))]
    grids = Counter(tuple(point.fraction for point, _ in row) for row in rows)
    if not grids:
        return None
    grid = grids.most_common(1)[0][0]
    chosen = [row for row in rows if tuple(point.fraction for point, _ in row) == grid]
    train = np.array([[_number(point.train_loss) for point, _ in row] for row in chosen])
    return ArmCurve(
        fractions=np.array(grid),
        values=np.array([[value for _, value in row] for row in chosen]),
        train=train if np.isfinite(train[:, 1:]).all() else None,
    )


def _row(result: TrialResult, metric: Metric) -> list[tuple[Measurement, float]] | None:
    """The last measurement at each step with its value, smaller better; None unless it ends and is finite."""
    last = {point.step: point for point in result.curve if point.value(metric.name) is not None}
    points = [last[step] for step in sorted(last)]
    values = [-metric.sign * _number(point.value(metric.name)) for point in points]
    whole = len(points) > 1 and points[0].step == 0 and points[-1].fraction == 1.0
    return list(zip(points, values, strict=True)) if whole and all(map(math.isfinite, values)) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
