"""What a default claims of itself, judged on the shared seeds (statistics, item 13). Pure.

A learning rate claims to be an optimum; a batch size to be the balance of loss and time, to give the best
loss, or to save time; a rank and a number of steps to be enough, or the least that will do. One screening
answers all claims of a factor. Every confirmation is an intersection of tests, so alpha is not divided;
whatever would change a default is a candidate with a test for fresh seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bios_sweep.analysis.bounds import Bound
from bios_sweep.analysis.contrasts import Contrasts
from bios_sweep.analysis.costs import CostRatio
from bios_sweep.analysis.finding import (
    BELOW,
    CANDIDATE,
    CONFIRM,
    EDGE,
    INCONCLUSIVE,
    NOT_WORSE,
    REFINE,
    SHARE,
    SUPERIOR,
    UNDECIDED,
    FactorLevels,
    Finding,
    FreshTest,
    Margin,
)
from bios_sweep.study.claims import BALANCED, ENOUGH, MINIMUM, QUALITY, SPEED, claimed_level
from bios_sweep.study.decision import DecisionRule

SAME_COST = 1.05  # costs this near the yardstick's end count as its end; chosen, below what matters (1.2)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a claim is judged on.

    contrasts: of the shared seeds, baseline first. costs: arm -> time ratio to the baseline; an arm that
    was not timed is missing. durations: multiple of the default's steps -> arm, 1.0 being the baseline.
    gained: gain of the default over the untouched model per seed, percent, shape (S,), None if unknown.
    sensitive: whether something in the study could be seen to be worse. diverged: arms that diverged.
    """

    contrasts: Contrasts
    margin: Margin
    rule: DecisionRule
    costs: Mapping[str, CostRatio]
    durations: Mapping[float, str]
    gained: tuple[float, ...] | None
    sensitive: bool
    diverged: frozenset[str]

    @property
    def baseline(self) -> str:
        """The default's arm."""
        return self.contrasts.blocks.arms[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that count."""
        return self.contrasts.blocks.seeds


def judge_claim(claim: str, levels: FactorLevels, evidence: Evidence) -> Finding:
    """The finding for one claim of a factor with at least one finite level; `optimum` is judged elsewhere."""
    finding = JUDGES[claim](levels, evidence)
    diverged = tuple(arm for arm in levels.arms if arm in evidence.diverged)
    bounds = tuple(evidence.contrasts.over(arm, evidence.baseline) for arm in _finite(levels, evidence))
    finding = replace(finding, diverged=diverged, bounds=bounds, seeds=evidence.seeds)
    if claim == MINIMUM and finding.bound is not None:  # the untouched model is not known by cluster
        finding = replace(finding, bound=replace(finding.bound, clusters=0))
    if not evidence.sensitive and _rests_on_no_loss(finding):
        reason = "insensitive: nothing in this study could have been worse"
        return replace(finding, state=INCONCLUSIVE, test=None, reasons=(reason,))
    return finding


def _rests_on_no_loss(finding: Finding) -> bool:
    """Whether the finding is that nothing was lost or gained: only a study that could see it may say so."""
    if finding.state == CONFIRM:
        return True
    test = finding.test if finding.state == CANDIDATE else None
    return test is not None and (test.kind == NOT_WORSE or (test.kind == BELOW and test.limit > 0))


def _balanced(levels: FactorLevels, evidence: Evidence) -> Finding:
    """Another batch size must beat the default trained for the same time: duration is a dial everyone has."""
    isos = {arm: iso_cost_gain(arm, evidence) for arm in _finite(levels, evidence)}
    known = {arm: bound for arm, bound in isos.items() if isinstance(bound, Bound)}
    if not known:
        return _open(levels, evidence, str(next(iter(isos.values()))))
    nearest = max(known, key=lambda arm: known[arm].upper)
    if len(known) == len(isos) and known[nearest].upper < evidence.margin.percent:
        return _found(
            CONFIRM,
            levels,
            evidence,
            nearest,
            *levels.one_sided(_finite(levels, evidence)),
            iso=known[nearest],
        )
    better = [arm for arm, bound in known.items() if bound.lower > 0]
    if better:
        best = _modest(better, known, levels, evidence.margin.percent)
        if levels.ends_grid(levels.level(best)):
            return _edge(levels, evidence, best, iso=known[best])
        cost = evidence.costs[best].ratio
        test = FreshTest(
            arm=best, over=evidence.baseline, kind=SUPERIOR, value=levels.level(best), duration=cost
        )
        return _found(CANDIDATE, levels, evidence, best, iso=known[best], test=test)
    missing = [str(reason) for reason in isos.values() if not isinstance(reason, Bound)]
    reasons = (open_gain(known[nearest], evidence, "at the same time"), *missing)
    return _found(UNDECIDED, levels, evidence, nearest, *reasons, iso=known[nearest])


def planned(bound: Bound) -> Bound:
    """The bound of a contrast that the claim named, not the data: nothing was chosen, so Student below.

    Dunnett's correction pays for picking a level among those tried; a claim about one level picks none.
    """
    return replace(bound, lower=2.0 * bound.gain - bound.upper)


def iso_cost_gain(arm: str, evidence: Evidence) -> Bound | str:
    """The gain of an arm over the default trained for the same time, or why it is not known."""
    weights = iso_weights(arm, evidence)
    return weights if isinstance(weights, str) else evidence.contrasts.weighted(arm, weights)


def iso_weights(arm: str, evidence: Evidence) -> dict[str, float] | str:
    """The contrast of an arm with the default trained for the same time, or why there is none.

    Per seed, between the default's own duration arms, linear in ln(cost); no extrapolation.
    """
    cost = evidence.costs.get(arm)
    if cost is None:
        return "the cost was not measured"
    usable = {ratio: name for ratio, name in evidence.durations.items() if evidence.contrasts.has(name)}
    if not usable:
        return "the default was not trained for other durations"
    ratio = _nearest_inside(cost.ratio, min(usable), max(usable))
    if ratio is None:
        return f"{arm} costs {cost.ratio:.2f} times the default and no duration of the default costs as much"
    low = max(known for known in usable if known <= ratio)
    high = min(known for known in usable if known >= ratio)
    share = 0.0 if low == high else math.log(ratio / low) / math.log(high / low)
    weights = {arm: 1.0}
    for name, weight in ((usable[low], 1.0 - share), (usable[high], share)):
        weights[name] = weights.get(name, 0.0) - weight
    return {name: weight for name, weight in weights.items() if weight}


def _nearest_inside(ratio: float, low: float, high: float) -> float | None:
    inside = min(max(ratio, low), high)
    return inside if max(ratio / inside, inside / ratio) <= SAME_COST else None


def _quality(levels: FactorLevels, evidence: Evidence) -> Finding:
    """The claimed level is the best there is, and better than the default."""
    claimed = _claimed_arm(QUALITY, levels, evidence)
    if claimed is None:
        return _unclaimed(QUALITY, levels, evidence)
    over, base, margin = evidence.contrasts.over, evidence.baseline, evidence.margin.percent
    rivals = [arm for arm in _finite(levels, evidence) if arm != claimed]
    gain = planned(over(claimed, base))
    value = levels.level(claimed)
    nearest = max((over(arm, claimed) for arm in rivals), key=lambda bound: bound.upper, default=None)
    if gain.lower > 0 and (nearest is None or nearest.upper < margin):
        reasons = () if rivals else ("no other level was tested against it",)
        return _found(CONFIRM, levels, evidence, claimed, *reasons, bound=gain, value=value)
    if all(over(arm, base).upper < margin for arm in (claimed, *rivals)):
        test = FreshTest(arm=claimed, over=base, kind=BELOW, limit=margin, value=levels.default)
        return _found(CANDIDATE, levels, evidence, claimed, "smaller buys nothing", bound=gain, test=test)
    # better than the claimed level is not enough: both may be worse than the default
    better = [arm for arm in rivals if over(arm, claimed).lower > 0 and over(arm, base).lower > 0]
    if better:
        best = _modest(better, {arm: over(arm, claimed) for arm in better}, levels, margin)
        bound = over(best, claimed)
        if levels.ends_grid(levels.level(best)):
            return _edge(levels, evidence, best, bound=bound)
        test = FreshTest(arm=best, over=claimed, kind=SUPERIOR, value=levels.level(best))
        return _found(CANDIDATE, levels, evidence, best, bound=bound, test=test)
    return _found(UNDECIDED, levels, evidence, claimed, open_gain(gain, evidence), bound=gain)


def _speed(levels: FactorLevels, evidence: Evidence) -> Finding:
    """The claimed level saves time that matters, at a loss that does not, and nothing faster does."""
    claimed = _claimed_arm(SPEED, levels, evidence)
    if claimed is None:
        return _unclaimed(SPEED, levels, evidence)
    costs, rule = evidence.costs, evidence.rule
    finite = _finite(levels, evidence)
    if any(arm not in costs for arm in finite):
        return _open(levels, evidence, "the cost was not measured")
    gains = {arm: evidence.contrasts.over(arm, evidence.baseline) for arm in finite}
    gain, cost, limit = planned(gains[claimed]), costs[claimed], -rule.speed_loss_percent
    faster = [arm for arm in finite if costs[arm].ratio < cost.ratio / rule.cost_ratio]
    saves = cost.upper < 1.0 / rule.cost_ratio
    if saves and gain.lower > limit and all(gains[arm].upper < limit for arm in faster):
        return _found(CONFIRM, levels, evidence, claimed, bound=gain, value=levels.level(claimed))
    good = [
        arm
        for arm in (faster if saves else finite)
        if arm != claimed and costs[arm].upper < 1.0 / rule.cost_ratio and gains[arm].lower > limit
    ]
    if good:
        best = min(good, key=lambda arm: costs[arm].ratio)
        test = FreshTest(
            arm=best,
            over=evidence.baseline,
            kind=NOT_WORSE,
            limit=rule.speed_loss_percent,
            value=levels.level(best),
        )
        return _found(CANDIDATE, levels, evidence, best, bound=gains[best], test=test)
    if cost.lower > 1.0 / rule.cost_ratio:
        return _found(
            REFINE, levels, evidence, claimed, "no time gained here", bound=gain, value=levels.default
        )
    if gain.upper < limit:
        test = FreshTest(arm=claimed, over=evidence.baseline, kind=BELOW, limit=limit, value=levels.default)
        return _found(
            CANDIDATE, levels, evidence, claimed, "it costs more loss than allowed", bound=gain, test=test
        )
    rival = max(faster, key=lambda arm: gains[arm].upper, default=None)
    if saves and gain.lower > limit and rival is not None:
        reason = (
            f"{levels.label(rival)} is faster still and gains between {gains[rival].lower:+.2f} % and "
            f"{gains[rival].upper:+.2f} %; whether it loses too much is open"
        )
        return _found(UNDECIDED, levels, evidence, claimed, reason, bound=gain)
    reason = (
        f"time {cost.ratio:.2f} times the default's ({cost.lower:.2f} to {cost.upper:.2f}), gain between "
        f"{gain.lower:+.2f} % and {gain.upper:+.2f} %; saving and price are not both settled"
    )
    return _found(UNDECIDED, levels, evidence, claimed, reason, bound=gain)


def _enough(levels: FactorLevels, evidence: Evidence) -> Finding:
    """More brings nothing that matters, and less loses something or saves nothing."""
    finite = _finite(levels, evidence)
    gains = {arm: evidence.contrasts.over(arm, evidence.baseline) for arm in finite}
    larger = [arm for arm in finite if levels.level(arm) > levels.default]
    smaller = sorted((arm for arm in finite if levels.level(arm) < levels.default), key=levels.level)
    margin = evidence.margin.percent
    better = [arm for arm in finite if gains[arm].lower > 0 and gains[arm].upper >= margin]
    if better:
        best = _modest(better, gains, levels, margin)
        if levels.ends_grid(levels.level(best)):
            return _edge(levels, evidence, best)
        test = FreshTest(arm=best, over=evidence.baseline, kind=SUPERIOR, value=levels.level(best))
        return _found(CANDIDATE, levels, evidence, best, test=test)
    more_might = any(gains[arm].upper >= margin for arm in larger)
    too_much = next((arm for arm in smaller if _spares(arm, gains[arm], evidence)), None)
    if too_much is not None and not more_might:
        test = FreshTest(
            arm=too_much,
            over=evidence.baseline,
            kind=NOT_WORSE,
            limit=margin,
            value=levels.level(too_much),
        )
        return _found(CANDIDATE, levels, evidence, too_much, test=test)
    nearest = max(larger or smaller, key=lambda arm: gains[arm].upper)
    if not larger:
        return _found(UNDECIDED, levels, evidence, nearest, "no larger level was tested")
    if gains[nearest].upper >= margin:
        return _found(UNDECIDED, levels, evidence, nearest, open_gain(gains[nearest], evidence))
    if not smaller:
        return _found(CONFIRM, levels, evidence, nearest, "confirmed against larger only")
    return _next_lower(smaller[-1], nearest, gains, levels, evidence)


def _next_lower(
    lower: str, nearest: str, gains: Mapping[str, Bound], levels: FactorLevels, evidence: Evidence
) -> Finding:
    """Nothing larger matters; whether the level below the default would do as well, and for less.

    It may fail to in two ways, by its loss or by its cost. Where both are measured the two tests share
    alpha: at the corner where each is just not true, either one would be wrong too often by itself.
    """
    cost = evidence.costs.get(lower)
    ways = 1 if cost is None or cost.exact else 2
    loss = evidence.contrasts.over(lower, evidence.baseline, ways)
    loses = loss.upper < -evidence.margin.percent
    if loses or (
        cost is not None and cost.below(evidence.rule.alpha / ways) > 1.0 / evidence.rule.cost_ratio
    ):
        return _found(CONFIRM, levels, evidence, nearest)
    if cost is None:
        reason = f"the cost was not measured, so whether {levels.label(lower)} saves anything is open"
        return _found(UNDECIDED, levels, evidence, lower, reason)
    reason = (
        f"{levels.label(lower)} costs {cost.ratio:.2f} times as much and gains between "
        f"{gains[lower].lower:+.2f} % and {gains[lower].upper:+.2f} %; whether it would do is open"
    )
    return _found(UNDECIDED, levels, evidence, lower, reason)


def _spares(arm: str, gain: Bound, evidence: Evidence) -> bool:
    """Whether a smaller level is shown to lose less than the margin and to save a fifth of the cost."""
    cost = evidence.costs.get(arm)
    saves = cost is not None and cost.upper < 1.0 / evidence.rule.cost_ratio
    return saves and gain.lower > -evidence.margin.percent


def _minimum(levels: FactorLevels, evidence: Evidence) -> Finding:
    """The claimed steps reach so much of what the default gains over the untouched model, and no fewer do."""
    claimed = _claimed_arm(MINIMUM, levels, evidence)
    if claimed is None:
        return _unclaimed(MINIMUM, levels, evidence)
    if evidence.gained is None:
        return _open(levels, evidence, "the untouched model was not measured, so there is no gain to share")
    if evidence.contrasts.own("gained", np.asarray(evidence.gained)).lower <= 0:
        return _open(levels, evidence, "the default is not shown to gain over the untouched model")
    tested = sorted((arm for arm in _finite(levels, evidence)), key=levels.level)
    shares = {arm: share_bound(arm, evidence) for arm in tested}
    least = next((arm for arm in tested if shares[arm].lower > 0), None)
    own = shares[claimed]
    value = levels.level(claimed)
    if least == claimed:
        return _found(CONFIRM, levels, evidence, claimed, value=value)
    settled = own.lower > 0 or own.upper < 0  # the claimed steps pass or fail for sure
    if least is not None and levels.level(least) < levels.default and settled:
        test = FreshTest(
            arm=least,
            over=evidence.baseline,
            kind=SHARE,
            limit=evidence.rule.minimum_share,
            value=levels.level(least),
        )
        return _found(CANDIDATE, levels, evidence, least, test=test)
    share = f"{evidence.rule.minimum_share:.0%} of the default's gain"
    reason = f"whether {value} steps reach {share} is open"
    if own.upper < 0:
        reason = f"{value} steps do not reach {share}, and no tested number below the default's is shown to"
    return _found(UNDECIDED, levels, evidence, claimed, reason)


def share_bound(arm: str, evidence: Evidence) -> Bound:
    """The lower and upper bound of gain(arm) - share * gain(default), both over the untouched model.

    Above 0: the arm reaches the share. Linear in the losses, so a paired bound needs no ratio.
    """
    assert evidence.gained is not None  # checked by the caller
    gains = evidence.contrasts.per_seed({arm: 1.0, evidence.baseline: -1.0})
    return evidence.contrasts.own(
        arm, gains + (1.0 - evidence.rule.minimum_share) * np.asarray(evidence.gained)
    )


JUDGES: Mapping[str, Callable[[FactorLevels, Evidence], Finding]] = {
    BALANCED: _balanced,
    QUALITY: _quality,
    SPEED: _speed,
    ENOUGH: _enough,
    MINIMUM: _minimum,
}


def _found(
    state: str,
    levels: FactorLevels,
    evidence: Evidence,
    arm: str,
    *reasons: str,
    bound: Bound | None = None,
    iso: Bound | None = None,
    test: FreshTest | None = None,
    value: object = None,
) -> Finding:
    return Finding(
        factor=levels.name,
        state=state,
        best=arm,
        bound=bound or evidence.contrasts.over(arm, evidence.baseline),
        reasons=reasons,
        cost=evidence.costs.get(arm),
        iso=iso,
        test=test,
        value=value,
    )


def _open(levels: FactorLevels, evidence: Evidence, reason: str) -> Finding:
    return Finding(factor=levels.name, state=INCONCLUSIVE, reasons=(reason,))


def _unclaimed(claim: str, levels: FactorLevels, evidence: Evidence) -> Finding:
    level = claimed_level(claim, levels.default)
    return _open(levels, evidence, f"the level {level} that the claim is about was not tested, or diverged")


def _edge(
    levels: FactorLevels, evidence: Evidence, arm: str, bound: Bound | None = None, iso: Bound | None = None
) -> Finding:
    reason = f"{EDGE} the best level {levels.label(arm)} ends the grid"
    return _found(INCONCLUSIVE, levels, evidence, arm, reason, bound=bound, iso=iso)


def open_gain(bound: Bound, evidence: Evidence, how: str = "") -> str:
    """Why a gain decides nothing: its bounds leave both open."""
    words = f" {how}" if how else ""
    return (
        f"gain{words} between {bound.lower:+.2f} % and {bound.upper:+.2f} % ({bound.arm}); "
        f"{evidence.margin.percent:.2f} % is neither shown nor excluded"
    )


def _finite(levels: FactorLevels, evidence: Evidence) -> list[str]:
    return [arm for arm in levels.arms if evidence.contrasts.has(arm)]


def _claimed_arm(claim: str, levels: FactorLevels, evidence: Evidence) -> str | None:
    level = claimed_level(claim, levels.default)
    return next((arm for arm in _finite(levels, evidence) if levels.level(arm) == level), None)


def _modest(better: Sequence[str], gains: Mapping[str, Bound], levels: FactorLevels, margin: float) -> str:
    """Of the better levels whose estimates are within the margin of the best one, that nearest the default.

    On a plateau all levels gain the same, and the largest estimate is whichever had the luckier noise: taken
    alone it would name the end of the grid in every other study. Fresh seeds still have to show the gain.
    """
    most = max(gains[arm].gain for arm in better)
    close = [arm for arm in better if gains[arm].gain >= margin and most - gains[arm].gain < margin]
    return min(close or better, key=lambda arm: abs(math.log(levels.level(arm) / levels.default)))
