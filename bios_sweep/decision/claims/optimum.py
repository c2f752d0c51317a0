"""A default that claims to be the best there is: no tested level lowers the loss by what matters. Pure."""

from __future__ import annotations

from bios_sweep.decision.claims.evidence import Evidence, edge, found, more_seeds, open_gain
from bios_sweep.decision.claims.judgement import Judgement
from bios_sweep.decision.finding import SUPERIOR, FactorLevels, Finding, FreshTest
from bios_sweep.vocabulary import Word


def judge_optimum(levels: FactorLevels, evidence: Evidence) -> Finding:
    """By loss alone (docs/statistics.md, item 6); a level's cost is told where known, and plays no part."""
    own = [evidence.gain(arm) for arm in evidence.finite(levels)]
    nearest = max(own, key=lambda bound: bound.upper)
    if nearest.upper < evidence.margin.percent:
        one_sided = levels.one_sided([bound.arm for bound in own])
        return found(Word.CONFIRM, levels, evidence, nearest.arm, *one_sided, bound=nearest)
    still_open = [
        bound for bound in own if bound.upper >= evidence.margin.percent or not evidence.rule.excludes
    ]
    better = [bound for bound in still_open if bound.lower > 0]
    if not better:
        leading = max(still_open, key=lambda bound: bound.gain)
        reasons = (open_gain(nearest, evidence), more_seeds(still_open, evidence))
        return found(Word.UNDECIDED, levels, evidence, leading.arm, *reasons, bound=leading)
    best = max(better, key=lambda bound: bound.gain)
    level = levels.level(best.arm)
    if levels.ends_grid(level):
        return edge(levels, evidence, best.arm, best)
    test = FreshTest(arm=best.arm, over=evidence.baseline, kind=SUPERIOR, value=level)
    return found(Word.CANDIDATE, levels, evidence, best.arm, bound=best, test=test)


JUDGEMENT = Judgement(judge=judge_optimum, excludes=True)
