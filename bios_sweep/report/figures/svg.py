"""A figure as SVG for a page: one element, the page's own colours, nothing of it from elsewhere."""

from __future__ import annotations

import io
import re

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from bios_sweep.report.figures.canvas import BAND, BASELINE_COLOUR, COLOURS, GREY, TROUBLE

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
