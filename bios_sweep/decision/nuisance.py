"""A factor whose levels each have their own best learning rate: best against best. Pure.

Without the ladder at the default's own level, a default that is off by two in its learning rate loses to
any level that moved the rate along, and the batch size would be praised for it (docs/statistics.md, item 11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bios_sweep.claims import Against, Claim
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import INSENSITIVE, OPEN_AT_ONE_COST, Evidence, open_gain
from bios_sweep.decision.claims.iso_cost import iso_weights
from bios_sweep.decision.earlier_rule import ladder_ends
from bios_sweep.decision.finding import AS_LONG, EDGE, SUPERIOR, FactorLevels, Finding, FreshTest
from bios_sweep.decision.ladder import NuisanceLadder, best_arm, ladder_edges
from bios_sweep.decision.rows import RateRow
from bios_sweep.reasons import Kind, Reason
from bios_sweep.vocabulary import Status, Word

NO_RIVAL = Kind("every re-tuned arm of the other levels diverged")
DEPENDS = Kind("the conclusion depends on the {setting} at {levels}")
NO_BETTER_AS_LONG = Kind(
    "better at its best learning rate, but not than the default trained for the same time"
)
BETTER, WORSE, ALIKE, OPEN = "better", "worse", "no better by what matters", "open"


def judge_ladder(claim: Claim, levels: FactorLevels, ladder: NuisanceLadder, evidence: Evidence) -> Finding:
    """The finding for a nuisance-aware factor.

    A level is a candidate only if its best arm beats every arm of the default's level; the default is
    confirmed when no arm of another level beats its best arm by the margin. Tukey bounds over all arms of
    the factor. A balance must besides beat, or not beat, the default trained for the same time. Neither
    word is given where the ladder of a level that could still matter ends too early.
    """
    finite = {
        level: tuple(arm for arm in arms if evidence.contrasts.has(arm))
        for level, arms in ladder.arms.items()
    }
    own, *others = finite
    rivals = {level: finite[level] for level in others if finite[level]}
    tables = tuple(_by_rate(level, ladder, finite, evidence) for level in rivals)
    if not finite[own] or not rivals:
        return Finding(
            factor=levels.name, state=Word.INCONCLUSIVE, reasons=(NO_RIVAL(),), seeds=evidence.seeds
        )
    comparison = _Comparison(finite[own], rivals, evidence, tried=sum(map(len, ladder.arms.values())))
    finding = comparison.decide(levels)
    uppers = {level: comparison.gain(arm, comparison.default).upper for level, arm in comparison.best.items()}
    if claim.against == Against.AS_LONG:
        isos = comparison.at_one_cost(levels)
        finding = _weighed(finding, levels, isos, evidence)
        uppers |= {
            level: max(uppers[level], iso.upper) for level, iso in isos.items() if isinstance(iso, Bound)
        }
    judged = {own: finite[own], **rivals}
    if evidence.rule.version == 1:
        reasons = (*finding.reasons, *ladder_ends(ladder, own, comparison.default))
        finding = replace(finding, reasons=reasons)
    else:
        finding = _closed(finding, tuple(ladder_edges(ladder, judged, uppers, evidence)))
    if any(row.differs for row in tables):
        changed = ", ".join(str(row.level) for row in tables if row.differs)
        reason = DEPENDS(setting=ladder.setting, levels=changed)
        finding = replace(finding, reasons=(*finding.reasons, reason))
    diverged = tuple(arm for arms in ladder.arms.values() for arm in arms if arm in evidence.diverged)
    bounds = tuple(
        evidence.contrasts.over(arm, evidence.baseline) for arm in levels.arms if evidence.contrasts.has(arm)
    )
    return replace(finding, by_rate=tables, diverged=diverged, bounds=bounds, seeds=evidence.seeds)


class _Comparison:
    """Best arm of every level against the default level's best."""

    def __init__(
        self, own: tuple[str, ...], rivals: Mapping[Any, tuple[str, ...]], evidence: Evidence, tried: int
    ) -> None:
        self.own, self.rivals, self.evidence, self.tried = own, rivals, evidence, tried
        self.default = best_arm(own, evidence)
        self.best = {level: best_arm(arms, evidence) for level, arms in rivals.items()}
        self.family = (*own, *(arm for arms in rivals.values() for arm in arms))

    def gain(self, arm: str, other: str) -> Bound:
        """Tukey's bound among all arms of the factor, those that diverged included."""
        return self.evidence.contrasts.among(arm, other, self.family, self.tried)

    def decide(self, levels: FactorLevels) -> Finding:
        """By loss alone."""
        evidence = self.evidence
        gains = {level: self.gain(arm, self.default) for level, arm in self.best.items()}
        ahead = [
            level
            for level, arm in self.best.items()
            if all(self.gain(arm, other).lower > 0 for other in self.own)
        ]
        if ahead:
            level = max(ahead, key=lambda level: gains[level].gain)
            if levels.ends_grid(level):
                return self._found(Word.INCONCLUSIVE, levels, level, gains[level], EDGE(level=level))
            test = FreshTest(arm=self.best[level], over=self.default, kind=SUPERIOR, value=level)
            return replace(self._found(Word.CANDIDATE, levels, level, gains[level]), test=test)
        nearest_level, nearest = max(
            ((level, self.gain(arm, self.default)) for level, arms in self.rivals.items() for arm in arms),
            key=lambda pair: pair[1].upper,
        )
        if nearest.upper >= evidence.margin.percent:
            return self._found(Word.UNDECIDED, levels, nearest_level, nearest, open_gain(nearest, evidence))
        if not evidence.sensitive:
            return self._found(Word.INCONCLUSIVE, levels, nearest_level, nearest, INSENSITIVE())
        return self._found(Word.CONFIRM, levels, nearest_level, nearest)

    def at_one_cost(self, levels: FactorLevels) -> dict[Any, Bound | Reason]:
        """What each level gains over the default trained for as long, or why that is not known.

        The default's longer and shorter runs have the baseline's learning rate; what re-tuning it gains is
        taken to be the same for them. The default's best arm was picked by looking, so the upper bounds
        hold for each of its arms.
        """
        return {level: self._at_one_cost(arm, levels, level) for level, arm in self.best.items()}

    def _at_one_cost(self, arm: str, levels: FactorLevels, level: Any) -> Bound | Reason:
        evidence, plain = self.evidence, levels.arms[levels.levels.index(level)]
        weights = iso_weights(plain, evidence)
        if isinstance(weights, Reason):
            return weights
        moved = {**weights}
        weight = moved.pop(plain)
        for name, change in ((arm, weight), (self.default, -1.0), (evidence.baseline, 1.0)):
            moved[name] = moved.get(name, 0.0) + change
        iso = evidence.contrasts.weighted(
            arm, {name: value for name, value in moved.items() if abs(value) > 1e-12}, ways=len(self.own)
        )
        return replace(iso, over=evidence.contrasts.rival(self.default), how=AS_LONG)

    def _found(self, state: str, levels: FactorLevels, level: Any, bound: Bound, *reasons: Reason) -> Finding:
        plain = levels.arms[levels.levels.index(level)]
        return Finding(
            factor=levels.name,
            state=state,
            best=bound.arm,
            bound=bound,
            reasons=reasons,
            cost=self.evidence.costs.get(plain),
            value=level if state == Word.CANDIDATE else None,
        )


