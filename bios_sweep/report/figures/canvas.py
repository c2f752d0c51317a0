"""What the figures share: colours, axes, and how an arm's row is read.

Drawn with `Figure` objects of their own, never pyplot's global state: a report must not touch the
backend or the open figures of the notebook that asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bios_sweep.report.content.arm_rows import ArmRow
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import clean
from bios_sweep.vocabulary import Stage, Status

# Okabe & Ito 2008: told apart by colour-blind readers; black is kept for the baseline
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BASELINE_COLOUR = "#000000"
BAND = "#BBBBBB"
TROUBLE = "#882255"
GREY = "#666666"
LONGEST_LABEL = 36  # characters: wider names would leave no room for the axes (chosen, not measured)
LONGEST_LINE = 80


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


@dataclass(frozen=True, kw_only=True)
class Family:
    """A factor's variations with the baseline they vary. cell: where a moderator stood, if any did."""

    factor: str
    baseline: ArmRow
    arms: Sequence[ArmRow]
    cell: str = ""


def families_of(summary: Summary) -> list[Family]:
    """Every factor, in every cell of a crossed study, in the order of the plan."""
    found: dict[tuple[str, str], list[ArmRow]] = {}
    for arm in summary.arms:
        if arm.factor:
            found.setdefault((arm.factor, baseline_of(summary, arm).arm), []).append(arm)
    named = {arm.arm: arm for arm in summary.arms}
    return [
        Family(factor=factor, baseline=named[name], arms=arms, cell=_cell(summary, arms))
        for (factor, name), arms in found.items()
    ]


def baseline_of(summary: Summary, arm: ArmRow) -> ArmRow:
    """The arm that this one varies: no factor, no changes, and equal in every setting not changed here.

    In a crossed study every cell has its own.
    """
    for other in summary.arms:
        if is_baseline(other) and all(
            arm.settings.get(name) == value
            for name, value in other.settings.items()
            if name not in arm.changes
        ):
            return other
    return summary.arms[0]


def is_baseline(arm: ArmRow) -> bool:
    """Whether the arm is a default's own; a yardstick of another duration changes the steps."""
    return arm.factor is None and not arm.changes


def rate_of(family: Family, arm: ArmRow) -> float:
    """The arm's learning rate over the baseline's where the rate is not the factor itself; else 1."""
    name = "learning_rate"
    if family.factor == name:
        return 1.0
    return float(round(arm.settings[name] / family.baseline.settings[name], 6))  # 6: 0.1 + 0.2 is 0.3


def _cell(summary: Summary, arms: Sequence[ArmRow]) -> str:
    names = {arm.arm for arm in arms}
    found = [v for v in summary.verdicts if v.cell and names & {row.arm for row in v.levels}]
    return clean(found[0].cell) if found else ""


def screened(arm: ArmRow) -> dict[str, float]:
    """Seed -> final value on the shared seeds, where there is a finite one."""
    finals = arm.finals.get(Stage.SCREENING, {})
    return {seed: value for seed, value in finals.items() if value is not None and math.isfinite(value)}


def whole(arm: ArmRow) -> bool:
    """Whether every trial completed: only then is there a mean, for one of survivors would flatter."""
    return arm.mean is not None and math.isfinite(arm.mean) and not troubles(arm)


def troubles(arm: ArmRow) -> list[str]:
    """`2 diverged`, `1 failed`: what became of the arm's trials that did not complete."""
    return [f"{arm.statuses[s]} {s}" for s in (Status.DIVERGED, Status.FAILED) if arm.statuses.get(s)]
