"""Learning curves: the loss over training, and the gain over the baseline on the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bios_sweep.report.content.arm_rows import ArmRow, CurvePoint
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import plural
from bios_sweep.report.figures.canvas import (
    BASELINE_COLOUR,
    COLOURS,
    GREY,
    baseline_of,
    is_baseline,
    label,
    new_figure,
    plain,
    troubles,
    whole,
)
from bios_sweep.units import PERCENT, headed
from bios_sweep.vocabulary import Stage

Curve: TypeAlias = Sequence[CurvePoint]

MAX_CURVES = 10  # more lines than this cannot be told apart (chosen, not measured)
LINES = ("-", "--", ":")
SPREAD = "line: mean over seeds; band: lowest to highest seed"


def draw_curves(summary: Summary) -> Figure:
    """Left: loss over training examples. Right: gain over the baseline at the same share of training."""
    chosen, left_out = _chosen(summary)
    figure, (loss, gain) = new_figure(11.0, 4.4, panels=2)
    for arm, look in zip(chosen, _looks(chosen), strict=True):
        colour, line = look
        curves = summary.curves[arm.arm]
        batch = arm.settings["batch_size"]
        mean = mean_curve(curves)
        _spread(loss, curves, look, "step", batch)
        bad = f" ({', '.join(troubles(arm))})" if troubles(arm) else ""
        name = label(arm.arm) + bad
        loss.plot(*_xy(mean, "step", batch), line, color=colour, linewidth=2.0, label=name)
        if not is_baseline(arm):
            _gains(gain, paired_gains(summary, arm), look)
    metric = summary.metric
    loss.set_xlabel("training examples")
    loss.set_ylabel(label(f"{metric.name} ({metric.unit})" if metric.unit else metric.name))
    loss.xaxis.set_major_locator(MaxNLocator(4))
    loss.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _keep_in_view(loss, [summary.curves[arm.arm] for arm in chosen], metric.direction)
    gain.axhline(0.0, color=BASELINE_COLOUR, linewidth=1.6)
    gain.set_xlabel("share of the arm's training, %")
    gain.set_ylabel(headed("gain over the baseline", plain(summary.scale.unit)))
    gain.set_xlim(0, 103)
    _frame_gains(gain, summary, chosen)
    few = f"; {plural(left_out, 'worse arm')} left out" if left_out else ""
    loss.set_title(plain(f"{summary.sweep}: learning curves{few}"), loc="left", fontsize=11)
    gain.set_title("against the baseline, seed by seed", loc="left", fontsize=11)
    loss.text(0.98, 0.97, SPREAD, transform=loss.transAxes, ha="right", va="top", fontsize=9, color=GREY)
    handles, labels = loss.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _chosen(summary: Summary) -> tuple[list[ArmRow], int]:
    """The baseline and the best arms by final mean, in the order of the plan; and how many were left out."""
    arms = [arm for arm in summary.arms if any(map(_usable, summary.curves.get(arm.arm, ())))]
    sign = 1.0 if summary.metric.direction == "minimize" else -1.0
    order = sorted(arms, key=lambda arm: (not is_baseline(arm), sign * _final(arm, sign)))
    kept = [arm.arm for arm in order[:MAX_CURVES]]
    return [arm for arm in arms if arm.arm in kept], len(arms) - len(kept)


def _final(arm: ArmRow, sign: float) -> float:
    """The arm's mean; without one, the worst there is."""
    return arm.mean if arm.mean is not None and whole(arm) else sign * math.inf


