"""A default that says more brings nothing: enough, and the least that will do. Pure.

See docs/statistics.md, item 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import (
    Evidence,
    claimed_arm,
    edge,
    found,
    modest,
    open_gain,
    unclaimed,
    unknown,
)
from bios_sweep.decision.finding import (
    CANDIDATE,
    CONFIRM,
    NOT_WORSE,
    SHARE,
    SUPERIOR,
    UNDECIDED,
    FactorLevels,
    Finding,
    FreshTest,
    share_of,
)
from bios_sweep.study.claims import MINIMUM


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
        return found(UNDECIDED, levels, evidence, nearest, "no larger level was tested")
    if gains[nearest].upper >= margin:
        return found(UNDECIDED, levels, evidence, nearest, open_gain(gains[nearest], evidence))
    if not smaller:
        return found(CONFIRM, levels, evidence, nearest, "confirmed against larger only")
    return _next_lower(smaller[-1], nearest, gains, levels, evidence)


def _better(best: str, levels: FactorLevels, evidence: Evidence) -> Finding:
    level = levels.level(best)
    if levels.ends_grid(level):
        return edge(levels, evidence, best)
    test = FreshTest(arm=best, over=evidence.baseline, kind=SUPERIOR, value=level)
    return found(CANDIDATE, levels, evidence, best, test=test)


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
    return found(CANDIDATE, levels, evidence, arm, test=test)


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
        return found(CONFIRM, levels, evidence, nearest)
    if cost is None:
        reason = f"the cost was not measured, so whether {levels.label(lower)} saves anything is open"
        return found(UNDECIDED, levels, evidence, lower, reason)
    reason = (
        f"{levels.label(lower)} costs {cost.ratio:.2f} times as much and gains between "
        f"{gains[lower].lower:+.2f} % and {gains[lower].upper:+.2f} %; whether it would do is open"
    )
    return found(UNDECIDED, levels, evidence, lower, reason)


def judge_minimum(levels: FactorLevels, evidence: Evidence) -> Finding:
    """The claimed steps reach so much of what the default gains over the untouched model, and no fewer do."""
    claimed = claimed_arm(MINIMUM, levels, evidence)
    if claimed is None:
        return unclaimed(MINIMUM, levels)
    if evidence.gained is None:
        return unknown(levels, "the untouched model was not measured, so there is no gain to share")
    if evidence.contrasts.own("gained", np.asarray(evidence.gained)).lower <= 0:
        return unknown(levels, "the default is not shown to gain over the untouched model")
    tested = sorted(evidence.finite(levels), key=levels.level)
    shares = {arm: share_bound(arm, evidence) for arm in tested}
    least = next((arm for arm in tested if shares[arm].lower > 0), None)
    own = shares[claimed]
    if least == claimed:
        return found(CONFIRM, levels, evidence, claimed, bound=own, value=levels.level(claimed))
    settled = own.lower > 0 or own.upper < 0  # the claimed steps pass or fail for sure
    if least is not None and levels.level(least) < levels.default and settled:
        return _reaches(least, shares[least], levels, evidence)
    share = f"{evidence.rule.minimum_share:.0%} of the default's gain"
    reason = f"whether {levels.level(claimed)} steps reach {share} is open"
    if own.upper < 0:
        reason = (
            f"{levels.level(claimed)} steps do not reach {share}, "
            "and no tested number below the default's is shown to"
        )
    return found(UNDECIDED, levels, evidence, claimed, reason, bound=own)


def _reaches(least: str, share: Bound, levels: FactorLevels, evidence: Evidence) -> Finding:
    test = FreshTest(
        arm=least,
        over=evidence.baseline,
        kind=SHARE,
        limit=evidence.rule.minimum_share,
        value=levels.level(least),
    )
    return found(CANDIDATE, levels, evidence, least, bound=share, test=test)


def share_bound(arm: str, evidence: Evidence) -> Bound:
    """The lower and upper bound of gain(arm) - share * gain(default), both over the untouched model.

    Above 0: the arm reaches the share. Linear in the losses, so a paired bound needs no ratio.
    """
    assert evidence.gained is not None  # checked by the caller
    gains = evidence.contrasts.per_seed({arm: 1.0, evidence.baseline: -1.0})
    rest = (1.0 - evidence.rule.minimum_share) * np.asarray(evidence.gained)
    own = evidence.contrasts.own(arm, gains + rest)
    return replace(own, how=share_of(evidence.rule.minimum_share))
