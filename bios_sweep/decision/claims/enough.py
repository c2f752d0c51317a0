"""A rank or a number of steps that claims to be enough: more brings nothing that matters. Pure.

See docs/statistics.md, item 13.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import Evidence, edge, found, modest, open_gain
from bios_sweep.decision.claims.judgement import Judgement, Words, no_gain
from bios_sweep.decision.claims.said import Said
from bios_sweep.decision.claims.truth import Truth
from bios_sweep.decision.finding import LARGER_ONLY, NOT_WORSE, SUPERIOR, FactorLevels, Finding, FreshTest
from bios_sweep.reasons import Kind
from bios_sweep.vocabulary import Word

NO_LARGER = Kind("no larger level was tested")
UNTIMED = Kind("the cost was not measured, so whether {level} saves anything is open")
LESS_MIGHT_DO = Kind(
    "{level} costs {ratio:.2f} times as much and gains between {lower:+.2f} and {upper:+.2f}; "
    "whether it would do is open",
    bounded=True,
)


def judge_enough(levels: FactorLevels, evidence: Evidence) -> Finding:
    """More brings nothing that matters, and less loses something or saves nothing."""
    finite, margin = evidence.finite(levels), evidence.margin.percent
    gains = {arm: evidence.gain(arm) for arm in finite}
    larger = [arm for arm in finite if levels.level(arm) > levels.default]
    smaller = sorted((arm for arm in finite if levels.level(arm) < levels.default), key=levels.level)
    better = [arm for arm in finite if gains[arm].lower > 0 and gains[arm].upper >= margin]
    if better:
        return _better(modest(better, gains, levels, margin), levels, evidence)
    more_might = any(gains[arm].upper >= margin for arm in larger)
    too_much = next((arm for arm in smaller if _spares(arm, gains[arm], evidence)), None)
    if too_much is not None and not more_might:
        return _less_would_do(too_much, levels, evidence)
    nearest = max(larger or smaller, key=lambda arm: gains[arm].upper)
    if not larger:
        return found(Word.UNDECIDED, levels, evidence, nearest, NO_LARGER())
    if gains[nearest].upper >= margin:
        return found(Word.UNDECIDED, levels, evidence, nearest, open_gain(gains[nearest], evidence))
    if not smaller:
        return found(Word.CONFIRM, levels, evidence, nearest, LARGER_ONLY())
    return _next_lower(smaller[-1], nearest, gains, levels, evidence)


def _better(best: str, levels: FactorLevels, evidence: Evidence) -> Finding:
    level = levels.level(best)
    if levels.ends_grid(level):
        return edge(levels, evidence, best)
    test = FreshTest(arm=best, over=evidence.baseline, kind=SUPERIOR, value=level)
    return found(Word.CANDIDATE, levels, evidence, best, test=test)


def _spares(arm: str, gain: Bound, evidence: Evidence) -> bool:
    """Whether a smaller level is shown to lose less than the margin and to save a fifth of the cost."""
    cost = evidence.costs.get(arm)
    saves = cost is not None and cost.upper < 1.0 / evidence.rule.cost_ratio
    return saves and gain.lower > -evidence.margin.percent


def _less_would_do(arm: str, levels: FactorLevels, evidence: Evidence) -> Finding:
    test = FreshTest(
        arm=arm,
        over=evidence.baseline,
        kind=NOT_WORSE,
        limit=evidence.margin.percent,
        value=levels.level(arm),
    )
    return found(Word.CANDIDATE, levels, evidence, arm, test=test)


def _next_lower(
    lower: str, nearest: str, gains: Mapping[str, Bound], levels: FactorLevels, evidence: Evidence
) -> Finding:
    """Nothing larger matters; whether the level below the default would do as well, and for less.

    It may fail to in two ways, by its loss or by its cost. Where both are measured the two tests share
    alpha: at the corner where each is just not true, either one would be wrong too often by itself.
    """
    cost, rule = evidence.costs.get(lower), evidence.rule
    ways = 1 if cost is None or cost.exact else 2
    loses = evidence.contrasts.over(lower, evidence.baseline, ways).upper < -evidence.margin.percent
    if loses or (cost is not None and cost.below(rule.alpha / ways) > 1.0 / rule.cost_ratio):
        return found(Word.CONFIRM, levels, evidence, nearest)
    if cost is None:
        reason = UNTIMED(level=levels.label(lower))
        return found(Word.UNDECIDED, levels, evidence, lower, reason)
    gain, told = gains[lower], evidence.margin.told
    reason = LESS_MIGHT_DO(
        level=levels.label(lower), ratio=cost.ratio, lower=told(gain.lower), upper=told(gain.upper)
    )
    return found(Word.UNDECIDED, levels, evidence, lower, reason)


def _confirmed(said: Said) -> str:
    default = said.levels.default
    return said.none_improves("larger level", said.compared(lambda level: not level < default))


def _overlooks(truth: Truth) -> bool:
    larger = [gain for level, gain in truth.gains.items() if level > truth.default]
    return max(larger, default=-math.inf) >= truth.margin


def _harms(truth: Truth, level: Any) -> bool:
    if level < truth.default:
        return truth.gains.get(level, 0.0) <= -truth.margin
    return no_gain(truth, level)


JUDGEMENT = Judgement(
    judge=judge_enough,
    confirmed=_confirmed,
    wrong_confirmation=_overlooks,
    wrong_refinement=_harms,
    smaller_first=False,
    words=Words(
        confirmed="more is not better by as much as matters",
        refined="another value is enough, on fresh seeds",
        needs="whether it is enough for its price; that needs times of one device",
    ),
)
