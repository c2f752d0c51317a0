"""Whether the best level of one setting moves with another: one line through the brackets of all cells. Pure.

See docs/statistics.md, item 18.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bios_sweep.decision.contrasts import Contrasts
from bios_sweep.decision.table import ResultTable, complete_blocks
from bios_sweep.vocabulary import Word

TWO = 2  # cells and seeds: with one of either nothing moves


@dataclass(frozen=True, kw_only=True)
class LadderCell:
    """One cell: a ladder of levels at one value of the other setting.

    at: that value, above 0. levels: level -> arm, all above 0. margin: percent of this cell's default that
    matters; None where nothing is known to.
    """

    at: float
    levels: Mapping[float, str]
    table: ResultTable
    margin: float | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the best level lies in one cell.

    low, high: the tested levels between which it lies, None where the grid leaves that end open. best: the
    level with the best mean. losses: level -> percent that the best other level gains over it at most.
    """

    at: float
    low: float | None
    high: float | None
    best: float
    losses: Mapping[float, float]
    margin: float | None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How the best level moves, all of it at once at the level of the bounds.

    word: confirm (one tested level serves every cell: no other gains the margin over it), refine (no level
    lies in the brackets of all cells, so the best one moves, and none serves all), else inconclusive.
    moves: whether no level lies in all brackets. per_doubling: the least and the most by which the best level
    is multiplied where the other setting doubles, over all power laws that pass through every bracket; None
    at an open end. bent: whether there is no such law. level: the tested one that gives away least at worst;
    loss: what another gains over it in the cell `where`, at most, in percent. None of all three where no
    level trained in every cell.
    """

    word: Word
    places: tuple[Place, ...]
    moves: bool
    per_doubling: tuple[float | None, float | None]
    bent: bool
    level: float | None = None
    loss: float | None = None
    where: float | None = None
    seeds: int


def drift_of(cells: Sequence[LadderCell], alpha: float) -> Drift | None:
    """The movement over cells of one ladder each, in the order of what they are crossed with.

    alpha: of everything said, so that every cell has an equal share of it. Brackets (Tukey over a cell's
    levels) hold the best level of each cell if the loss has one valley; None where fewer than two cells can
    be judged, each by two seeds.
    """
    share = alpha / max(1, len(cells))
    judged = {cell.at: found for cell in cells if (found := _judged(cell, share)) is not None}
    if len(judged) < TWO or len(judged) < len(cells):
        return None
    places = tuple(place for place, _ in (judged[at] for at in sorted(judged)))
    lower, upper = _slopes(places)
    moves = not _meet(places)
    level, loss, where = _serving(places)
    return Drift(
        word=_word(places, level, moves=moves),
        places=places,
        moves=moves,
        per_doubling=(_factor(lower), _factor(upper)),
        bent=lower > upper,
        level=level,
        loss=loss,
        where=where,
        seeds=min(seeds for _, seeds in judged.values()),
    )


def _judged(cell: LadderCell, alpha: float) -> tuple[Place, int] | None:
    arms = tuple(dict.fromkeys((cell.table.arms[0], *cell.levels.values())))
    blocks = complete_blocks(cell.table, arms)
    if len(blocks.seeds) < TWO or blocks.too_many_dropped or _flawed(cell.table):
        return None
    contrasts = Contrasts(blocks=blocks, alpha=alpha, tried=max(1, len(arms) - 1))
    levels = {level: cell.levels[level] for level in sorted(cell.levels)}
    finite = {level: arm for level, arm in levels.items() if contrasts.has(arm)}
    if len(finite) < TWO:
        return None
    base = blocks.arms[0]
    gains = {level: contrasts.over(arm, base).gain for level, arm in finite.items()}

    def loss(level: float) -> float:
        others = [arm for other, arm in finite.items() if other != level]
        return max(0.0, *(_most(contrasts, arm, finite[level], finite, len(levels)) for arm in others))

    best = max(gains, key=lambda level: gains[level])
    kept = [
        level
        for level, arm in finite.items()
        if level == best or _most(contrasts, arm, finite[best], finite, len(levels)) >= 0
    ]
    place = Place(
        at=cell.at,
        low=max((level for level in levels if level < min(kept)), default=None),
        high=min((level for level in levels if level > max(kept)), default=None),
        best=best,
        losses={level: loss(level) for level in finite},
        margin=cell.margin,
    )
    return place, len(blocks.seeds)


def _most(contrasts: Contrasts, arm: str, other: str, finite: Mapping[float, str], count: int) -> float:
    """What an arm gains over another at most, for all pairs at once, percent.

    Tukey where the noise of all is alike; else the pair's own noise, moderated by the others'
    (docs/statistics.md, item 3), with Bonferroni's correction: the ends of a ladder are noisier than its
    middle, and a few seeds tell a variance by themselves badly.
    """
    if contrasts.pooled(finite.values()):
        return contrasts.among(arm, other, finite.values(), count).upper
    return contrasts.over(arm, other, ways=count * (count - 1)).upper


def _flawed(table: ResultTable) -> bool:
    """Whether its values cannot be compared; a default that diverged is one level less, no more."""
    return table.flaw is not None or len(table.hardware) > 1


def _ends(place: Place) -> tuple[float, float]:
    """The logarithms of a bracket's ends, infinite where they are open."""
    low = -math.inf if place.low is None else math.log2(place.low)
    return low, math.inf if place.high is None else math.log2(place.high)


def _meet(places: Sequence[Place]) -> bool:
    """Whether some level lies in the bracket of every cell."""
    ends = [_ends(place) for place in places]
    return max(low for low, _ in ends) < min(high for _, high in ends)


def _slopes(places: Sequence[Place]) -> tuple[float, float]:
    """The least and the largest slope, in doublings per doubling, of a line through all brackets.

    A line of slope b exists where every two brackets allow it (Helly on a line); the least exceeds the
    largest where there is none.
    """
    least, largest = -math.inf, math.inf
    for first, second in ((a, b) for a in places for b in places if a.at < b.at):
        run = math.log2(second.at / first.at)
        (low, high), (its_low, its_high) = _ends(first), _ends(second)
        least, largest = max(least, (its_low - high) / run), min(largest, (its_high - low) / run)
    return least, largest


def _factor(slope: float) -> float | None:
    return 2.0**slope if math.isfinite(slope) else None


def _serving(places: Sequence[Place]) -> tuple[float | None, float | None, float | None]:
    """The level that gives away least, held against each cell's margin, what that is at most, and where."""
    common = [level for level in places[0].losses if all(level in place.losses for place in places)]

    def worst(level: float) -> Place:
        return max(places, key=lambda place: place.losses[level] / (place.margin or 1.0))

    if not common:
        return None, None, None
    level = min(common, key=lambda one: worst(one).losses[one] / (worst(one).margin or 1.0))
    return level, worst(level).losses[level], worst(level).at


def _word(places: Sequence[Place], level: float | None, *, moves: bool) -> Word:
    serves = level is not None and all(
        place.margin is not None and place.losses[level] < place.margin for place in places
    )
    return Word.CONFIRM if serves else Word.REFINE if moves else Word.INCONCLUSIVE
