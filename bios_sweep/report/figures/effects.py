"""Effects: the gain of every variation over the default, with its bounds and the margin."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bios_sweep.claims import claim_named
from bios_sweep.decision.rows import LevelRow
from bios_sweep.decision.statement import Verdict
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import number, plural
from bios_sweep.report.figures.canvas import (
    BAND,
    BASELINE_COLOUR,
    COLOURS,
    GREY,
    TROUBLE,
    label,
    new_figure,
    plain,
)
from bios_sweep.units import OWN, POINTS, Scale, with_unit
from bios_sweep.vocabulary import Stage, Status

MAX_ROWS = 40  # more cannot be read on one page (chosen, not measured)


@dataclass(frozen=True, kw_only=True)
class EffectRow:
    """A variation's gain in the verdict's unit with its bounds, None where there is none; status says why.

    fresh: on the confirmation's seeds.
    """

    name: str
    status: str
    fresh: bool
    gain: float | None = None
    lower: float | None = None
    upper: float | None = None


def draw_effects(summary: Summary) -> Figure:
    """One row per variation, grouped by factor; the band runs from no effect to the margin."""
    groups, left_out = _strongest(effect_groups(summary.verdicts))
    rows = [(index, row) for index, group in enumerate(groups) for row in group]
    figure, (panel,) = new_figure(7.2, 1.7 + 0.34 * (len(rows) + 0.6 * (len(groups) - 1)))
    scale = summary.scale
    margin = scale.known(summary.margin.percent if summary.margin else None)
    if margin:
        panel.axvspan(0.0, margin, color=BAND, alpha=0.45, linewidth=0)
    panel.axvline(0.0, color=BASELINE_COLOUR, linewidth=1.0)
    heights = [1.0 + place + 0.6 * index for place, (index, _) in enumerate(rows)]
    for height, (index, row) in zip(heights, rows, strict=True):
        _effect(panel, row, height, COLOURS[index % len(COLOURS)])
    panel.set_yticks(heights, [label(row.name) for _, row in rows])
    panel.set_ylim(heights[-1] + 0.7, 0.3)
    panel.grid(axis="y", visible=False)
    _mark_diverged(panel, [(height, row) for height, (_, row) in zip(heights, rows, strict=True)])
    metric = label(summary.metric.name)
    told = {POINTS: f"points of {metric}", OWN: metric}.get(scale.unit, f"% of its {metric}")
    unit = f"gain over the default in {told}; right of 0 is better"
    panel.set_xlabel(f"{unit}\n{_bounds_text(summary, margin)}", fontsize=9)
    few = f"; {plural(left_out, 'weaker one')} left out" if left_out else ""
    panel.set_title(plain(f"{summary.sweep}: effect of each variation{few}"), loc="left", fontsize=11)
    return figure


def _strongest(groups: Sequence[Sequence[EffectRow]]) -> tuple[list[list[EffectRow]], int]:
    """The rows that fit, those with the best gains, in their order; and how many were left out."""
    rows = [row for group in groups for row in group]
    gains = sorted((_rank(row) for row in rows), reverse=True)
    least = gains[MAX_ROWS - 1] if len(gains) > MAX_ROWS else -math.inf
    kept = [[row for row in group if _rank(row) >= least] for group in groups]
    return [group for group in kept if group], len(rows) - sum(map(len, kept))


def _rank(row: EffectRow) -> float:
    """Fresh seeds first, then by gain; what has none comes last."""
    return math.inf if row.fresh else -math.inf if row.gain is None else row.gain


def effect_groups(verdicts: Sequence[Verdict]) -> list[list[EffectRow]]:
    """The rows of each factor (and cell); several claims about a factor share their variations."""
    groups: dict[tuple[str, str], dict[str, EffectRow]] = {}
    for verdict in verdicts:
        rows = groups.setdefault((verdict.factor, verdict.cell), {})
        for row in effect_rows(verdict):
            rows.setdefault(row.name, row)
    ordered = [sorted(rows.values(), key=lambda row: row.fresh) for rows in groups.values()]
    return [rows for rows in ordered if rows]


def _bounds_text(summary: Summary, margin: float | None) -> str:
    bounded = [verdict for verdict in summary.verdicts if verdict.lower is not None]
    confidences = sorted({round(100 * verdict.confidence, 1) for verdict in bounded})
    levels = " or ".join(f"{confidence:g}" for confidence in confidences)
    legend = f"lines: one-sided {levels} % bounds" if levels else "open: one seed, no bounds"
    if not margin:
        return legend
    return f"{legend}; grey: less than the margin of {plain(with_unit(number(margin), summary.scale.unit))}"


def effect_rows(verdict: Verdict) -> list[EffectRow]:
    """The variations from the shared seeds, then the best one on fresh seeds where it was confirmed there."""
    known = verdict.scale.known
    rows = [_screened(row, verdict.scale) for row in verdict.levels]
    if verdict.stage == Stage.CONFIRMATION and verdict.effect_percent is not None and _of_default(verdict):
        rows.append(
            EffectRow(
                name=f"{_best_arm(verdict)} (fresh seeds)",
                status="compared",
                fresh=True,
                gain=known(verdict.effect_percent),
                lower=known(verdict.lower),
                upper=known(verdict.upper),
            )
        )
    return rows


def _screened(row: LevelRow, scale: Scale) -> EffectRow:
    found = EffectRow(name=row.arm, status=row.status, fresh=False)
    told = row.estimate
    if told is None:
        return found
    gain, lower, upper = map(scale.known, (told.gain, told.lower, told.upper))
    return replace(found, gain=gain, lower=lower, upper=upper)


def _of_default(verdict: Verdict) -> bool:
    """Whether the effect is a gain over the default: other claims are tested against other arms."""
    return claim_named(verdict.claim).for_everyone and verdict.iso_cost_percent is None


def _best_arm(verdict: Verdict) -> str:
    named = [row.arm for row in verdict.levels if row.level == verdict.best_level]
    return named[0] if named else f"{verdict.factor} candidate"


def _effect(panel: Axes, row: EffectRow, place: float, colour: str) -> None:
    gain, low, high = row.gain, row.lower, row.upper
    if gain is None:
        return
    bounded = low is not None or high is not None
    panel.plot(
        [low if low is not None else gain, high if high is not None else gain], [place] * 2, color=colour
    )
    panel.plot(
        gain,
        place,
        marker="D" if row.fresh else "o",
        markersize=7,
        color=colour,
        markerfacecolor=colour if bounded else "white",
    )


def _mark_diverged(panel: Axes, rows: Iterable[tuple[float, EffectRow]]) -> None:
    """Variations without an effect say why, at the left edge: away from any value they could be read as."""
    edge = panel.get_yaxis_transform()
    for place, row in rows:
        if row.gain is not None:
            continue
        word, colour = row.status, GREY
        if word == Status.DIVERGED:
            colour = TROUBLE
            panel.plot(0.02, place, "x", transform=edge, color=colour, markersize=7, markeredgewidth=2)
        panel.text(0.04, place, word, transform=edge, va="center", fontsize=9, color=colour)
