"""A sweep's figures: which there are, their PNG files, and as SVG for a page."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import clean
from bios_sweep.report.figures.canvas import (
    BAND,
    BASELINE_COLOUR,
    COLOURS,
    GREY,
    TROUBLE,
    Family,
    families_of,
    screened,
)
from bios_sweep.report.figures.curves import draw_curves, mean_curve
from bios_sweep.report.figures.effects import draw_effects, effect_groups
from bios_sweep.report.figures.frontier import draw_frontier
from bios_sweep.report.figures.response import draw_response

DPI = 130  # chosen, not measured: sharp in MLflow's viewer, under 100 kB a file
# colour in the figure -> the page's variable, which has another value on a dark screen
VARIABLES = {
    **{colour.lower(): f"var(--c{index})" for index, colour in enumerate(COLOURS)},
    BASELINE_COLOUR: "var(--ink)",
    BAND.lower(): "var(--band)",
    TROUBLE: "var(--trouble)",
    GREY: "var(--muted)",
    "#e6e6e6": "var(--grid)",
    "#ffffff": "var(--paper)",
}
# letters are drawn as outlines, so a page needs no font and holds no text that could be read as markup;
# the salt makes the same figure the same bytes
SETTINGS: dict[RcKeyType, str] = {"svg.fonttype": "path", "svg.hashsalt": "bios_sweep"}
HEADER = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL
)
STYLE = re.compile(r'style="[^"]*"')
PAINT = re.compile(r"(fill|stroke): (#[0-9a-f]{6})")
ROOT = re.compile(r"<svg[^>]*?viewBox=\"([^\"]*)\"[^>]*>")
IDENTITY = re.compile(r'(\bid="|href="#|url\(#)')


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
    name = f"{family.factor} {family.cell}".strip()
    return "".join(char if char.isalnum() else "_" for char in name)


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


def to_svg(figure: Figure, name: str, caption: str) -> Markup:
    """The figure as an `<svg>` with `caption` as its text. name: unique on the page, letters and digits.

    It has no size of its own: the page decides, and `viewBox` keeps the proportions.
    """
    buffer = io.StringIO()
    with rc_context(SETTINGS):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawn = HEADER.sub("", buffer.getvalue())
    drawn = STYLE.sub(lambda style: PAINT.sub(_painted, style[0]), drawn)
    drawn = IDENTITY.sub(lambda match: f"{match[0]}{name}-", drawn)
    box = ROOT.search(drawn)
    if box is None:
        raise ValueError(f"{name}: matplotlib wrote no <svg> with a viewBox")
    root = Markup('<svg role="img" aria-label="{}" viewBox="{}" style="--width: {}px">')
    width = float(box[1].split()[2]) * 4 / 3  # points to CSS pixels
    inner = re.sub(r"\n\s*", "\n", drawn[box.end() :]).strip()
    return root.format(caption, box[1], f"{width:.0f}") + Markup(inner)


def _painted(match: re.Match[str]) -> str:
    return f"{match[1]}: {VARIABLES.get(match[2], match[2])}"
