"""Response: the final loss over a factor's levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bios_sweep.report.canvas import (
    BAND,
    BASELINE,
    COLOURS,
    TROUBLE,
    Record,
    Summary,
    arms_of,
    new_figure,
    plain,
    screened,
    troubles,
    whole,
)
from bios_sweep.report.wording import number


def draw_response(summary: Summary, factor: str) -> Figure:
    """Final loss over a factor's levels: every seed a point, the mean a line, the default ringed."""
    arms = arms_of(summary, factor)
    levels = [arm["level"] for arm in arms]
    ordered = all(_is_number(level) and level > 0 for level in levels)
    if ordered:
        arms = sorted(arms, key=lambda arm: arm["level"])
    places = [float(arm["level"]) if ordered else float(index) for index, arm in enumerate(arms)]
    figure, (panel,) = new_figure(6.4, 4.2)
    baseline = next(arm for arm in arms if arm["factor"] is None)
    _margin_band(panel, summary, baseline)
    _means(panel, arms, places, "-" if ordered else "")
    for seed in sorted({seed for arm in arms for seed in screened(arm)}):
        _seed(panel, arms, places, seed, "-" if ordered else "")
    for place, arm in zip(places, arms, strict=True):
        _missing(panel, place, arm)
    if ordered:
        panel.set_xscale("log", base=2)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticks(places, [_tick(arm) for arm in arms], fontsize=9)
    panel.margins(x=0.08, y=0.12)
    metric = summary["metric"]
    panel.set_ylabel(plain(f"final {metric['name']} ({metric['unit']})"))
    panel.set_xlabel(plain(factor) + (" (log2 scale)" if ordered else ""))
    better = "lower" if metric["direction"] == "minimize" else "higher"
    panel.set_title(
        plain(f"{summary['sweep']}: response to {factor} ({better} is better)"), loc="left", fontsize=11
    )
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _seed(panel: Axes, arms: Sequence[Record], places: Sequence[float], seed: str, line: str) -> None:
    """One seed across the levels: lines that run side by side show what pairing takes away."""
    finals = [(place, screened(arm).get(seed)) for place, arm in zip(places, arms, strict=True)]
    known = [(place, value) for place, value in finals if value is not None]
    panel.plot(
        *zip(*known, strict=True), f"{line}o", color=COLOURS[0], markersize=4, linewidth=0.6, alpha=0.5
    )


def _means(panel: Axes, arms: Sequence[Record], places: Sequence[float], line: str) -> None:
    """Only arms whose every trial completed have a mean here: a mean of survivors would flatter."""
    complete = [(place, arm) for place, arm in zip(places, arms, strict=True) if whole(arm)]
    seeds = max((len(screened(arm)) for arm in arms), default=0)
    panel.plot(
        [place for place, _ in complete],
        [arm["mean"] for _, arm in complete],
        f"{line}o",
        color=COLOURS[0],
        linewidth=1.8,
        markersize=7,
        label=f"mean of {seeds} seeds (small: each seed)" if seeds > 1 else "one seed",
    )
    for place, arm in complete:
        if arm["factor"] is None:
            ring = panel.plot(place, arm["mean"], "o", label="default", color=BASELINE, markersize=14)
            ring[0].set_markerfacecolor("none")


def _margin_band(panel: Axes, summary: Summary, baseline: Record) -> None:
    margin = (summary["margin"] or {}).get("absolute")
    if not margin or not whole(baseline):
        return
    sign = -1.0 if summary["metric"]["direction"] == "minimize" else 1.0
    mean = baseline["mean"]
    panel.axhspan(
        mean,
        mean + sign * margin,
        color=BAND,
        alpha=0.45,
        linewidth=0,
        label="better, by less than the margin",
    )


def _missing(panel: Axes, place: float, arm: Record) -> None:
    """Diverged and failed trials are said, at the top of the axes, where no loss can be read off them."""
    told = troubles(arm)
    if not told:
        return
    top = panel.get_xaxis_transform()
    panel.plot(place, 0.97, "x", transform=top, color=TROUBLE, markersize=8, markeredgewidth=2, clip_on=False)
    panel.text(place, 0.92, "\n".join(told), transform=top, ha="center", va="top", fontsize=8, color=TROUBLE)


def _tick(arm: Record) -> str:
    value = plain(number(arm["level"]))
    label = plain(arm["label"])
    if arm["factor"] is None:
        return f"{value}\n(default)"
    return value if label in ("", value) else f"{value}\n{label}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
