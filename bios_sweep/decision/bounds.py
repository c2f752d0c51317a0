"""The gain of an arm with its one-sided bounds, and the moderated variance that they rest on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

from bios_sweep.decision.student import student_quantile
from bios_sweep.decision.table import Floats

PRIOR = 2  # docs/statistics.md, item 3: the other contrasts weigh as much as two more seeds


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One variation's gain in percent of the baseline, with one-sided bounds at the same level.

    pooled: whether the error is that of all arms together (version 1 of the rule, `earlier_rule`). clusters:
    those whose evaluation error is included, 0 for a statement about this evaluation set only. over: the arm
    that the gain is over; empty: the baseline. how: what of that arm it is over, where not its own quality,
    such as `{} trained as long`. seeds: how many it rests on. spread: sample variance of the gain over them.
    noise: variance of one seed's gain that the standard error took for it. over_clusters: variance of the
    gain over the clusters, as they showed it.
    """

    arm: str
    gain: float
    lower: float
    upper: float
    standard_error: float
    pooled: bool = False
    clusters: int = 0
    over: str = ""
    how: str = ""
    seeds: int = 0
    spread: float = 0.0
    noise: float = 0.0
    over_clusters: float = 0.0


def unbounded(arm: str, gain: float) -> Bound:
    """The gain at one seed, which has no error estimate."""
    return Bound(arm=arm, gain=gain, lower=-math.inf, upper=math.inf, standard_error=math.inf, seeds=1)


def paired_bound(arm: str, gains: Floats, alpha: float) -> Bound:
    """One paired one-sided t on fresh seeds: gains of one arm over the baseline, shape (S,), percent."""
    seeds = gains.shape[0]
    mean, spread = float(gains.mean()), float(gains.var(ddof=1))
    error = math.sqrt(spread / seeds)
    width = student(alpha, seeds - 1) * error
    return Bound(
        arm=arm,
        gain=mean,
        lower=mean - width,
        upper=mean + width,
        standard_error=error,
        seeds=seeds,
        spread=spread,
        noise=spread,
    )


def moderated(spread: float, others: Floats, freedom: float, prior: float = PRIOR) -> tuple[float, float]:
    """The variance taken for one contrast, and its degrees of freedom.

    Three seeds tell a variance within a factor of six, so it leans on what the other contrasts with the same
    reference show, as if their median had been seen on two seeds more; never below its own, or a contrast
    that is noisier than the others would pass too often. others: sample variances of those; zero says
    nothing of the noise (an arm that changed nothing), and without any the contrast stands alone. freedom: of
    each; prior: how many degrees the others weigh.
    """
    told = [other for other in others.tolist() if other > 0]
    if not told:
        return spread, freedom
    leaning = (prior * median(told) + freedom * spread) / (freedom + prior)
    return max(leaning, spread), freedom + prior


@lru_cache(maxsize=1024)
def student(alpha: float, nu: float) -> float:
    """The one-sided (1 - alpha) quantile of Student's t."""
    return student_quantile(1.0 - alpha, nu)
