"""How many seeds would decide an open question, and which levels must be tested again for it. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from bios_sweep.checks import is_number
from bios_sweep.decision.bounds import Bound, student
from bios_sweep.decision.finding import Finding
from bios_sweep.decision.ladder import LARGEST, SMALLEST
from bios_sweep.settings import RANGES, TrainingSettings
from bios_sweep.study.factors import Factor

POWER = 1.28  # normal quantile of 90 %: the chance that the new study decides if the gain is as it looks
LEAST_SEEDS = 3  # docs/statistics.md, item 10: the first look
MOST_SEEDS = 20  # chosen, not measured: beyond it a looser margin is the cheaper way
NEAREST = 0.25  # of the margin: a gain nearer to a limit is taken as this far; chosen, not measured
FREEDOM = 30  # degrees of freedom of the new study's t quantile, about; as in the verdict's own estimate


def seeds_needed(finding: Finding, margin: float, alpha: float) -> int | None:
    """Fresh seeds that would decide a factor at this noise, by the gains of its levels; None without bounds.

    Either the leading level must show a lower bound above 0 (corrected for the levels tried): its fresh
    seeds then say whether the gain matters, which settles the question both ways. Or every level that may
    still gain the margin must show an upper bound below it. The cheaper of the two counts:
    n = ((t + z) sigma / distance)^2, sigma the standard deviation of one seed's difference.
    """
    bounds = finding.bounds or ((finding.bound,) if finding.bound else ())
    usable = [bound for bound in bounds if math.isfinite(bound.standard_error)]
    if not usable or len(finding.seeds) < 2 or margin <= 0:
        return None
    leading = max(usable, key=lambda bound: bound.gain)
    near = [bound for bound in usable if bound.upper >= margin] or [leading]
    routes = [
        _seeds(leading, max(leading.gain, NEAREST * margin), alpha / len(usable)),
        max(_seeds(bound, max(margin - bound.gain, NEAREST * margin), alpha) for bound in near),
    ]
    return max(LEAST_SEEDS, min(routes))


def _seeds(bound: Bound, distance: float, alpha: float) -> int:
    sigma = bound.standard_error * math.sqrt(bound.seeds)
    return math.ceil(((student(alpha, FREEDOM) + POWER) * sigma / distance) ** 2)


def narrowed(factor: Factor, baseline: TrainingSettings, wanted: Collection[Any]) -> Factor:
    """The factor with its wanted levels, their neighbours, and one level on each side of the default.

    A level that ends the grid decides nothing, and a default needs a rival on either side. Levels without
    an order are all kept.
    """
    default = getattr(baseline, factor.name, None)
    levels = dict(zip(_listed(factor), (value for _, value in factor.levels(baseline)), strict=True))
    if not all(is_number(value) for value in (default, *levels.values())):
        return factor
    grid = sorted({default, *levels.values()})
    kept = {grid[place + step] for place, value in enumerate(grid) if value in wanted for step in (-1, 0, 1)
            if 0 <= place + step < len(grid)}  # fmt: skip
    place = grid.index(default)
    kept |= set(grid[max(0, place - 1) : place + 2])
    return _with(factor, [listed for listed, value in levels.items() if value in kept])


def extended(factor: Factor, baseline: TrainingSettings, best: Any) -> Factor:
    """The factor with one more level beyond the best one: half of the lowest or twice the highest.

    Where that is more than the setting may be (a share), halfway from the highest to its end. As it is where
    nothing lies there: below 0 or one of what is counted.
    """
    default, listed = getattr(baseline, factor.name), list(_listed(factor))
    if best >= default:
        above = _whole(factor, baseline, _above(factor, default, max(listed)))
        return _with(factor, [*listed, above]) if above > max(listed) else factor
    below = _whole(factor, baseline, min(listed) / 2)
    return _with(factor, [below, *listed]) if below < min(listed) else factor


def _above(factor: Factor, default: Any, highest: Any) -> Any:
    own = default if factor.multiply else 1.0  # what a listed number stands for, of the setting's own unit
    limit = RANGES[factor.name].below if factor.name in RANGES else math.inf
    if highest * 2 * own < limit:
        return highest * 2
    halfway = (highest * own + limit) / 2 / own
    told = [one for one in (_short(halfway), halfway) if highest < one and one * own < limit]
    return told[0] if told else highest  # six digits of what is nearly the end are the end itself


def nearer(factor: Factor, baseline: TrainingSettings) -> Factor | None:
    """The factor with a level halfway, in ratio, to the nearest on each side; None where nothing lies there.

    For a grid whose every level was too far from the default to be compared with it.
    """
    default = getattr(baseline, factor.name)
    levels = {
        value: listed for listed, (_, value) in zip(_listed(factor), factor.levels(baseline), strict=True)
    }
    if not all(is_number(value) and value > 0 for value in (default, *levels)):
        return None
    sides = ([v for v in levels if v < default], [v for v in levels if v > default])
    nearest = [end(side) for side, end in zip(sides, (max, min), strict=True) if side]
    own = 1.0 if factor.multiply else default
    halfway = [_whole(factor, baseline, _short(math.sqrt(own * levels[value]))) for value in nearest]
    new = {one for one in halfway if one not in (own, *_listed(factor))}
    return _with(factor, sorted({*_listed(factor), *new})) if new else None


def climbed(factor: Factor, baseline: TrainingSettings, ends: Collection[str]) -> Factor:
    """The factor with one rung more at the ends of its ladder, as far away as the rung before the end.

    A rate that was stated by a rule becomes a ladder of all rates that the rule gave.
    """
    nuisance, default = factor.nuisance, getattr(baseline, factor.name)
    assert nuisance is not None  # only a ladder has ends
    rungs = sorted({rung for _, level in factor.levels(baseline) for rung in nuisance.rungs(level, default)})
    below, above = rungs[0] ** 2 / rungs[1], rungs[-1] ** 2 / rungs[-2]
    more = [_short(below)] * (SMALLEST in ends) + rungs + [_short(above)] * (LARGEST in ends)
    return replace(factor, nuisance=replace(nuisance, multiply=tuple(more), scale=None))


def _short(number: float) -> float:
    return float(f"{number:.6g}")


def _whole(factor: Factor, baseline: TrainingSettings, value: Any) -> Any:
    return max(1, int(value)) if factor.values and baseline.counts(factor.name) else value


def _listed(factor: Factor) -> tuple[Any, ...]:
    return factor.multiply or factor.values


def _with(factor: Factor, listed: Sequence[Any]) -> Factor:
    if factor.multiply:
        return replace(factor, multiply=tuple(listed))
    return replace(factor, values=tuple(listed))
