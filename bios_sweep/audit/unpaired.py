"""Arms that cannot be paired with the default seed by seed, judged by their own spread. Pure.

Two kinds: a table in which every run has a seed of its own, and single arms that lack most of the shared
seeds. The second take no part in a comparison, but a confirmation must exclude these rivals all the same.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bios_sweep.audit.blocks_of_runs import Outcomes, Sorted
from bios_sweep.decision.bounds import Bound, student
from bios_sweep.decision.claims.evidence import INSENSITIVE, OPEN_GAIN
from bios_sweep.decision.finding import EDGE, UNPAIRED, FactorLevels, Finding, Margin
from bios_sweep.decision.gates import BASELINE_DIVERGED, NO_PERCENT, is_sensitive
from bios_sweep.decision.table import ResultTable
from bios_sweep.decision.verdicts import screen
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.units import Scale
from bios_sweep.vocabulary import Status, Word

RIVAL = Kind("{level} {why}, and a gain of {margin:.2f} is not excluded there ({bound})")
ONE_RUN = Kind("no arm has two runs, so that nothing has an error estimate")


def _range(bound: Bound, scale: Scale) -> str:
    return f"{scale.number(bound.lower):+.2f} to {scale.told(bound.upper):+.2f}"


def rival(level: str, why: Reason, bound: Bound | None, margin: Margin) -> Reason:
    """Why a level that was set aside stops a word: what its own seeds leave open."""
    told = "one run has no bound" if bound is None else _range(bound, margin.scale)
    lower = margin.told(-math.inf if bound is None else bound.lower)
    return RIVAL(level=level, why=why, margin=margin.told(margin.percent), bound=told, lower=lower)


@dataclass(frozen=True, kw_only=True)
class Unpaired:
    """Screened outcomes with what bounds are made of.

    arms: those that are compared, the baseline first. rule: with the one-sided alpha of one look. tried:
    variations that share it.
    """

    outcomes: Outcomes
    arms: tuple[str, ...]
    metric: Metric
    rule: DecisionRule
    tried: int

    @property
    def baseline(self) -> str:
        """The default's arm."""
        return self.arms[0]

    @cached_property
    def values(self) -> Mapping[str, Mapping[int, float]]:
        """Arm -> its usable values by seed."""
        found: dict[str, dict[int, float]] = defaultdict(dict)
        for (arm, seed), one in self.outcomes.items():
            if one.usable:
                found[arm][seed] = one.value
        return found

    def _level(self, mean: float) -> float:
        points = self.rule.margin_points is not None
        table = ResultTable(
            arms=self.arms, seeds=(), outcomes=self.outcomes, metric=self.metric, points=points
        )
        return table.level(mean)

    def rival(self, arm: str) -> Bound | None:
        """The bound of an arm that lacks shared seeds: paired on those that it has, else by its own spread.

        Paired, it has the error that the compared arms show at these seeds too.
        """
        own, base = self.values.get(arm, {}), self.values.get(self.baseline, {})
        both = tuple(sorted(own.keys() & base.keys()))
        if len(both) < 2:
            return self.apart(arm)
        whole = [name for name in self.arms if self.values.get(name, {}).keys() >= set(both) and name != arm]
        table = ResultTable(arms=(*whole, arm), seeds=both, outcomes=self.outcomes, metric=self.metric)
        levels = FactorLevels(name=arm, default=None, arms=(arm,), levels=(arm,), labels=(arm,))
        rule = replace(self.rule, looks=(len(both),))
        return next(iter(screen(table, [levels], rule, self.tried)[arm].bounds), None)

    def apart(self, arm: str) -> Bound | None:
        """Welch's interval (1947) of the gain, percent of the default's mean; None below two runs of each."""
        own, base = (np.array([*self.values.get(name, {}).values()]) for name in (arm, self.baseline))
        if len(own) < 2 or len(base) < 2 or not (level := self._level(float(base.mean()))):
            return None
        scale = 100.0 * self.metric.sign / level
        gain = float((own.mean() - base.mean()) * scale)
        parts = [float(values.var(ddof=1)) * scale**2 / len(values) for values in (own, base)]
        total = sum(parts)
        error = math.sqrt(total)
        freedom = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (own, base), strict=True))
        nu = total**2 / freedom if freedom else math.inf
        below, above = (
            _quantile(alpha, nu) * error for alpha in (self.rule.alpha / self.tried, self.rule.alpha)
        )
        return Bound(
            arm=arm,
            gain=gain,
            lower=gain - below,
            upper=gain + above,
            standard_error=error,
            seeds=len(own),
        )


