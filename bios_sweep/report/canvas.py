"""What the figures share: colours, axes, and how an arm's record is read.

Drawn with `Figure` objects of their own, never pyplot's global state: a report must not touch the
backend or the open figures of the notebook that asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bios_sweep.report.wording import clean

# Okabe & Ito 2008: told apart by colour-blind readers; black is kept for the baseline
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BASELINE = "#000000"
BAND = "#BBBBBB"
TROUBLE = "#882255"
GREY = "#666666"
LONGEST_LABEL = 36  # characters: wider names would leave no room for the axes (chosen, not measured)
LONGEST_LINE = 80

Summary: TypeAlias = Mapping[str, Any]
Record: TypeAlias = Mapping[str, Any]


def new_figure(width: float, height: float, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, panels, index + 1) for index in range(panels)]
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(color="#E6E6E6", linewidth=0.7)
        panel.set_axisbelow(True)
    return figure, axes


def plain(text: Any, most: int = LONGEST_LINE) -> str:
    """A user's text, with nothing in it read as mathematics, and cut where it would crowd out the drawing."""
    told = clean(text)
    short = told if len(told) <= most else f"{told[: most - 1]}…"
    return short.replace("$", r"\$")


def label(text: Any) -> str:
    """The same for a name beside a line, a point or a row."""
    return plain(text, LONGEST_LABEL)


def arms_of(summary: Summary, factor: str) -> list[Record]:
    """The baseline, at the default's level, and the factor's variations at the baseline's learning rate."""
    baseline = summary["arms"][0]
    default = baseline["settings"].get(factor, 0)
    own = [arm for arm in summary["arms"] if arm["factor"] == factor and arm.get("rung", 1.0) == 1.0]
    return [{**baseline, "level": default}, *own]


def is_baseline(summary: Summary, arm: Record) -> bool:
    """The default's own arm, which comes first; yardsticks of other durations have no factor either."""
    return bool(arm["arm"] == summary["arms"][0]["arm"])


def screened(arm: Record) -> dict[str, float]:
    """Seed -> final value on the shared seeds, where there is a finite one."""
    finals = arm["finals"].get("screening", {})
    return {seed: value for seed, value in finals.items() if value is not None and math.isfinite(value)}


def whole(arm: Record) -> bool:
    """Whether every trial completed: only then is there a mean, for one of survivors would flatter."""
    missing = arm["statuses"].get("diverged", 0) + arm["statuses"].get("failed", 0)
    return arm["mean"] is not None and math.isfinite(arm["mean"]) and not missing


def troubles(arm: Record) -> list[str]:
    """`2 diverged`, `1 failed`: what became of the arm's trials that did not complete."""
    return [f"{arm['statuses'][s]} {s}" for s in ("diverged", "failed") if arm["statuses"].get(s)]
