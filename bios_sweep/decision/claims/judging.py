"""What a default claims of itself, judged on the shared seeds: what is common to all claims. Pure."""

from __future__ import annotations

from dataclasses import replace

from bios_sweep.claims import Claim
from bios_sweep.decision.claims.evidence import INSENSITIVE, Evidence, more_seeds
from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.finding import BELOW, NOT_WORSE, FactorLevels, Finding
from bios_sweep.vocabulary import Word


def judge_claim(claim: Claim, levels: FactorLevels, evidence: Evidence) -> Finding:
    """The finding for one claim of a factor with at least one finite level."""
    finding = judgement_of(claim).judge(levels, evidence)
    diverged = tuple(arm for arm in levels.arms if arm in evidence.diverged)
    bounds = tuple(evidence.gain(arm) for arm in evidence.finite(levels))
    finding = replace(finding, diverged=diverged, bounds=bounds, seeds=evidence.seeds)
    finding = replace(finding, excluded=tuple(arm for arm in levels.arms if arm in evidence.excluded))
    if not evidence.sensitive and _rests_on_no_loss(finding):
        return replace(finding, state=Word.INCONCLUSIVE, test=None, reasons=(INSENSITIVE(),))
    left_open = finding.iso or finding.bound
    if finding.state != Word.UNDECIDED or not claim.by_gain or left_open is None:
        return finding
    return replace(finding, reasons=(*finding.reasons, more_seeds((left_open,), evidence)))


def _rests_on_no_loss(finding: Finding) -> bool:
    """Whether the finding is that nothing was lost or gained: only a study that could see it may say so."""
    if finding.state == Word.CONFIRM:
        return True
    test = finding.test if finding.state == Word.CANDIDATE else None
    return test is not None and (test.kind == NOT_WORSE or (test.kind == BELOW and test.limit > 0))