def _quantile(alpha: float, nu: float) -> float:
    """Student's quantile at whole degrees of freedom, rounded down: the wider side."""
    return student(alpha, max(1, min(10_000, math.floor(nu))))


def diverged(outcomes: Outcomes, arm: str) -> bool:
    """Whether a run of the arm diverged."""
    return any(
        one.status == Status.DIVERGED or (one.status == Status.COMPLETED and not one.usable)
        for (own, _), one in outcomes.items()
        if own == arm
    )


def judge_unpaired(
    runs: Sorted, factors: Sequence[FactorLevels], found: Unpaired, margin: Margin | None
) -> dict[str, Finding]:
    """Every factor by the rule of the optimum (docs/statistics.md, item 6), on Welch's bounds."""
    seeds = tuple(sorted({seed for arm, seed in runs.screened if arm == found.baseline}))
    every = {arm: found.apart(arm) for levels in factors for arm in levels.arms}
    bounds = {
        arm: bound for arm, bound in every.items() if bound is not None and not diverged(runs.screened, arm)
    }
    return {levels.name: _judged(levels, bounds, runs, found, margin, seeds) for levels in factors}


def _judged(
    levels: FactorLevels,
    every: Mapping[str, Bound],
    runs: Sorted,
    found: Unpaired,
    margin: Margin | None,
    seeds: tuple[int, ...],
) -> Finding:
    own = tuple(every[arm] for arm in levels.arms if arm in every)
    gone = tuple(arm for arm in levels.arms if diverged(runs.screened, arm))
    empty = Finding(
        factor=levels.name,
        state=Word.INCONCLUSIVE,
        bounds=own,
        diverged=gone,
        seeds=seeds,
        reasons=(UNPAIRED(),),
    )
    if diverged(runs.screened, found.baseline):
        return replace(empty, reasons=(BASELINE_DIVERGED(count=1, seeds=len(seeds)),))
    if margin is None:
        return replace(empty, reasons=(NO_PERCENT(),))
    if not own:
        return replace(empty, reasons=(ONE_RUN(),))
    nearest = max(own, key=lambda bound: bound.upper)
    better = [bound for bound in own if bound.lower > 0]
    best = max(better or own, key=lambda bound: bound.gain)
    if nearest.upper < margin.percent:
        if not is_sensitive(every.values(), margin):
            return replace(empty, best=nearest.arm, bound=nearest, reasons=(INSENSITIVE(), UNPAIRED()))
        reasons = (UNPAIRED(), *levels.one_sided([bound.arm for bound in own]))
        return replace(empty, state=Word.CONFIRM, best=nearest.arm, bound=nearest, reasons=reasons)
    if not better:
        told = {"lower": nearest.lower, "upper": nearest.upper, "margin": margin.percent}
        facts = {name: margin.told(percent) for name, percent in told.items()}
        reason = OPEN_GAIN(arm=levels.label(nearest.arm), **facts)
        return replace(empty, best=nearest.arm, bound=nearest, reasons=(reason, UNPAIRED()))
    if levels.ends_grid(levels.level(best.arm)):
        reasons = (EDGE(level=levels.label(best.arm)), UNPAIRED())
        return replace(empty, best=best.arm, bound=best, reasons=reasons)
    return replace(empty, state=Word.CANDIDATE, best=best.arm, bound=best)
