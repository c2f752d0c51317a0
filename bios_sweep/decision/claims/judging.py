"""What a default claims of itself, judged on the shared seeds (docs/statistics.md, items 6 and 13). Pure.

A learning rate claims to be an optimum; a batch size to be the balance of loss and time, to give the best
loss, or to save time; a rank and a number of steps to be enough, or the least that will do. One screening
answers all claims of a factor. Every confirmation is an intersection of tests, so alpha is not divided;
whatever would change a default is a candidate with a test for fresh seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from bios_sweep.decision.claims.evidence import INSENSITIVE, Evidence, more_seeds
from bios_sweep.decision.claims.optimum import judge_optimum
from bios_sweep.decision.claims.saturating import judge_enough, judge_minimum
from bios_sweep.decision.claims.trade_offs import judge_balanced, judge_quality, judge_speed
from bios_sweep.decision.finding import (
    BELOW,
    CANDIDATE,
    CONFIRM,
    INCONCLUSIVE,
    NOT_WORSE,
    UNDECIDED,
    FactorLevels,
    Finding,
)
from bios_sweep.study.claims import BALANCED, ENOUGH, IDENTICAL, MINIMUM, OPTIMUM, QUALITY, SPEED

BY_GAIN = (BALANCED, QUALITY, ENOUGH)  # claims that one gain leaves open, so that seeds would settle them

JUDGES: Mapping[str, Callable[[FactorLevels, Evidence], Finding]] = {
    OPTIMUM: judge_optimum,
    IDENTICAL: judge_optimum,  # the same settings once more may gain nothing that matters
    BALANCED: judge_balanced,
    QUALITY: judge_quality,
    SPEED: judge_speed,
    ENOUGH: judge_enough,
    MINIMUM: judge_minimum,
}


def judge_claim(claim: str, levels: FactorLevels, evidence: Evidence) -> Finding:
    """The finding for one claim of a factor with at least one finite level."""
    finding = JUDGES[claim](levels, evidence)
    diverged = tuple(arm for arm in levels.arms if arm in evidence.diverged)
    bounds = tuple(evidence.gain(arm) for arm in evidence.finite(levels))
    finding = replace(finding, diverged=diverged, bounds=bounds, seeds=evidence.seeds)
    if claim == MINIMUM and finding.bound is not None:  # the untouched model is not known by cluster
        finding = replace(finding, bound=replace(finding.bound, clusters=0))
    if not evidence.sensitive and _rests_on_no_loss(finding):
        return replace(finding, state=INCONCLUSIVE, test=None, reasons=(INSENSITIVE,))
    left_open = finding.iso or finding.bound
    if finding.state != UNDECIDED or claim not in BY_GAIN or left_open is None:
        return finding
    return replace(finding, reasons=(*finding.reasons, more_seeds((left_open,), evidence)))


def _rests_on_no_loss(finding: Finding) -> bool:
    """Whether the finding is that nothing was lost or gained: only a study that could see it may say so."""
    if finding.state == CONFIRM:
        return True
    test = finding.test if finding.state == CANDIDATE else None
    return test is not None and (test.kind == NOT_WORSE or (test.kind == BELOW and test.limit > 0))
