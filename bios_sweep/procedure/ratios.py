"""Whether numbers that were told are those that were asked for, times one number. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Chosen, not measured: one in ten or more may be rounding; a number of epochs that is told as 2.98 has lost a
# part of a batch in each; two arms of one stream read the same tokens but for the last batch and its padding.
ROUNDED_FROM = 10
CLOSE = {"epochs": 0.05, "tokens": 0.05}
EQUAL = 0.001  # two numbers that were asked to be the same


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What one trial told, and what it was asked for. unit: in which both are rounded."""

    told: float
    asked: float
    unit: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """Told over asked, between two bounds at every seed."""

    bounds: Sequence[tuple[float, float]]

    def holds(self, ratio: float) -> bool:
        """Whether it may be this one at every seed."""
        return all(low <= ratio <= high for low, high in self.bounds)


def common_ratio(seeds: Sequence[Sequence[Pair]], what: str, per_epoch: float = 0.0) -> Ratios | None:
    """The ratio that all arms have at each seed; None where they have none in common.

    per_epoch: epochs in each of which a script may round its steps up or down. Steps and epochs may be
    counted from 0 or from 1, by every trial alike.
    """
    offsets = (0.0, 1.0, -1.0) if what in ("steps", "epochs") else (0.0,)
    found = [_at_offset(seeds, what, offset, per_epoch) for offset in offsets]
    whole = [ratios for ratios in found if ratios is not None]
    return next((ratios for ratios in whole if ratios.holds(1.0)), whole[0] if whole else None)


def _at_offset(seeds: Sequence[Sequence[Pair]], what: str, offset: float, per_epoch: float) -> Ratios | None:
    bounds = []
    for pairs in seeds:
        same = len({pair.asked for pair in pairs}) == 1
        near = [_near(pair, what, offset, same, per_epoch) for pair in pairs]
        low, high = max(low for low, _ in near), min(high for _, high in near)
        if low > high or high <= 0:
            return None
        bounds.append((low, high))
    return Ratios(bounds=bounds)


def _near(pair: Pair, what: str, offset: float, same: bool, per_epoch: float) -> tuple[float, float]:
    """The ratios that may be meant; numbers that were asked to be the same are rounded alike."""
    told = pair.told + offset
    whole = what != "tokens" and told == math.floor(told)
    slack = EQUAL * told if whole else max(EQUAL, CLOSE.get(what, 0.0)) * told
    if whole and (not same or pair.unit > 1 or per_epoch):
        slack = max(slack, min(pair.unit * max(1.0, per_epoch), told / ROUNDED_FROM))
        slack = 0.0 if told < ROUNDED_FROM * pair.unit and pair.unit == 1 else slack
    return (told - slack) / pair.asked, (told + slack) / pair.asked
