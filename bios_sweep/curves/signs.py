"""The guide's signs, read from the curves of an arm: unstable, diverged, plateau, still improving, ...

Curves are short (five measurements and the untouched model, by default) and noisy. So a rule compares two
or three points of the mean curve over seeds, and it fires only where the change is one that matters (the
study's own margin) and stands out of the noise that the seeds show. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median, stdev

import numpy as np

from bios_sweep.curves.curve import ArmCurve, arm_curve
from bios_sweep.decision.bounds import student
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import GENERAL, GENERAL_BEFORE, TrialResult
from bios_sweep.units import POINTS, with_unit
from bios_sweep.vocabulary import Status

UNSTABLE, DIVERGING, PLATEAU = "unstable", "diverged", "plateau"
IMPROVING, OVERFITTING = "still improving", "overfitting"
SLOW, QUALITY, FORGETTING = "too slow", "quality not reached", "forgetting"
SIGNS = (DIVERGING, UNSTABLE, OVERFITTING, PLATEAU, IMPROVING, FORGETTING, QUALITY, SLOW)

CHOSEN = "chosen, not measured"
ERRORS = 3.0  # standard errors that a change of the mean curve must exceed; chosen, not measured
ALONE = 2.0  # margins, for one trial, whose noise nothing tells; chosen, not measured
EARLY = 0.4  # share of training after which an early stop shows; chosen, not measured
STALLED = 0.03  # share of the gain; real trials of the embedded model make 5-13 % of theirs after EARLY
LAST = 0.8  # the last fifth of all learning rate that the schedule gives out; chosen, not measured
LEFT = 0.13  # share of the gain in it; a straight line gains 0.20, real trials that are at rest 0.04-0.08
FEWEST = 4  # measurements after step 0 that a shape needs; chosen, not measured
CONFIDENCE = 0.01  # one-sided error rate of "not reached" and "forgetting"; chosen, not measured
FORGOTTEN = 1.0  # percent, where no guardrail says another; chosen, not measured


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the thresholds are made of. margin: the smallest change of the metric that matters, in its unit.

    rule: has the percent below which training gained nothing that matters (the margin itself shrinks with the
    gain), the target, the deadline, and as a guardrail the percent that the loss on general text may rise.
    """

    margin: float
    rule: DecisionRule = field(default_factory=DecisionRule)


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One rule that fired: what was seen, its numbers, its threshold and where that comes from."""

    name: str
    seen: str
    numbers: Mapping[str, float]
    threshold: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The signs of an arm, the gravest first. unjudged: what could not be looked at, and why."""

    signs: tuple[Sign, ...] = ()
    unjudged: tuple[str, ...] = ()
    trials: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The signs by name."""
        return tuple(sign.name for sign in self.signs)


def diagnose(
    results: Sequence[TrialResult], limits: Limits, metric: Metric, schedule: str = "linear"
) -> Diagnosis:
    """The signs of the trials of one arm: one per seed, or a single one.

    schedule: of the learning rate, the arm's setting; whether a curve still improves depends on it.
    The shape of a curve shows one sign at most: what is unstable is not also called a plateau. Failed
    trials say nothing.
    """
    ended = [result for result in results if result.status in (Status.COMPLETED, Status.DIVERGED)]
    completed = [result for result in ended if result.status == Status.COMPLETED]
    found = [_diverged(ended)]
    curve = arm_curve(completed, metric)
    unjudged = []
    if curve is not None:
        curve = curve if _is_loss(metric) else replace(curve, train=None)
        shape, missing = _shape(curve, limits, schedule)
        found.append(shape)
        unjudged += [missing] if missing else []
        unjudged += [] if curve.train is not None else ["overfitting against unstable (no training loss)"]
    found += [_forgetting(completed, limits), _quality(completed, limits, metric), _slow(completed, limits)]
    signs = sorted((sign for sign in found if sign), key=lambda sign: SIGNS.index(sign.name))
    return Diagnosis(signs=tuple(signs), unjudged=tuple(unjudged), trials=len(ended))


def _is_loss(metric: Metric) -> bool:
    """Whether the training loss, in nats per token, has the metric's unit: one floor judges both.

    An accuracy or bits per byte have another unit; a loss of a user's own script is taken to have the one
    of the training loss that the script tells beside it.
    """
    return metric.direction == "minimize" and metric.name.endswith("loss")


def _diverged(ended: Sequence[TrialResult]) -> Sign | None:
    lost = [result for result in ended if result.status == Status.DIVERGED]
    if not lost:
        return None
    seen = f"{len(lost)} of {len(ended)} trials diverged"
    return Sign(
        name=DIVERGING,
        seen=f"{seen}: {lost[0].cause}" if lost[0].cause else seen,
        numbers={"diverged": len(lost), "trials": len(ended)},
        threshold=0.0,
        source="docs/statistics.md, item 2: divergence is an outcome",
    )


def _shape(curve: ArmCurve, limits: Limits, schedule: str) -> tuple[Sign | None, str]:
    """The one sign of the curve's shape, or why the shape could not be judged."""
    error = curve.error()
    floor = ALONE * limits.margin if error is None else max(limits.margin, ERRORS * error)
    source = (
        f"{ALONE:g} margins, for one trial shows no noise; {CHOSEN}"
        if error is None
        else f"the margin, or {ERRORS:g} standard errors of the mean curve where that is more; {CHOSEN}"
    )
    sign = _worse(curve, floor, source) or _spike(curve, floor, source) or _rising(curve, floor, source)
    if sign is not None:
        return sign, ""
    if len(curve.fractions) <= FEWEST:
        return None, f"plateau, still improving (budget.measurements: {FEWEST} are needed)"
    return _plateau(curve, limits, error) or _improving(curve, schedule, floor), ""


