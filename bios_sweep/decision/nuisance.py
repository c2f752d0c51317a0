"""A factor whose levels each have their own best learning rate: best against best. Pure.

Without the ladder at the default's own level, a default that is off by two in its learning rate loses to
any level that moved the rate along, and the batch size would be praised for it (docs/statistics.md, item 11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.claims import Against, Claim
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import INSENSITIVE, OPEN_AT_ONE_COST, Evidence, open_gain
from bios_sweep.decision.claims.iso_cost import iso_weights
from bios_sweep.decision.finding import AS_LONG, EDGE, SUPERIOR, FactorLevels, Finding, FreshTest
from bios_sweep.decision.rows import RateRow
from bios_sweep.reasons import Kind, Reason
from bios_sweep.vocabulary import Status, Word

NO_RIVAL = Kind("every re-tuned arm of the other levels diverged")
LADDER_ENDS = Kind("the default level's best {setting} ends its ladder: the best may lie beyond")
DEPENDS = Kind("the conclusion depends on the {setting} at {levels}")
NO_BETTER_AS_LONG = Kind(
    "better at its best learning rate, but not than the default trained for the same time"
)
BETTER, WORSE, ALIKE, OPEN = "better", "worse", "no better by what matters", "open"


@dataclass(frozen=True, kw_only=True)
class NuisanceLadder:
    """The arms of every level of a factor; the default's level comes first.

    arms: level -> its arms, the one with the baseline's nuisance value first. values: arm -> the nuisance
    setting's value there.
    """

    setting: str
    arms: Mapping[Any, tuple[str, ...]]
    values: Mapping[str, float]


def judge_ladder(claim: Claim, levels: FactorLevels, ladder: NuisanceLadder, evidence: Evidence) -> Finding:
    """The finding for a nuisance-aware factor.

    A level is a candidate only if its best arm beats every arm of the default's level; the default is
    confirmed when no arm of another level beats its best arm by the margin. Tukey bounds over all arms of
    the factor. A balance must besides beat, or not beat, the default trained for the same time.
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
    if claim.against == Against.AS_LONG:
        finding = _weighed(finding, levels, comparison, evidence)
    if len(ladder.arms[own]) > 1 and comparison.default in _rate_ends(ladder, own):
        finding = replace(finding, reasons=(*finding.reasons, LADDER_ENDS(setting=ladder.setting)))
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


def best_arm(arms: tuple[str, ...], evidence: Evidence) -> str:
    """The arm with the best mean; the first (the baseline's nuisance value) among equals."""
    return max(arms, key=lambda arm: evidence.contrasts.over(arm, evidence.baseline).gain)


def _rate_ends(ladder: NuisanceLadder, level: Any) -> tuple[str, str]:
    """The arms of a level with the smallest and the largest nuisance value."""
    ordered = sorted(ladder.arms[level], key=lambda arm: ladder.values[arm])
    return ordered[0], ordered[-1]


def _weighed(finding: Finding, levels: FactorLevels, comparison: _Comparison, evidence: Evidence) -> Finding:
    """The same decision with time weighed in: against the default trained for as long.

    The default's longer and shorter runs have the baseline's learning rate; what re-tuning it gains is
    taken to be the same for them. The default's best arm was picked by looking, so the upper bounds hold
    for each of its arms.
    """
    isos: dict[Any, Bound] = {}
    missing: list[Reason] = []
    for level, arm in comparison.best.items():
        plain = levels.arms[levels.levels.index(level)]
        weights = iso_weights(plain, evidence)
        if isinstance(weights, Reason):
            missing.append(weights)
            continue
        moved = {**weights}
        weight = moved.pop(plain)
        for name, change in ((arm, weight), (comparison.default, -1.0), (evidence.baseline, 1.0)):
            moved[name] = moved.get(name, 0.0) + change
        iso = evidence.contrasts.weighted(
            arm,
            {name: value for name, value in moved.items() if abs(value) > 1e-12},
            ways=len(comparison.own),
        )
        isos[level] = replace(iso, over=evidence.contrasts.rival(comparison.default), how=AS_LONG)
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
