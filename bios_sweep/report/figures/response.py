"""Response: the final loss over a factor's levels."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bios_sweep.checks import is_number
from bios_sweep.report.content.arm_rows import ArmRow
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import number
from bios_sweep.report.figures.canvas import (
    BAND,
    BASELINE_COLOUR,
    COLOURS,
    TROUBLE,
    Family,
    baseline_of,
    label,
    new_figure,
    plain,
    rate_of,
    screened,
    troubles,
    whole,
)

Placed: TypeAlias = Sequence[tuple[float, ArmRow]]  # where on the axis an arm stands

MAX_TICKS = 8  # labels of levels that fit side by side (chosen, not measured)
TICK = 16  # characters under a level (chosen, not measured)
BRACKET_ROOM = 1.04  # a bracket of one level is still a visible band (chosen, not measured)


def draw_response(summary: Summary, family: Family) -> Figure:
    """Final loss over a factor's levels: every seed a point, the mean a line, the default ringed."""
    default = family.baseline.arm
    levels = replace(family.baseline, level=family.baseline.settings.get(family.factor, 0))
    arms = [levels, *(arm for arm in family.arms if rate_of(family, arm) == 1.0)]
    ordered = all(is_number(arm.level) and arm.level > 0 for arm in arms)
    if ordered:
        arms = sorted(arms, key=lambda arm: arm.level)
    placed = [(float(arm.level if ordered else index), arm) for index, arm in enumerate(arms)]
    line = "-" if ordered else ""
    figure, (panel,) = new_figure(6.4, 4.2)
    means, seeds = shared_means(arms)
    _margin_band(panel, summary, means.get(default))
    if ordered:
        _bracket_band(panel, summary, family)
    _means(panel, placed, line, means, len(seeds), default)
    for seed in sorted({seed for arm in arms for seed in screened(arm)} & set(seeds)):
        _seed(panel, placed, line, seed)
    if ordered:
        _other_rates(panel, summary, family, seeds)
    for place, arm in placed:
        _missing(panel, place, arm)
    if ordered:
        panel.set_xscale("log", base=2)
    panel.xaxis.set_minor_locator(NullLocator())
    every = math.ceil(len(arms) / MAX_TICKS)
    ticks = [
        (place, _tick(arm, arm is levels))
        for index, (place, arm) in enumerate(placed)
        if index % every == 0 or arm is levels
    ]
    panel.set_xticks(*zip(*ticks, strict=True), fontsize=9)
    panel.margins(x=0.08, y=0.12)
    _name_axes(panel, summary, family, ordered)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _name_axes(panel: Axes, summary: Summary, family: Family, ordered: bool) -> None:
    metric = summary.metric
    panel.set_ylabel(label(f"final {metric.name} ({metric.unit})"))
    panel.set_xlabel(plain(family.factor) + (" (log2 scale)" if ordered else ""))
    better = "smaller" if metric.direction == "minimize" else "larger"
    where = f", {family.cell}" if family.cell else ""
    title = f"{summary.sweep}: response to {family.factor}{where} ({better} is better)"
    panel.set_title(plain(title), loc="left", fontsize=11)


def _seed(panel: Axes, placed: Placed, line: str, seed: str) -> None:
    """One seed across the levels: lines that run side by side show what pairing takes away."""
    points = [(place, screened(arm)[seed]) for place, arm in placed if seed in screened(arm)]
    panel.plot(
        *zip(*points, strict=True), f"{line}o", color=COLOURS[0], markersize=4, linewidth=0.6, alpha=0.5
    )


def shared_means(arms: Sequence[ArmRow]) -> tuple[dict[str, float], list[str]]:
    """Arm -> mean over the seeds that all complete arms have, and those seeds.

    An arm that was decided early has fewer seeds than the baseline; means over different seeds would
    differ by the seeds. Only arms whose every trial completed count: a mean of survivors would flatter.
    """
    complete = [arm for arm in arms if whole(arm)]
    if not complete:
        return {}, sorted({seed for arm in arms for seed in screened(arm)})
    seeds = [seed for seed in screened(complete[0]) if all(seed in screened(arm) for arm in complete)]
    if not seeds:
        return {}, []
    return {arm.arm: statistics.fmean(screened(arm)[seed] for seed in seeds) for arm in complete}, seeds


