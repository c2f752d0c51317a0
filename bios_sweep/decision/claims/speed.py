"""A batch size that claims to save time. Pure. See docs/statistics.md, item 13."""

from __future__ import annotations

from typing import Any

from bios_sweep.claims import CLAIMS
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import Evidence, claimed_arm, found, planned, unclaimed, unknown
from bios_sweep.decision.claims.iso_cost import NO_COST
from bios_sweep.decision.claims.judgement import Judgement, Words
from bios_sweep.decision.claims.said import Said
from bios_sweep.decision.claims.truth import Truth
from bios_sweep.decision.costs import least_ratio
from bios_sweep.decision.finding import BELOW, NOT_WORSE, FactorLevels, Finding, FreshTest
from bios_sweep.reasons import Kind
from bios_sweep.vocabulary import Word

SPEED = CLAIMS["speed"]
NO_TIME_GAINED = Kind("no time gained here")
TOO_MUCH_LOSS = Kind("it costs more loss than allowed")
OPEN_RIVAL = Kind(
    "{level} may be faster still and gains between {lower:+.2f} and {upper:+.2f}; "
    "whether it loses too much is open",
    bounded=True,
)
UNSETTLED = Kind(
    "time {ratio:.2f} times the default's ({least:.2f} to {most:.2f}), gain between {lower:+.2f} and "
    "{upper:+.2f}; saving and price are not both settled",
    bounded=True,
)


def judge_speed(levels: FactorLevels, evidence: Evidence) -> Finding:
    """The claimed level saves time that matters, at a loss that does not, and nothing faster does."""
    claimed = claimed_arm(SPEED, levels, evidence)
    if claimed is None:
        return unclaimed(SPEED, levels)
    costs, rule = evidence.costs, evidence.rule
    finite = evidence.finite(levels)
    if any(arm not in costs for arm in finite):
        return unknown(levels, NO_COST())
    gains = {arm: evidence.gain(arm) for arm in finite}
    gain, cost = planned(gains[claimed]), costs[claimed]
    limit, enough = -rule.speed_loss_percent, 1.0 / rule.cost_ratio
    faster = [arm for arm in finite if costs[arm].ratio < cost.ratio / rule.cost_ratio]
    # a level that may be that much faster counts against the claim until it is shown not to be
    maybe = [arm for arm in finite if arm != claimed and least_ratio(costs[arm], cost, rule.alpha) <= enough]
    saves = cost.upper < enough
    if saves and gain.lower > limit and all(gains[arm].upper < limit for arm in maybe):
        return found(Word.CONFIRM, levels, evidence, claimed, bound=gain, value=levels.level(claimed))
    rivals = [arm for arm in (faster if saves else finite) if arm != claimed]
    good = [arm for arm in rivals if costs[arm].upper < enough and gains[arm].lower > limit]
    if good:
        best = min(good, key=lambda arm: costs[arm].ratio)
        return _faster(best, gains[best], levels, evidence)
    if cost.lower > enough:
        reason = NO_TIME_GAINED()
        return found(Word.REFINE, levels, evidence, claimed, reason, bound=gain, value=levels.default)
    if gain.upper < limit:
        test = FreshTest(arm=claimed, over=evidence.baseline, kind=BELOW, limit=limit, value=levels.default)
        reason = TOO_MUCH_LOSS()
        return found(Word.CANDIDATE, levels, evidence, claimed, reason, bound=gain, test=test)
    rival = max(maybe, key=lambda arm: gains[arm].upper, default=None)
    told = evidence.margin.told
    reason = UNSETTLED(
        ratio=cost.ratio,
        least=cost.lower,
        most=cost.upper,
        lower=told(gain.lower),
        upper=told(gain.upper),
    )
    if saves and gain.lower > limit and rival is not None:
        lower, upper = told(gains[rival].lower), told(gains[rival].upper)
        reason = OPEN_RIVAL(level=levels.label(rival), lower=lower, upper=upper)
    return found(Word.UNDECIDED, levels, evidence, claimed, reason, bound=gain)


def _faster(best: str, gain: Bound, levels: FactorLevels, evidence: Evidence) -> Finding:
    test = FreshTest(
        arm=best,
        over=evidence.baseline,
        kind=NOT_WORSE,
        limit=evidence.rule.speed_loss_percent,
        value=levels.level(best),
    )
    return found(Word.CANDIDATE, levels, evidence, best, bound=gain, test=test)


def _confirmed(said: Said) -> str:
    return (
        f"{said.default} {said.takes()} {said.loses()}; no tested level that saves much more "
        "time stays within the loss that speed may cost"
    )


def _harms(truth: Truth, level: Any) -> bool:
    if level == truth.default:
        return truth.fast_enough(truth.claimed)
    return not truth.fast_enough(level)


JUDGEMENT = Judgement(
    judge=judge_speed,
    confirmed=_confirmed,
    limit=lambda rule: rule.speed_loss_percent,
    wrong_confirmation=lambda truth: not truth.fast_enough(truth.claimed),
    wrong_refinement=_harms,
    smaller_first=True,
    words=Words(
        confirmed="it saves time that matters, and loses less than speed may cost",
        refined="another value suits this goal",
        goal="when time is short",
        turns_down=(
            "costs more loss than speed may",
            "cost more loss than speed may",
            "lose more than speed may",
        ),
        margin="speed: the loss that it may cost",
    ),
)
