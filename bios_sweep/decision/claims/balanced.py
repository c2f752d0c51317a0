"""A batch size that claims to be the balance of loss and time. Pure. See docs/statistics.md, item 13."""

from __future__ import annotations

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import (
    OPEN_AT_ONE_COST,
    Evidence,
    edge,
    found,
    modest,
    open_gain,
    unknown,
)
from bios_sweep.decision.claims.iso_cost import iso_cost_gain
from bios_sweep.decision.claims.judgement import Judgement, Words, no_larger
from bios_sweep.decision.claims.said import Said
from bios_sweep.decision.claims.truth import Truth
from bios_sweep.decision.finding import SUPERIOR, FactorLevels, Finding, FreshTest
from bios_sweep.reasons import Reason
from bios_sweep.vocabulary import Word


def judge_balanced(levels: FactorLevels, evidence: Evidence) -> Finding:
    """Another batch size must beat the default trained for the same time: duration is a dial everyone has."""
    isos = {arm: iso_cost_gain(arm, evidence) for arm in evidence.finite(levels)}
    known = {arm: bound for arm, bound in isos.items() if isinstance(bound, Bound)}
    if not known:
        return unknown(levels, next(reason for reason in isos.values() if isinstance(reason, Reason)))
    nearest = max(known, key=lambda arm: known[arm].upper)
    if len(known) == len(isos) and known[nearest].upper < evidence.margin.percent:
        sides = levels.one_sided(evidence.finite(levels))
        return found(Word.CONFIRM, levels, evidence, nearest, *sides, iso=known[nearest])
    better = [arm for arm, bound in known.items() if bound.lower > 0]
    if better:
        best = modest(better, known, levels, evidence.margin.percent)
        return _better_at_the_same_time(best, known[best], levels, evidence)
    missing = [reason for reason in isos.values() if isinstance(reason, Reason)]
    reasons = (open_gain(known[nearest], evidence, OPEN_AT_ONE_COST), *missing)
    return found(Word.UNDECIDED, levels, evidence, nearest, *reasons, iso=known[nearest])


def _better_at_the_same_time(best: str, iso: Bound, levels: FactorLevels, evidence: Evidence) -> Finding:
    level = levels.level(best)
    if levels.ends_grid(level):
        return edge(levels, evidence, best, iso=iso)
    cost = evidence.costs[best].ratio
    test = FreshTest(arm=best, over=evidence.baseline, kind=SUPERIOR, value=level, duration=cost)
    return found(Word.CANDIDATE, levels, evidence, best, iso=iso, test=test)


def _confirmed(said: Said) -> str:
    if said.finding.iso is None:
        return no_larger(said)
    return (
        f"no tested level ({said.compared()}; {said.runs()}) improves by {said.least} or "
        f"more on the default trained for the same time; largest upper {said.level} bound "
        f"{said.upper} (at {said.best})" + _train_longer(said)
    )


def _train_longer(said: Said) -> str:
    """`64 buys 0.80 % for 1.8 times the time; training the default as long buys 0.75 %: train longer`."""
    cost, iso, plain = said.finding.cost, said.finding.iso, said.finding.bound
    if cost is None or iso is None or plain is None or cost.lower <= 1.0 or plain.gain <= 0:
        return ""
    buys = plain.gain - iso.gain
    if buys <= 0:  # training longer buys nothing either
        return ""
    return (
        f"; {said.best} buys {said.told(plain.gain):.2f} for {cost.ratio:.1f} times the time, training the "
        f"default that long buys {said.told(buys):.2f}: train longer instead"
    )


def _overlooks(truth: Truth) -> bool:
    return max(map(truth.iso, truth.gains)) >= truth.margin


JUDGEMENT = Judgement(
    judge=judge_balanced,
    confirmed=_confirmed,
    wrong_confirmation=_overlooks,
    wrong_refinement=lambda truth, level: truth.iso(level) <= 0,
    smaller_first=True,
    words=Words(
        confirmed="at the same cost no tested alternative is better by as much as matters",
        refined="another value is the better deal at the same cost, on fresh seeds",
        needs="whether it is the right balance of quality and time; that needs times of one device",
    ),
)
