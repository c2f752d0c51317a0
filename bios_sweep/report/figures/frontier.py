"""The frontier: gain against time, each with its interval; the arms that nothing beats at both are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from bios_sweep.decision.frontier import FrontierPoint
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import number
from bios_sweep.report.figures.canvas import BAND, BASELINE_COLOUR, COLOURS, GREY, label, new_figure, plain
from bios_sweep.units import headed, with_unit

# where a label may stand around its point, in points of type, nearest first
PLACES = sorted(
    ((x, y) for x in (9, -9, 26, -26, 60, -60) for y in (6, -12, 18, -24, 32, -38, 46, -52)),
    key=lambda place: (abs(place[0]) + abs(place[1]), place[1] < 0, place[0] < 0),
)
LEADER = 22  # points of type from which a label needs a line to its point (chosen, not measured)
POINT = 9.0  # pixels kept free of labels around every point
TICKS = (0.1, 0.2, 0.25, 0.33, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0)


def draw_frontier(summary: Summary) -> Figure:
    """Up is better, left is faster; time on a log axis, for half and twice are equally far."""
    points = _scaled(summary)
    figure, (panel,) = new_figure(7.2, 4.8)
    _frame(panel, points)
    scale = summary.scale
    margin = scale.known(summary.margin.percent if summary.margin else None)
    if margin:
        band = f"better, by less than the margin of {plain(with_unit(number(margin), scale.unit))}"
        panel.axhspan(0.0, margin, color=BAND, alpha=0.45, linewidth=0, label=band)
    panel.axhline(0.0, color=BASELINE_COLOUR, linewidth=1.0)
    efficient = sorted((p for p in points if p.on_frontier), key=lambda p: p.cost_ratio)
    panel.plot(
        [point.cost_ratio for point in efficient],
        [point.gain for point in efficient],
        "--",
        color=COLOURS[0],
        linewidth=1.4,
        label="nothing is both better and faster",
    )
    for point in points:
        _point(panel, point)
    goals = goals_of(summary)
    labels = [_label(panel, point, goals.get(point.arm, [])) for point in points]
    panel.set_xlabel("time of a whole training, times the baseline's (log scale); left is faster")
    panel.set_ylabel(headed(f"gain in {label(summary.metric.name)}", plain(scale.unit)))
    panel.set_title(plain(f"{summary.sweep}: quality against time"), loc="left", fontsize=11)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    _part(figure, panel, labels)
    return figure


def goals_of(summary: Summary) -> dict[str, list[str]]:
    """Arm -> the profiles (quality, balanced, speed) whose settings are this arm's."""
    found: dict[str, list[str]] = {}
    for goal, values in summary.profiles.items():
        named = next((arm.arm for arm in summary.arms if _has(arm.settings, values)), None)
        if named is not None:
            found.setdefault(named, []).append(goal)
    return found


def _has(settings: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(settings.get(name) == value for name, value in values.items())


def _point(panel: Axes, point: FrontierPoint) -> None:
    x, y, low, high = point.cost_ratio, point.gain, point.lower, point.upper
    colour = COLOURS[0] if point.on_frontier else GREY
    panel.plot([x, x], [y if low is None else low, y if high is None else high], color=colour, linewidth=1.3)
    panel.plot([point.cost_lower, point.cost_upper], [y, y], color=colour, linewidth=1.3)
    face = colour if point.on_frontier else "white"
    panel.plot(x, y, "o", markersize=7, color=colour, markerfacecolor=face)


def _label(panel: Axes, point: FrontierPoint, goals: Sequence[str]) -> Annotation:
    text = label(point.arm) + (f" ({', '.join(map(label, goals))})" if goals else "")
    return panel.annotate(
        text,
        (point.cost_ratio, point.gain),
        xytext=PLACES[0],
        textcoords="offset points",
        fontsize=9,
        fontweight="bold" if goals else "normal",
        color=BASELINE_COLOUR if point.on_frontier else GREY,
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 5},
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )


def _part(figure: Figure, panel: Axes, labels: Sequence[Annotation]) -> None:
    """Give every label, in turn, the place nearest to its point where it covers least."""
    figure.draw_without_rendering()
    frame = panel.get_window_extent()
    taken = [Bbox.from_bounds(x - POINT / 2, y - POINT / 2, POINT, POINT) for x, y in _drawn_over(panel)]
    others: list[Bbox] = []
    for each in labels:
        best = min(PLACES, key=lambda place: _trouble(_stand(each, place), frame, taken, others))
        others.append(_stand(each, best))
        if each.arrow_patch is not None:
            each.arrow_patch.set_visible(abs(best[0]) + abs(best[1]) > LEADER)


def _stand(text: Annotation, place: tuple[float, float]) -> Bbox:
    """Put a label there; returns what it then covers."""
    text.set_position(place)
    text.set_horizontalalignment("left" if place[0] > 0 else "right")
    return Text.get_window_extent(text)


def _trouble(box: Bbox, frame: Bbox, drawn: Sequence[Bbox], labels: Sequence[Bbox]) -> tuple[bool, int, int]:
    """Worst first: out of the axes, over other labels, over lines and points."""
    inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    return not inside, box.count_overlaps(labels), box.count_overlaps(drawn)


def _drawn_over(panel: Axes) -> list[Sequence[float]]:
    """Places in pixels that lines and points of the data go through, close enough that no label slips in."""
    zero = np.array([(end, 0.0) for end in panel.get_xlim()])
    data = [zero, *(np.asarray(line.get_xydata()) for line in panel.lines[1:])]
    lines = [panel.transData.transform(points) for points in data if len(points)]
    pieces = [(start, end) for line in lines for start, end in pairwise([line[0], *line])]
    return [
        start + (end - start) * share
        for start, end in pieces
        for share in np.linspace(0.0, 1.0, 2 + int(max(abs(end - start)) / POINT))
    ]


def _scaled(summary: Summary) -> list[FrontierPoint]:
    """The points with their gains as they are told."""
    known = summary.scale.known
    return [
        replace(
            point,
            gain=summary.scale.number(point.gain),
            lower=known(point.lower),
            upper=known(point.upper),
        )
        for point in summary.frontier
    ]


def _frame(panel: Axes, points: Sequence[FrontierPoint]) -> None:
    low, high = min(p.cost_lower for p in points) / 1.25, max(p.cost_upper for p in points) * 1.45
    panel.set_xscale("log")
    panel.set_xlim(low, high)
    panel.set_xticks([tick for tick in TICKS if low <= tick <= high])
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"x{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.margins(y=0.15)