def _means(
    panel: Axes, placed: Placed, line: str, means: Mapping[str, float], seeds: int, default: str
) -> None:
    complete = [(place, arm.arm) for place, arm in placed if arm.arm in means]
    panel.plot(
        [place for place, _ in complete],
        [means[name] for _, name in complete],
        f"{line}o",
        color=COLOURS[0],
        linewidth=1.8,
        markersize=7,
        label=f"mean of {seeds} seeds (small: each)" if seeds > 1 else "one seed",
    )
    for place, name in complete:
        if name == default:
            ring = panel.plot(place, means[name], "o", label="default", color=BASELINE_COLOUR, markersize=14)
            ring[0].set_markerfacecolor("none")


def _other_rates(panel: Axes, summary: Summary, family: Family, seeds: Sequence[str]) -> None:
    """The same levels at other learning rates, where the factor was run with a ladder of them."""
    lines: dict[float, list[tuple[float, float]]] = {}
    for arm in sorted(_ladder(summary, family), key=lambda arm: (rate_of(family, arm), arm.level)):
        values = [screened(arm)[seed] for seed in seeds if seed in screened(arm)]
        if whole(arm) and values:
            lines.setdefault(rate_of(family, arm), []).append((arm.level, statistics.fmean(values)))
    for index, (rate, points) in enumerate(lines.items()):
        name, colour = f"learning rate x{number(rate)}", COLOURS[1 + index % (len(COLOURS) - 1)]
        panel.plot(*zip(*points, strict=True), "--s", color=colour, markersize=5, label=name)


def _ladder(summary: Summary, family: Family) -> list[ArmRow]:
    """Arms at another rate than the baseline's; those of the default's level vary nothing but the rate."""
    own = [arm for arm in family.arms if rate_of(family, arm) != 1.0]
    rates = {rate_of(family, arm) for arm in own}
    level = family.baseline.settings.get(family.factor)
    return own + [
        replace(arm, level=level)
        for arm in summary.arms
        if set(arm.changes) == {"learning_rate"}
        and rate_of(family, arm) in rates
        and baseline_of(summary, arm).arm == family.baseline.arm
    ]


def _bracket_band(panel: Axes, summary: Summary, family: Family) -> None:
    """The levels that are not shown to be worse than the best one by as much as matters."""
    own = {arm.arm for arm in family.arms}
    about = [v for v in summary.verdicts if own & {row.arm for row in v.levels}]
    found = [verdict.bracket for verdict in about if verdict.bracket]
    if not found or not all(is_number(end) and end > 0 for end in found[0]):
        return
    low, high = found[0]
    panel.axvspan(
        low / BRACKET_ROOM,
        high * BRACKET_ROOM,
        color=COLOURS[2],
        alpha=0.14,
        linewidth=0,
        label=f"bracket: {number(low)} to {number(high)}",
    )


def _margin_band(panel: Axes, summary: Summary, mean: float | None) -> None:
    margin = summary.margin.absolute if summary.margin else None
    if not margin or mean is None:
        return
    sign = -1.0 if summary.metric.direction == "minimize" else 1.0
    panel.axhspan(
        mean,
        mean + sign * margin,
        color=BAND,
        alpha=0.45,
        linewidth=0,
        label="better, by less than the margin",
    )


def _missing(panel: Axes, place: float, arm: ArmRow) -> None:
    """Diverged and failed trials are said, at the top of the axes, where no loss can be read off them."""
    words = troubles(arm)
    if not words:
        return
    top = panel.get_xaxis_transform()
    panel.plot(place, 0.97, "x", transform=top, color=TROUBLE, markersize=8, markeredgewidth=2, clip_on=False)
    panel.text(place, 0.92, "\n".join(words), transform=top, ha="center", va="top", fontsize=9, color=TROUBLE)


def _tick(arm: ArmRow, default: bool) -> str:
    value, name = plain(number(arm.level), TICK), plain(arm.label, TICK)
    if default:
        return f"{value}\n(default)"
    return value if name in ("", value) else f"{value}\n{name}"
