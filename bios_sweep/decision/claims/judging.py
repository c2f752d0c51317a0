"""What a default claims of itself, judged on the shared seeds: what is common to all claims. Pure."""

from __future__ import annotations

from dataclasses import replace

from bios_sweep.claims import Claim
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import INSENSITIVE, Evidence, more_seeds
from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.finding import BELOW, EDGE, NOT_WORSE, FactorLevels, Finding
from bios_sweep.reasons import is_any
from bios_sweep.vocabulary import Word


def judge_claim(claim: Claim, levels: FactorLevels, evidence: Evidence) -> Finding:
    """The finding for one claim of a factor with at least one finite level."""
    finding = judgement_of(claim).judge(levels, evidence)
    diverged = tuple(arm for arm in levels.arms if arm in evidence.diverged)
    bounds = tuple(evidence.gain(arm) for arm in evidence.finite(levels))
    finding = replace(finding, diverged=diverged, bounds=bounds, seeds=evidence.seeds)
    finding = replace(finding, excluded=tuple(arm for arm in levels.arms if arm in evidence.excluded))
    finding = replace(finding, rival=_rival(finding, levels, evidence))
    if not evidence.sensitive and _rests_on_no_loss(finding):
        return replace(finding, state=Word.INCONCLUSIVE, test=None, reasons=(INSENSITIVE(),))
    left_open = finding.iso or finding.bound
    if finding.state != Word.UNDECIDED or not claim.by_gain or left_open is None:
        return finding
    return replace(finding, reasons=(*finding.reasons, more_seeds((left_open,), evidence)))


def _rival(finding: Finding, levels: FactorLevels, evidence: Evidence) -> Bound | None:
    """What may gain most over an arm that leads; of an arm that runs no more its earlier bound counts."""
    best, leads = finding.best, finding.state == Word.CANDIDATE or is_any(finding.reasons, EDGE)
    if not leads or best is None or not evidence.contrasts.has(best):
        return None
    here = [evidence.baseline, *(arm for arm in levels.arms if evidence.contrasts.has(arm))]
    rivals = [evidence.contrasts.among(arm, best, here, len(here)) for arm in here if arm != best]
    lead = evidence.gain(best).lower
    for arm in finding.excluded:
        early = evidence.excluded[arm]
        rivals.append(replace(early, over=best, gain=early.gain - lead, upper=early.upper - lead))
    return max(rivals, key=lambda bound: bound.upper)


def _rests_on_no_loss(finding: Finding) -> bool:
    """Whether the finding is that nothing was lost or gained: only a study that could see it may say so."""
    if finding.state == Word.CONFIRM:
        return True
    test = finding.test if finding.state == Word.CANDIDATE else None
    return test is not None and (test.kind == NOT_WORSE or (test.kind == BELOW and test.limit > 0))