def _worse(curve: ArmCurve, floor: float, source: str) -> Sign | None:
    """Training never helped and ended above the untouched model: it left what it should improve."""
    mean = curve.mean
    lost = float(mean[-1] - mean[0])
    if lost <= floor or mean[0] - mean.min() > floor:
        return None
    seen = f"training ended worse than the untouched model by {lost:.3g}"
    return Sign(name=DIVERGING, seen=seen, numbers={"lost": lost}, threshold=floor, source=source)


def _spike(curve: ArmCurve, floor: float, source: str) -> Sign | None:
    """Up and down again between measurements; what never comes down is another sign."""
    mean = curve.mean
    sizes = [
        min(float(mean[place] - mean[:place].min()), float(mean[place] - mean[place + 1 :].min()))
        for place in range(1, len(mean) - 1)
    ]
    if not sizes or max(sizes) <= floor:
        return None
    place = 1 + sizes.index(max(sizes))
    seen = f"the curve rose by {max(sizes):.3g} at {curve.fractions[place]:.0%} of training and fell again"
    numbers = {"rise": max(sizes), "fraction": float(curve.fractions[place])}
    return Sign(name=UNSTABLE, seen=seen, numbers=numbers, threshold=floor, source=source)


def _rising(curve: ArmCurve, floor: float, source: str) -> Sign | None:
    """The end is worse than the best point: overfitting, unless the training loss went up with it."""
    mean = curve.mean
    best = int(mean.argmin())
    rise = float(mean[-1] - mean[best])
    if rise <= floor:
        return None
    where = float(curve.fractions[best])
    numbers = {"rise": rise, "fraction": where}
    train = None if curve.train is None else curve.train.mean(axis=0)
    if train is not None and best > 0:
        numbers["train_change"] = float(train[-1] - train[best])
        if numbers["train_change"] > floor:
            seen = f"held-out and training loss both rose after {where:.0%} of training, by {rise:.3g}"
            return Sign(name=UNSTABLE, seen=seen, numbers=numbers, threshold=floor, source=source)
    seen = f"the best point was at {where:.0%} of training; the end is worse by {rise:.3g}"
    if train is not None:
        seen += ", while the training loss did not rise"
    return Sign(name=OVERFITTING, seen=seen, numbers=numbers, threshold=floor, source=source)


def _plateau(curve: ArmCurve, limits: Limits, error: float | None) -> Sign | None:
    """Nothing more is gained after EARLY, or training gained nothing that matters at all."""
    mean = curve.mean
    last = abs(float(mean[-1]))
    percent = limits.rule.plain_margin(last or None)
    gained, least = float(mean[0] - mean[-1]), percent / 100.0 * last
    if gained <= least:
        return Sign(
            name=PLATEAU,
            seen=f"training gained {gained:.3g} in all, less than {_least(limits.rule, percent)}",
            numbers={"gained": gained},
            threshold=least,
            source="the smallest effect that matters",
        )
    late = curve.at(EARLY) - float(mean[-1])
    if late > STALLED * gained or (error or 0.0) > STALLED * gained:
        return None
    return Sign(
        name=PLATEAU,
        seen=f"{max(0.0, late) / gained:.1%} of the gain came after {EARLY:.0%} of training",
        numbers={"late_share": late / gained, "gained": gained},
        threshold=STALLED,
        source=f"share of the gain; {CHOSEN}: trials of the embedded model make 5-13 % of it so late",
    )


