"""A default that claims to be the best there is: no tested level lowers the loss by what matters. Pure."""

from __future__ import annotations

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import Evidence, more_seeds, open_gain
from bios_sweep.decision.claims.judgement import Judgement
from bios_sweep.decision.finding import EDGE, SUPERIOR, FactorLevels, Finding, FreshTest
from bios_sweep.reasons import Reason
from bios_sweep.vocabulary import Word


def judge_optimum(levels: FactorLevels, evidence: Evidence) -> Finding:
    """By loss alone (docs/statistics.md, item 6); a level's cost plays no part, so the finding has none."""
    own = [evidence.gain(arm) for arm in evidence.finite(levels)]
    nearest = max(own, key=lambda bound: bound.upper)
    if nearest.upper < evidence.margin.percent:
        return _found(Word.CONFIRM, levels, nearest, *levels.one_sided([bound.arm for bound in own]))
    still_open = [
        bound for bound in own if bound.upper >= evidence.margin.percent or not evidence.rule.excludes
    ]
    better = [bound for bound in still_open if bound.lower > 0]
    if not better:
        leading = max(still_open, key=lambda bound: bound.gain)
        reasons = (open_gain(nearest, evidence), more_seeds(still_open, evidence))
        return _found(Word.UNDECIDED, levels, leading, *reasons)
    best = max(better, key=lambda bound: bound.gain)
    level = levels.level(best.arm)
    if levels.ends_grid(level):
        return _found(Word.INCONCLUSIVE, levels, best, EDGE(level=levels.label(best.arm)))
    test = FreshTest(arm=best.arm, over=evidence.baseline, kind=SUPERIOR, value=level)
    return _found(Word.CANDIDATE, levels, best, test=test)


def _found(
    state: str, levels: FactorLevels, bound: Bound, *reasons: Reason, test: FreshTest | None = None
) -> Finding:
    return Finding(factor=levels.name, state=state, best=bound.arm, bound=bound, reasons=reasons, test=test)


JUDGEMENT = Judgement(judge=judge_optimum, excludes=True)
