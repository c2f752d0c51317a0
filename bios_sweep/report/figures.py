"""A sweep's figures as PNG files."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure

from bios_sweep.report.canvas import Summary, arms_of, screened
from bios_sweep.report.figure_curves import draw_curves, mean_curve
from bios_sweep.report.figure_effects import draw_effects, effect_rows
from bios_sweep.report.figure_response import draw_response

DPI = 130  # chosen, not measured: sharp in MLflow's viewer, under 100 kB a file


def draw_figures(summary: Summary, folder: Path) -> tuple[Path, ...]:
    """Draw what the summary has data for; returns the files.

    `effects.png`: gain of each variation with its bounds. `response_<factor>.png`: final loss over the
    factor's levels. `curves.png`: loss over training examples.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if any(row.get("gain") is not None for verdict in summary["verdicts"] for row in effect_rows(verdict)):
        drawn.append(_save(draw_effects(summary), folder / "effects.png"))
    for factor in dict.fromkeys(arm["factor"] for arm in summary["arms"] if arm["factor"]):
        if any(screened(arm) for arm in arms_of(summary, factor)):
            name = "".join(char if char.isalnum() else "_" for char in factor)
            drawn.append(_save(draw_response(summary, factor), folder / f"response_{name}.png"))
    if any(mean_curve(curves) for curves in summary["curves"].values()):
        drawn.append(_save(draw_curves(summary), folder / "curves.png"))
    return tuple(drawn)


def _save(figure: Figure, path: Path) -> Path:
    """Written beside the target and moved, so that nobody reads half a picture."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.png")
    figure.savefig(fresh, dpi=DPI)
    fresh.replace(path)
    return path
