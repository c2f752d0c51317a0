"""What every claim is judged on, and how a judge says what it found. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bios_sweep.claims import Claim
from bios_sweep.decision.bounds import Bound, student
from bios_sweep.decision.contrasts import Contrasts
from bios_sweep.decision.costs import CostRatio
from bios_sweep.decision.finding import EDGE, FactorLevels, Finding, FreshTest, Margin
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.design import DecisionRule
from bios_sweep.vocabulary import Word

INSENSITIVE = Kind("insensitive: nothing in this study could have been worse")
UNCLAIMED = Kind("the level {level} that the claim is about was not tested, or diverged")
OPEN_GAIN = Kind(
    "gain between {lower:+.2f} and {upper:+.2f} ({arm}); {margin:.2f} is neither shown nor excluded",
    bounded=True,
)
OPEN_AT_ONE_COST = Kind(OPEN_GAIN.words.replace("gain", "gain at the same time", 1), bounded=True)
NEAR_THE_MARGIN = Kind("the gain lies too near the margin for more seeds to decide soon")
# told beside a table alone: under a verdict of ours stands the step that would settle it, with its own seeds
MORE_SEEDS = Kind("about {seeds} seeds would decide at this noise (a new study on fresh seeds)")
OF_SEEDS = (MORE_SEEDS, NEAR_THE_MARGIN)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a claim is judged on.

    contrasts: of the shared seeds, baseline first. costs: arm -> time ratio to the baseline; an arm that
    was not timed is missing. durations: multiple of the default's steps -> arm, 1.0 being the baseline.
    gained: gain of the default over the untouched model per seed, percent, shape (S,), None if unknown.
    sensitive: whether something in the study could be seen to be worse. diverged: arms that diverged.
    excluded: of the question, arms that an earlier look showed to gain less than the margin, with that bound.
    """

    contrasts: Contrasts
    margin: Margin
    rule: DecisionRule
    costs: Mapping[str, CostRatio]
    durations: Mapping[float, str]
    gained: tuple[float, ...] | None
    sensitive: bool
    diverged: frozenset[str]
    excluded: Mapping[str, Bound] = field(default_factory=dict)

    @property
    def baseline(self) -> str:
        """The default's arm."""
        return self.contrasts.blocks.arms[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that count."""
        return self.contrasts.blocks.seeds

    def gain(self, arm: str) -> Bound:
        """The gain of an arm over the default, percent of the default's mean."""
        if arm in self.excluded:
            return self.excluded[arm]
        return self.contrasts.over(arm, self.baseline)

    def finite(self, levels: FactorLevels) -> list[str]:
        """The factor's arms that never diverged."""
        return [arm for arm in levels.arms if self.contrasts.has(arm) or arm in self.excluded]


def claimed_arm(claim: Claim, levels: FactorLevels, evidence: Evidence) -> str | None:
    """The arm of the level that a claim is about; None where it was not tested, or diverged."""
    level = claim.claimed(levels.default)
    return next((arm for arm in evidence.finite(levels) if levels.level(arm) == level), None)


def modest(better: Sequence[str], gains: Mapping[str, Bound], levels: FactorLevels, margin: float) -> str:
    """Of the better levels whose estimates are within the margin of the best one, that nearest the default.

    On a plateau all levels gain the same, and the largest estimate is whichever had the luckier noise: taken
    alone it would name the end of the grid in every other study. Fresh seeds still have to show the gain.
    """
    most = max(gains[arm].gain for arm in better)
    close = [arm for arm in better if gains[arm].gain >= margin and most - gains[arm].gain < margin]
    return min(close or better, key=lambda arm: abs(math.log(levels.level(arm) / levels.default)))


def planned(bound: Bound) -> Bound:
    """The bound of a contrast that the claim named, not the data: nothing was chosen, so Student below.

    The correction pays for picking a level among those tried; a claim about one level picks none.
    """
    return replace(bound, lower=2.0 * bound.gain - bound.upper)


def found(
    state: str,
    levels: FactorLevels,
    evidence: Evidence,
    arm: str,
    *reasons: Reason,
    bound: Bound | None = None,
    iso: Bound | None = None,
    test: FreshTest | None = None,
    value: object = None,
) -> Finding:
    """A finding about an arm, with its cost; by default with its gain over the default."""
    return Finding(
        factor=levels.name,
        state=state,
        best=arm,
        bound=bound or evidence.gain(arm),
        reasons=reasons,
        cost=evidence.costs.get(arm),
        iso=iso,
        test=test,
        value=value,
    )


def edge(
    levels: FactorLevels, evidence: Evidence, arm: str, bound: Bound | None = None, iso: Bound | None = None
) -> Finding:
    """The best level is the last one tested, so that the best of all may lie beyond it."""
    reason = EDGE(level=levels.label(arm))
    return found(Word.INCONCLUSIVE, levels, evidence, arm, reason, bound=bound, iso=iso)


def unknown(levels: FactorLevels, reason: Reason) -> Finding:
    """Something that the claim rests on was not measured, so there is no arm to speak of."""
    return Finding(factor=levels.name, state=Word.INCONCLUSIVE, reasons=(reason,))


def unclaimed(claim: Claim, levels: FactorLevels) -> Finding:
    """The level that the claim is about has no result."""
    return unknown(levels, UNCLAIMED(level=claim.claimed(levels.default)))


def open_gain(bound: Bound, evidence: Evidence, kind: Kind = OPEN_GAIN) -> Reason:
    """Why a gain decides nothing: its bounds leave both open."""
    told = evidence.margin.told
    return kind(
        lower=told(bound.lower), upper=told(bound.upper), arm=bound.arm, margin=told(evidence.margin.percent)
    )


def more_seeds(open_bounds: Sequence[Bound], evidence: Evidence) -> Reason:
    """About how many seeds would decide at this noise; an estimate from the present gains.

    What the evaluation set adds to a bound (`Bound.clusters`) no seed takes away.
    """
    rule, now = evidence.rule, len(evidence.seeds)
    quantile = student(rule.alpha / len(rule.looks), 30)
    needed = now + 1
    for bound in open_bounds:
        width, distance = quantile * math.sqrt(bound.noise), abs(evidence.margin.percent - bound.gain)
        if distance * 10 < width / math.sqrt(now):
            return NEAR_THE_MARGIN()
        needed = max(needed, math.ceil((width / distance) ** 2))
    return MORE_SEEDS(seeds=needed)
