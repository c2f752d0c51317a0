"""A sweep's figures: which there are, and their PNG files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import clean
from bios_sweep.report.figures.canvas import Family, families_of, screened
from bios_sweep.report.figures.curves import draw_curves, mean_curve
from bios_sweep.report.figures.effects import draw_effects, effect_groups
from bios_sweep.report.figures.frontier import draw_frontier
from bios_sweep.report.figures.response import draw_response

DPI = 130  # chosen, not measured: sharp in MLflow's viewer, under 100 kB a file


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure. name: of its file, without ending; caption: what it shows, for those who do not see it."""

    name: str
    caption: str
    figure: Figure


def figures_of(summary: Summary) -> Iterator[Drawn]:
    """Every figure that the summary has data for, in reading order, laid out once for all its files."""
    for drawn in _figures_of(summary):
        drawn.figure.draw_without_rendering()
        drawn.figure.set_layout_engine("none")
        yield drawn


def _figures_of(summary: Summary) -> Iterator[Drawn]:
    effects = [row for group in effect_groups(summary.verdicts) for row in group]
    if any(row.gain is not None for row in effects):
        caption = "Effect of each variation with its bounds; the band is the margin."
        yield Drawn(name="effects", caption=caption, figure=draw_effects(summary))
    if summary.frontier:
        caption = "Gain against time, both with intervals; the efficient arms are joined."
        yield Drawn(name="frontier", caption=caption, figure=draw_frontier(summary))
    for family in families_of(summary):
        if any(map(screened, (family.baseline, *family.arms))):
            where = f" at {family.cell}" if family.cell else ""
            name = clean(summary.metric.name)
            caption = f"Final {name} over the levels of {clean(family.factor)}{where}."
            figure = draw_response(summary, family)
            yield Drawn(name=f"response_{_file_name(family)}", caption=caption, figure=figure)
    if any(mean_curve(curves) for curves in summary.curves.values()):
        caption = "Learning curves with the spread over seeds, and the gain over the baseline on the way."
        yield Drawn(name="curves", caption=caption, figure=draw_curves(summary))


def _file_name(family: Family) -> str:
    told = f"{family.factor} {family.cell}".strip()
    return "".join(char if char.isalnum() else "_" for char in told)


def draw_figures(summary: Summary, folder: Path) -> tuple[Path, ...]:
    """Draw what the summary has data for; returns the files.

    `effects.png`: gain of each variation with its bounds. `frontier.png`: gain against time.
    `response_<factor>.png`: final loss over the factor's levels. `curves.png`: loss over training.
    """
    return save_figures(tuple(figures_of(summary)), folder)


def save_figures(drawn: Iterable[Drawn], folder: Path) -> tuple[Path, ...]:
    """Write each as `<name>.png`; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(_save(one.figure, folder / f"{one.name}.png") for one in drawn)


def _save(figure: Figure, path: Path) -> Path:
    """Written beside the target and moved, so that nobody reads half a picture."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.png")
    figure.savefig(fresh, dpi=DPI)
    fresh.replace(path)
    return path
