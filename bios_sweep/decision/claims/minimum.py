"""A number of steps that claims to be the least that will do. Pure. See docs/statistics.md, item 13."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bios_sweep.claims import CLAIMS
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import Evidence, claimed_arm, found, unclaimed, unknown
from bios_sweep.decision.claims.judgement import Judgement, Words
from bios_sweep.decision.claims.said import Said
from bios_sweep.decision.finding import SHARE, FactorLevels, Finding, FreshTest, share_of
from bios_sweep.reasons import Kind
from bios_sweep.vocabulary import Word

MINIMUM = CLAIMS["minimum"]
NO_UNTOUCHED = Kind("the untouched model was not measured, so there is no gain to share")
NO_GAIN = Kind("the default is not shown to gain over the untouched model")
SHARE_OPEN = Kind("whether {level} steps reach {share:.0%} of the default's gain is open")
SHARE_MISSED = Kind(
    "{level} steps do not reach {share:.0%} of the default's gain, "
    "and no tested number below the default's is shown to"
)


def judge_minimum(levels: FactorLevels, evidence: Evidence) -> Finding:
    """The claimed steps reach so much of what the default gains over the untouched model, and no fewer do."""
    claimed = claimed_arm(MINIMUM, levels, evidence)
    if claimed is None:
        return unclaimed(MINIMUM, levels)
    if evidence.gained is None:
        return unknown(levels, NO_UNTOUCHED())
    if evidence.contrasts.own("gained", np.asarray(evidence.gained)).lower <= 0:
        return unknown(levels, NO_GAIN())
    tested = sorted(evidence.finite(levels), key=levels.level)
    shares = {arm: share_bound(arm, evidence) for arm in tested}
    least = next((arm for arm in tested if shares[arm].lower > 0), None)
    own = shares[claimed]
    if least == claimed:
        return found(Word.CONFIRM, levels, evidence, claimed, bound=own, value=levels.level(claimed))
    settled = own.lower > 0 or own.upper < 0  # the claimed steps pass or fail for sure
    if least is not None and levels.level(least) < levels.default and settled:
        return _reaches(least, shares[least], levels, evidence)
    kind = SHARE_MISSED if own.upper < 0 else SHARE_OPEN
    reason = kind(level=levels.level(claimed), share=evidence.rule.minimum_share)
    return found(Word.UNDECIDED, levels, evidence, claimed, reason, bound=own)


def _reaches(least: str, share: Bound, levels: FactorLevels, evidence: Evidence) -> Finding:
    test = FreshTest(
        arm=least,
        over=evidence.baseline,
        kind=SHARE,
        limit=evidence.rule.minimum_share,
        value=levels.level(least),
    )
    return found(Word.CANDIDATE, levels, evidence, least, bound=share, test=test)


def share_bound(arm: str, evidence: Evidence) -> Bound:
    """The lower and upper bound of gain(arm) - share * gain(default), both over the untouched model.

    Above 0: the arm reaches the share. Linear in the losses, so a paired bound needs no ratio.
    """
    assert evidence.gained is not None  # checked by the caller
    gains = evidence.contrasts.per_seed({arm: 1.0, evidence.baseline: -1.0})
    rest = (1.0 - evidence.rule.minimum_share) * np.asarray(evidence.gained)
    own = evidence.contrasts.own(arm, gains + rest)
    # the untouched model is not known by cluster
    return replace(own, how=share_of(evidence.rule.minimum_share), clusters=0)


def _confirmed(said: Said) -> str:
    tested = said.compared(lambda level: not level > said.claimed)
    fewer = f"; fewer ({tested}) are not shown to" if tested else "; fewer were not tested"
    return (
        f"{said.default} steps are shown to reach the share of the default's gain that the minimum "
        f"must ({said.seeds} seeds, {said.level}){fewer}"
    )


JUDGEMENT = Judgement(
    judge=judge_minimum,
    confirmed=_confirmed,
    limit=lambda _rule: 0.0,  # a share is reached above 0
    wrong_confirmation=lambda truth: truth.share(truth.claimed) < truth.rule.minimum_share,
    wrong_refinement=lambda truth, level: truth.share(level) < truth.rule.minimum_share,
    smaller_first=False,
    words=Words(
        confirmed="it reaches the share of the gain that is asked for",
        refined="another value is the least that reaches the share",
        goal="as the least that pays",
        advice="the least that pays is {value}; no goal is served with it",
        margin="a minimum: 0, its share is reached above it",
    ),
)
