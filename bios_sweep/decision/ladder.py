"""The ladder of every level of a nuisance-aware factor, and where a ladder ends too early. Pure.

A level whose loss still falls at the last of its rates has not met its own best one: what its ladder shows
bounds nothing (docs/statistics.md, item 11).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.decision.claims.evidence import Evidence
from bios_sweep.reasons import Kind, Reason

SMALLEST, LARGEST = "smallest", "largest"
LADDER_EDGE = Kind(
    "edge of level {level}'s ladder: its best {setting} is the {end} tested, and a better one may lie beyond"
)
STEPS_BEYOND = 3.0  # no step beyond rises more than the last; holds a parabola's best up to 6 steps beyond


@dataclass(frozen=True, kw_only=True)
class NuisanceLadder:
    """The arms of every level of a factor; the default's level comes first.

    arms: level -> its arms, the one with the baseline's nuisance value first. values: arm -> the nuisance
    setting's value there. closed: arms that end a ladder though no rung beyond them is needed: nothing can
    be tested there, or a stated rule says that the level's best is there.
    """

    setting: str
    arms: Mapping[Any, tuple[str, ...]]
    values: Mapping[str, float]
    closed: frozenset[str] = frozenset()

    def end(self, level: Any, arm: str) -> str | None:
        """Which end of a level's ladder an arm is, as it was planned; one rung is no ladder.

        A rung that diverged was planned, so it closes the side that it is on.
        """
        values = [self.values[one] for one in self.arms[level]]
        if arm in self.closed or len(values) < 2:
            return None
        return {min(values): SMALLEST, max(values): LARGEST}.get(self.values[arm])

    def beside(self, arm: str, arms: Sequence[str]) -> list[tuple[str, float]]:
        """A level's other arms that have numbers, with their distance in ln(value), the nearest first."""
        others = [(one, abs(math.log(self.values[one] / self.values[arm]))) for one in arms if one != arm]
        return sorted(others, key=lambda pair: pair[1])


def ladder_edges(
    ladder: NuisanceLadder,
    finite: Mapping[Any, tuple[str, ...]],
    uppers: Mapping[Any, float],
    evidence: Evidence,
) -> Iterator[Reason]:
    """A reason per level that could still matter and whose best rung ends its ladder.

    finite: level -> its arms that have numbers, the default's first. uppers: level -> upper bound of what
    its best rung gains over the default level's best, percent; the default's own level is missing.

    What may lie beyond is three times the rise at the end (`_rise`). It matters to a level that its bound
    excludes if it would lift that bound to the margin; to the default's level, or one not excluded, if it is
    as much as the margin itself. A level without a second rung that has numbers shows no rise: it is open.
    """
    margin = evidence.margin.percent
    for level, arms in finite.items():
        best = best_arm(arms, evidence)
        end = ladder.end(level, best)
        upper = uppers.get(level, 0.0)
        needed = margin - upper if level in uppers and upper < margin else margin
        if end is not None and STEPS_BEYOND * _rise(best, ladder.beside(best, arms), evidence) >= needed:
            yield LADDER_EDGE(level=level, setting=ladder.setting, end=end)


def best_arm(arms: tuple[str, ...], evidence: Evidence) -> str:
    """The arm with the best mean; the first (the baseline's nuisance value) among equals."""
    return max(arms, key=lambda arm: evidence.contrasts.over(arm, evidence.baseline).gain)


def _rise(best: str, beside: Sequence[tuple[str, float]], evidence: Evidence) -> float:
    """What the last step of a ladder gains, percent.

    The best of several equal rungs is the last by luck, and that luck is in the last step whole, but in half
    of the last two. Their mean is no less than the last step where the curve bends down, and where it bends
    much it is too much: so no more than one standard error above the last step itself.
    """
    if not beside:
        return math.inf
    (nearest, step), *further = beside
    last = evidence.contrasts.over(best, nearest)
    if not further:
        return last.gain
    next_one, both = further[0]
    mean = evidence.contrasts.over(best, next_one).gain * step / both
    return min(mean, last.gain + last.standard_error)
