"""Whether the answer to one question depends on another setting, or on the size of the data. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bios_sweep.decision.bounds import student
from bios_sweep.decision.table import ResultTable, complete_blocks
from bios_sweep.units import Scale


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """How much more an arm gains in one cell than in another, with a two-sided interval.

    All in the unit that gains are told in, for a percent of one cell's mean is none of the other's. gains: in
    the two cells. seeds: those that all four arms have.
    """

    arm: str
    gains: tuple[float, float]
    difference: float
    lower: float
    upper: float
    seeds: int


def interaction(
    first: ResultTable,
    second: ResultTable,
    arms: tuple[str, str],
    alpha: float,
    tried: int = 1,
    scales: tuple[Scale, Scale] = (Scale(), Scale()),
) -> Interaction | None:
    """The gain of an arm over its cell's baseline in the second cell minus that in the first.

    Seeds are shared, so the difference of gains pairs: a paired t over seeds, two-sided at alpha,
    Bonferroni for the `tried` differences of the study. arms: the same variation's name in both cells.
    scales: how gains are told in each. None where an arm diverged or fewer than two seeds are whole.
    """
    gains = []
    for table, arm, scale in zip((first, second), arms, scales, strict=True):
        blocks = complete_blocks(table, (table.arms[0], arm))
        if len(blocks.arms) < 2:
            return None
        gains.append(dict(zip(blocks.seeds, scale.number(1.0) * blocks.gains()[0], strict=True)))
    seeds = sorted(set(gains[0]) & set(gains[1]))
    if len(seeds) < 2:
        return None
    pairs = np.array([[gain[seed] for seed in seeds] for gain in gains])
    difference = pairs[1] - pairs[0]
    mean = float(difference.mean())
    error = float(difference.std(ddof=1) / np.sqrt(len(seeds)))
    width = student(alpha / (2 * max(1, tried)), len(seeds) - 1) * error
    return Interaction(
        arm=arms[1],
        gains=(float(pairs[0].mean()), float(pairs[1].mean())),
        difference=mean,
        lower=mean - width,
        upper=mean + width,
        seeds=len(seeds),
    )
