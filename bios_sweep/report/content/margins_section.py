"""The table of margins for people: what each means, and how often it gives an answer. Pure."""

from __future__ import annotations

from collections.abc import Callable

from bios_sweep.rehearsal.noise import EARLIER
from bios_sweep.report.content.margin_rows import MarginRow, MarginTable
from bios_sweep.report.content.sections import Section, section
from bios_sweep.report.content.summary import MetricRow
from bios_sweep.report.content.wording import NONE, duration, number, times
from bios_sweep.study.metric_names import is_signed
from bios_sweep.units import OWN, POINTS, Scale, with_unit


def margins_section(table: MarginTable, metric: MetricRow) -> Section:
    """The table for people. A margin of a share is told in points."""
    rows, points = table.rows, any(row.points is not None for row in table.rows)
    own = is_signed(metric.name) and all(row.absolute is not None for row in rows)
    unit = "points" if points else metric.unit or metric.name
    columns: dict[str, Callable[[MarginRow], str]] = {
        "margin": lambda row: _margin_words(row, own) + (" (chosen)" if row.chosen else ""),
        **({} if points or own else {f"in {unit}": lambda row: number(row.absolute)}),
        "learning rate": lambda row: times(row.learning_rate_factor),
        "training time": lambda row: NONE if row.time_share is None else f"+{100 * row.time_share:.0f} %",
        "confirms": lambda row: _chance(row.confirms),
        "finds": lambda row: _chance(row.finds),
        "trials": lambda row: NONE if row.trials is None else f"{row.trials:.0f}",
        "time": lambda row: NONE if row.hours is None else duration(3600.0 * row.hours),
    }
    shown = {name: cell for name, cell in columns.items() if any(cell(row) != NONE for row in rows)}
    return section(
        "margins",
        "What matters, and what it takes",
        rows,
        shown,
        lines=_legend(table, own),
        numeric=[*shown][1:],
    )


def _margin_words(row: MarginRow, own: bool) -> str:
    """own: in the metric's own unit."""
    if own:
        return number(row.absolute)
    if row.points is not None:
        return with_unit(number(row.points), POINTS)
    return f"{number(row.percent)} %"


def _chance(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f} %"


def _legend(table: MarginTable, signed: bool) -> list[str]:
    """signed: of a metric whose margin is told in its own unit."""
    lever = [f"cheapest lever: {table.lever}"] if table.lever else []
    return [_how_often(table, signed), _equal_to(table.rows[0]), *lever]


def _how_often(table: MarginTable, signed: bool) -> str:
    if table.noise_percent is None:
        return (
            f"how often each gives an answer depends on a noise of the {'metric' if signed else 'score'} "
            "that no trial has shown yet"
        )
    known = "of earlier sweeps" if table.noise_source == EARLIER else "taken as typical, none was seen"
    return (
        "confirms: a default that nothing beats; finds: a gain of twice the margin, also on fresh seeds; "
        f"at a noise of {_noise_words(table, signed)} per trial, {known}"
    )


def _equal_to(row: MarginRow) -> str:
    if row.learning_rate_factor is None and row.time_share is None:
        return "what a margin equals in learning rate and in training time the sweep's trials will tell"
    return "learning rate, training time: what costs or gains as much, by the trials of this study"


def _noise_words(table: MarginTable, signed: bool) -> str:
    """In the unit of the margins beside it."""
    own = table.rows[1]
    scale = Scale() if own.points is None else Scale(own.points / own.percent, POINTS)
    if signed and own.absolute is not None:
        scale = Scale(own.absolute / own.percent, OWN)
    return f"{scale.told(table.noise_percent or 0.0):.4g}"
