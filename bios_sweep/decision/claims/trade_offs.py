"""A default that weighs loss against time: the balance, the best loss, the saving of time. Pure.

See docs/statistics.md, item 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
from bios_sweep.decision.claims.iso_cost import iso_cost_gain
from bios_sweep.decision.costs import CostRatio, least_ratio
from bios_sweep.decision.finding import (
    BELOW,
    CANDIDATE,
    CONFIRM,
    NOT_WORSE,
    REFINE,
    SUPERIOR,
    UNDECIDED,
    FactorLevels,
    Finding,
    FreshTest,
)
from bios_sweep.study.claims import QUALITY, SPEED


def judge_balanced(levels: FactorLevels, evidence: Evidence) -> Finding:
    """Another batch size must beat the default trained for the same time: duration is a dial everyone has."""
    isos = {arm: iso_cost_gain(arm, evidence) for arm in evidence.finite(levels)}
    known = {arm: bound for arm, bound in isos.items() if isinstance(bound, Bound)}
    if not known:
        return unknown(levels, str(next(iter(isos.values()))))
    nearest = max(known, key=lambda arm: known[arm].upper)
    if len(known) == len(isos) and known[nearest].upper < evidence.margin.percent:
        sides = levels.one_sided(evidence.finite(levels))
        return found(CONFIRM, levels, evidence, nearest, *sides, iso=known[nearest])
    better = [arm for arm, bound in known.items() if bound.lower > 0]
    if better:
        best = modest(better, known, levels, evidence.margin.percent)
        return _better_at_the_same_time(best, known[best], levels, evidence)
    missing = [str(reason) for reason in isos.values() if not isinstance(reason, Bound)]
    reasons = (open_gain(known[nearest], evidence, "at the same time"), *missing)
    return found(UNDECIDED, levels, evidence, nearest, *reasons, iso=known[nearest])


def _better_at_the_same_time(best: str, iso: Bound, levels: FactorLevels, evidence: Evidence) -> Finding:
    level = levels.level(best)
    if levels.ends_grid(level):
        return edge(levels, evidence, best, iso=iso)
    cost = evidence.costs[best].ratio
    test = FreshTest(arm=best, over=evidence.baseline, kind=SUPERIOR, value=level, duration=cost)
    return found(CANDIDATE, levels, evidence, best, iso=iso, test=test)


def planned(bound: Bound) -> Bound:
    """The bound of a contrast that the claim named, not the data: nothing was chosen, so Student below.

    Dunnett's correction pays for picking a level among those tried; a claim about one level picks none.
    """
    return replace(bound, lower=2.0 * bound.gain - bound.upper)


def judge_quality(levels: FactorLevels, evidence: Evidence) -> Finding:
    """The claimed level is the best there is, and better than the default."""
    claimed = claimed_arm(QUALITY, levels, evidence)
    if claimed is None:
        return unclaimed(QUALITY, levels)
    over, base, margin = evidence.contrasts.over, evidence.baseline, evidence.margin.percent
    rivals = [arm for arm in evidence.finite(levels) if arm != claimed]
    gain = planned(over(claimed, base))
    nearest = max((over(arm, claimed) for arm in rivals), key=lambda bound: bound.upper, default=None)
    if gain.lower > 0 and (nearest is None or nearest.upper < margin):
        reasons = () if rivals else ("no other level was tested against it",)
        value = levels.level(claimed)
        return found(CONFIRM, levels, evidence, claimed, *reasons, bound=gain, value=value)
    if all(over(arm, base).upper < margin for arm in (claimed, *rivals)):
        test = FreshTest(arm=claimed, over=base, kind=BELOW, limit=margin, value=levels.default)
        return found(CANDIDATE, levels, evidence, claimed, "smaller buys nothing", bound=gain, test=test)
    # better than the claimed level is not enough: both may be worse than the default
    better = [arm for arm in rivals if over(arm, claimed).lower > 0 and over(arm, base).lower > 0]
    if better:
        return _better_than(claimed, better, levels, evidence)
    return found(UNDECIDED, levels, evidence, claimed, open_gain(gain, evidence), bound=gain)


def _better_than(claimed: str, better: Sequence[str], levels: FactorLevels, evidence: Evidence) -> Finding:
    gains = {arm: evidence.contrasts.over(arm, claimed) for arm in better}
    best = modest(better, gains, levels, evidence.margin.percent)
    level = levels.level(best)
    if levels.ends_grid(level):
        return edge(levels, evidence, best, bound=gains[best])
    test = FreshTest(arm=best, over=claimed, kind=SUPERIOR, value=level)
    return found(CANDIDATE, levels, evidence, best, bound=gains[best], test=test)


def judge_speed(levels: FactorLevels, evidence: Evidence) -> Finding:
    """The claimed level saves time that matters, at a loss that does not, and nothing faster does."""
    claimed = claimed_arm(SPEED, levels, evidence)
    if claimed is None:
        return unclaimed(SPEED, levels)
    costs, rule = evidence.costs, evidence.rule
    finite = evidence.finite(levels)
    if any(arm not in costs for arm in finite):
        return unknown(levels, "the cost was not measured")
    gains = {arm: evidence.gain(arm) for arm in finite}
    gain, cost = planned(gains[claimed]), costs[claimed]
    limit, enough = -rule.speed_loss_percent, 1.0 / rule.cost_ratio
    faster = [arm for arm in finite if costs[arm].ratio < cost.ratio / rule.cost_ratio]
    # a level that may be that much faster counts against the claim until it is shown not to be
    maybe = [arm for arm in finite if arm != claimed and least_ratio(costs[arm], cost, rule.alpha) <= enough]
    saves = cost.upper < enough
    if saves and gain.lower > limit and all(gains[arm].upper < limit for arm in maybe):
        return found(CONFIRM, levels, evidence, claimed, bound=gain, value=levels.level(claimed))
    rivals = [arm for arm in (faster if saves else finite) if arm != claimed]
    good = [arm for arm in rivals if costs[arm].upper < enough and gains[arm].lower > limit]
    if good:
        best = min(good, key=lambda arm: costs[arm].ratio)
        return _faster(best, gains[best], levels, evidence)
    if cost.lower > enough:
        reason = "no time gained here"
        return found(REFINE, levels, evidence, claimed, reason, bound=gain, value=levels.default)
    if gain.upper < limit:
        test = FreshTest(arm=claimed, over=evidence.baseline, kind=BELOW, limit=limit, value=levels.default)
        reason = "it costs more loss than allowed"
        return found(CANDIDATE, levels, evidence, claimed, reason, bound=gain, test=test)
    rival = max(maybe, key=lambda arm: gains[arm].upper, default=None)
    reason = _unsettled(gain, cost)
    if saves and gain.lower > limit and rival is not None:
        reason = _open_rival(levels.label(rival), gains[rival])
    return found(UNDECIDED, levels, evidence, claimed, reason, bound=gain)


def _faster(best: str, gain: Bound, levels: FactorLevels, evidence: Evidence) -> Finding:
    test = FreshTest(
        arm=best,
        over=evidence.baseline,
        kind=NOT_WORSE,
        limit=evidence.rule.speed_loss_percent,
        value=levels.level(best),
    )
    return found(CANDIDATE, levels, evidence, best, bound=gain, test=test)


def _open_rival(label: str, gain: Bound) -> str:
    return (
        f"{label} may be faster still and gains between {gain.lower:+.2f} % and "
        f"{gain.upper:+.2f} %; whether it loses too much is open"
    )


def _unsettled(gain: Bound, cost: CostRatio) -> str:
    return (
        f"time {cost.ratio:.2f} times the default's ({cost.lower:.2f} to {cost.upper:.2f}), gain between "
        f"{gain.lower:+.2f} % and {gain.upper:+.2f} %; saving and price are not both settled"
    )