def _least(rule: DecisionRule, percent: float) -> str:
    """The smallest effect that matters, as it was asked for."""
    return f"{percent:.3g} %" if rule.margin_points is None else with_unit(f"{rule.margin_points:g}", POINTS)


def _improving(curve: ArmCurve, schedule: str, floor: float) -> Sign | None:
    """The curve is nearly straight over the learning rate spent: more steps would go on gaining.

    Over steps every curve flattens where the schedule falls to 0. The sum of the learning rates so far is
    the clock: of a linear schedule a fifth of it is left after 55 % of the steps.
    """
    mean, spent = curve.mean, [_spent(schedule, float(fraction)) for fraction in curve.fractions]
    gained = float(mean[0] - mean[-1])
    last = float(np.interp(LAST, spent, mean)) - float(mean[-1])
    if last < LEFT * gained or last <= floor:
        return None
    return Sign(
        name=IMPROVING,
        seen=f"{last / gained:.0%} of the gain came with the last {1 - LAST:.0%} of the learning rate",
        numbers={"last_share": last / gained, "last": last, "gained": gained},
        threshold=LEFT,
        source=f"share of the gain; {CHOSEN}: a straight line gains 20 %, real trials at rest 4-8 %",
    )


def _spent(schedule: str, fraction: float) -> float:
    """The share of all learning rate that is given out by a fraction of the steps; warm-up is left out."""
    if schedule == "linear":
        return 1.0 - (1.0 - fraction) ** 2
    if schedule == "cosine":
        return fraction + math.sin(math.pi * fraction) / math.pi
    return fraction


def _forgetting(completed: Sequence[TrialResult], limits: Limits) -> Sign | None:
    """The loss on general text rose over the untouched model's by more than is allowed, in percent."""
    rises = [
        100.0 * (result.final[GENERAL] / result.final[GENERAL_BEFORE] - 1.0)
        for result in completed
        if result.final.get(GENERAL_BEFORE, 0.0) > 0 and math.isfinite(result.final.get(GENERAL, math.nan))
    ]
    allowed = limits.rule.guardrails.get(GENERAL)
    most = FORGOTTEN if allowed is None else allowed
    if not rises or _at_least(rises) <= most:
        return None
    return Sign(
        name=FORGETTING,
        seen=f"the loss on general text rose by {fmean(rises):.2g} % over the untouched model",
        numbers={"rise_percent": fmean(rises)},
        threshold=most,
        source=CHOSEN if allowed is None else f"decision.guardrails.{GENERAL}",
    )


def _quality(completed: Sequence[TrialResult], limits: Limits, metric: Metric) -> Sign | None:
    """The metric stayed short of decision.target, by more than chance over seeds explains."""
    values = [result.final[metric.name] for result in completed if metric.name in result.final]
    target = limits.rule.target
    if target is None or not values or _at_least([metric.sign * (target - value) for value in values]) <= 0:
        return None
    return Sign(
        name=QUALITY,
        seen=f"{metric.name} ended at {fmean(values):.4g}; {target:g} was to be reached",
        numbers={"value": fmean(values)},
        threshold=target,
        source="decision.target",
    )


def _slow(completed: Sequence[TrialResult], limits: Limits) -> Sign | None:
    """The median training took longer than decision.deadline; evaluation is not counted."""
    seconds = [result.wall_seconds for result in completed if result.wall_seconds > 0]
    deadline = limits.rule.deadline
    if deadline is None or not seconds or median(seconds) <= deadline:
        return None
    return Sign(
        name=SLOW,
        seen=f"a training took {median(seconds):.3g} s; {deadline:g} s are allowed",
        numbers={"seconds": median(seconds)},
        threshold=deadline,
        source="decision.deadline",
    )


def _at_least(values: Sequence[float]) -> float:
    """The mean's lower bound at one-sided level CONFIDENCE; the value itself where there is one."""
    if len(values) < 2:
        return values[0]
    width = student(CONFIDENCE, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - width