def _looks(arms: Sequence[ArmRow]) -> list[tuple[str, str]]:
    """Colour and line per arm: baselines black, the others by the palette, round after round."""
    looks, defaults, others = [], 0, 0
    for arm in arms:
        if is_baseline(arm):
            looks.append((BASELINE_COLOUR, LINES[defaults % len(LINES)]))
            defaults += 1
        else:
            looks.append((COLOURS[others % len(COLOURS)], LINES[others // len(COLOURS) % len(LINES)]))
            others += 1
    return looks


def _spread(panel: Axes, curves: Sequence[Curve], look: tuple[str, str], axis: str, scale: float) -> None:
    """From the lowest to the highest seed, where every seed has a value."""
    mean = mean_curve(curves)
    steps = [point.step for point in mean]
    values = [[value for point, value in _usable(curve) if point.step in steps] for curve in curves]
    if len(values) > 1 and mean:
        places = [getattr(point, axis) * scale for point in mean]
        lows, highs = ([end(column) for column in zip(*values, strict=True)] for end in (min, max))
        panel.fill_between(places, lows, highs, color=look[0], alpha=0.13, linewidth=0)


def paired_gains(summary: Summary, arm: ArmRow) -> list[Curve]:
    """The arm's curves as gains over the baseline's curve of the same seed, where the seeds are known."""
    base = baseline_of(summary, arm)
    own, other = (by_seed(each, summary.curves[each.arm]) for each in (arm, base))
    if own is None or other is None:
        return []
    return [_gain_curve(curve, other[seed], summary) for seed, curve in own.items() if seed in other]


def by_seed(arm: ArmRow, curves: Sequence[Curve]) -> dict[str, Curve] | None:
    """Seed -> curve. Curves come in the order of their trials; None where nothing tells whose is whose.

    Completed trials are listed with their seeds. Where some did not complete, curves are matched by their
    end, which is the final value.
    """
    finals = arm.finals.get(Stage.SCREENING, {})
    if len(finals) == len(curves):
        return dict(zip(finals, curves, strict=True))
    ends = {curve[-1].value: curve for curve in curves if curve and curve[-1].value is not None}
    found = {seed: ends[value] for seed, value in finals.items() if value in ends}
    return found or None


def _gains(panel: Axes, paired: Sequence[Curve], look: tuple[str, str]) -> None:
    colour, line = look
    _spread(panel, paired, look, "fraction", 100.0)
    panel.plot(*_xy(mean_curve(paired), "fraction", 100.0), line, color=colour, linewidth=2.0)


def _frame_gains(panel: Axes, summary: Summary, arms: Sequence[ArmRow]) -> None:
    """The panel's range comes from arms that went to their end; a diverging one leaves it downwards."""
    values = [
        value
        for arm in arms
        if whole(arm)
        for curve in paired_gains(summary, arm)
        for _, value in _usable(curve)
    ]
    low, high = min([*values, 0.0]), max([*values, 0.0])
    room = 0.06 * (high - low) or 1.0
    panel.set_ylim(low - room, high + room)


def _gain_curve(own: Curve, base: Curve, summary: Summary) -> Curve:
    """What is gained over the baseline at the shares of training that both curves have.

    Percent of the baseline's value there, which changes along the curve; points of a score are the same ones
    all along.
    """
    sign = -1.0 if summary.metric.direction == "minimize" else 1.0
    margin, scale = summary.margin, summary.scale
    fixed = margin.level / scale.number(1.0) if margin and scale.unit != PERCENT else None
    at = {round(point.fraction, 3): value for point, value in _usable(base)}
    gains = []
    for point, value in _usable(own):
        reference = at.get(round(point.fraction, 3))
        if reference is not None and (of := fixed or abs(reference)):
            gains.append(replace(point, value=100.0 * sign * (value - reference) / of))
    return gains


def _usable(curve: Curve) -> list[tuple[CurvePoint, float]]:
    """The points with a finite value, each with it."""
    return [(p, p.value) for p in curve if p.value is not None and math.isfinite(p.value)]


def mean_curve(curves: Sequence[Curve]) -> list[CurvePoint]:
    """The mean over seeds where every seed has a finite value."""
    if not curves:
        return []
    by_step = [{point.step: (point, value) for point, value in _usable(curve)} for curve in curves]
    shared = [step for step in by_step[0] if all(step in points for points in by_step)]
    return [
        replace(by_step[0][step][0], value=math.fsum(p[step][1] for p in by_step) / len(by_step))
        for step in sorted(shared)
    ]


def _xy(curve: Curve, axis: str, scale: float) -> tuple[list[float], list[float]]:
    points = _usable(curve)
    return [getattr(point, axis) * scale for point, _ in points], [value for _, value in points]


def _keep_in_view(panel: Axes, groups: Iterable[Sequence[Curve]], direction: str) -> None:
    """A diverging arm must not flatten the others: nothing worse than the untouched model is shown."""
    curves = [_usable(curve) for group in groups for curve in group if _usable(curve)]
    values = [value for curve in curves for _, value in curve]
    starts = [curve[0][1] for curve in curves]
    low, high = min(values), max(values)
    if direction == "minimize":
        high = min(high, max(starts))
    else:
        low = max(low, min(starts))
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    panel.set_ylim(low - room, high + 2 * room)