def _closed(finding: Finding, edges: tuple[Reason, ...]) -> Finding:
    """A finding that says which ladders end too early, and that is no word where one does."""
    if not edges:
        return finding
    finding = replace(finding, reasons=(*finding.reasons, *edges))
    if finding.state not in (Word.CANDIDATE, Word.CONFIRM):
        return finding
    return replace(finding, state=Word.INCONCLUSIVE, test=None, value=None)


def _weighed(
    finding: Finding, levels: FactorLevels, at_one_cost: Mapping[Any, Bound | Reason], evidence: Evidence
) -> Finding:
    """The same decision with time weighed in: against the default trained for as long."""
    isos = {level: iso for level, iso in at_one_cost.items() if isinstance(iso, Bound)}
    missing = [iso for iso in at_one_cost.values() if isinstance(iso, Reason)]
    wanted = finding.test.value if finding.state == Word.CANDIDATE and finding.test is not None else None
    if not isos or (missing and (finding.state == Word.CONFIRM or wanted not in isos)):
        return replace(finding, state=Word.INCONCLUSIVE, test=None, reasons=(*finding.reasons, *missing[:1]))
    if finding.state == Word.CANDIDATE and finding.test is not None:
        iso = isos[finding.test.value]
        if iso.lower <= 0:
            reasons = (NO_BETTER_AS_LONG(),)
            return replace(finding, state=Word.UNDECIDED, test=None, value=None, iso=iso, reasons=reasons)
        plain = levels.arms[levels.levels.index(finding.test.value)]
        test = replace(finding.test, duration=evidence.costs[plain].ratio)
        return replace(finding, iso=iso, test=test)
    nearest = max(isos.values(), key=lambda bound: bound.upper)
    if finding.state == Word.CONFIRM and nearest.upper >= evidence.margin.percent:
        reasons = (open_gain(nearest, evidence, OPEN_AT_ONE_COST),)
        return replace(finding, state=Word.UNDECIDED, iso=nearest, reasons=reasons)
    return replace(finding, iso=nearest)


def _by_rate(
    level: Any, ladder: NuisanceLadder, finite: Mapping[Any, tuple[str, ...]], evidence: Evidence
) -> RateRow:
    """One level at the baseline's nuisance value and at its best, and whether the two conclude alike."""
    own = next(iter(ladder.arms))
    plain = ladder.arms[level][0]
    best, default = best_arm(finite[level], evidence), best_arm(finite[own], evidence)
    same = evidence.contrasts.over(plain, evidence.baseline) if evidence.contrasts.has(plain) else None
    tuned = evidence.contrasts.over(best, default)
    conclusions = (_conclusion(same, evidence), _conclusion(tuned, evidence))
    return RateRow(
        level=level,
        label=str(level),
        gain_same_rate=None if same is None else same.gain,
        gain_best_rate=tuned.gain,
        best_rate=ladder.values[best],
        conclusion_same_rate=conclusions[0],
        conclusion_best_rate=conclusions[1],
        differs=(conclusions[0] == BETTER) != (conclusions[1] == BETTER),
    )


def _conclusion(bound: Bound | None, evidence: Evidence) -> str:
    if bound is None:
        return Status.DIVERGED
    if bound.lower > 0:
        return BETTER
    if bound.upper < 0:
        return WORSE
    return ALIKE if bound.upper < evidence.margin.percent else OPEN
