"""The smallest effect that matters: what a purpose asks for, or what is given instead. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.checks import one_of
from bios_sweep.errors import ConfigError
from bios_sweep.study.metric_names import is_accuracy, is_never_a_share, is_share, is_signed
from bios_sweep.units import OWN, POINTS, Scale

MARGINS = ("margin_percent", "margin_share", "margin_absolute", "margin_points")


@dataclass(frozen=True, kw_only=True)
class Margins:
    """What matters for a purpose: percent of the metric, share of what training gained, points of a share."""

    percent: float
    share: float
    points: float


PURPOSES = {  # docs/statistics.md, item 14
    "publish": Margins(percent=0.5, share=0.05, points=1.0),
    "choose": Margins(percent=1.0, share=0.10, points=2.0),
}
STANDARD = "choose"
BEFORE = "publish"  # the standard of earlier versions: what a file means that is older than purposes


def margins_of(purpose: str, metric: str, given: Mapping[str, float | None]) -> dict[str, float | None]:
    """The margins of a rule: those that are given and no others, else the purpose's for such a metric.

    given: names of `MARGINS` -> a number, or None where it is left open.

    Raises:
        ConfigError: the purpose is none, points are given of what is no share, or no percent of the metric
            means anything and none is given.
    """
    one_of("decision.purpose", purpose, tuple(PURPOSES))
    margins = {name: given.get(name) for name in MARGINS}
    if margins["margin_points"] is not None and is_never_a_share(metric):
        raise ConfigError(
            f"decision.margin_points: {metric} is no share, so there are no points of it; give "
            "decision.margin_percent or decision.margin_absolute"
        )
    if any(value is not None for value in margins.values()):
        return margins
    if is_signed(metric):
        raise ConfigError(
            f"decision.margin_absolute: missing; {metric} may be 0 or less, so no percent of it says what "
            "matters; give the smallest difference that does, such as decision.margin_absolute=0.05"
        )
    of = PURPOSES[purpose]
    if is_share(metric):
        return margins | {"margin_points": of.points}
    return margins | {"margin_percent": of.percent, "margin_share": of.share}


def of_before(rule: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """A rule of before margins had a purpose: its standard one meant a point of an accuracy, in silence."""
    standard, margins = PURPOSES[BEFORE], (rule.get("margin_percent"), rule.get("margin_share"))
    if not is_accuracy(metric) or margins != (standard.percent, standard.share):
        return dict(rule)
    return {**rule, "margin_percent": None, "margin_share": None, "margin_points": standard.points}


def points_in_unit(points: float, level: float) -> float:
    """Points of a share in its own unit: a share whose level is at most 1 is one in [0, 1], else percent."""
    return points / 100.0 if abs(level) <= 1.0 else points


def whole_of(largest: float) -> float:
    """All of a share, in its own unit. largest: value that is known of it."""
    return 1.0 if largest <= 1.0 else 100.0


def scale_of(metric: str, level: float, *, points: bool, percent: bool = False) -> Scale:
    """How gains of a metric are told. level: the default's mean, or what gains are percents of.

    points, percent: whether its margin is given in points, or in percent of what may be 0 or less.
    """
    if level and is_signed(metric) and not percent:
        return Scale(abs(level) / 100.0, OWN)
    if not (points or is_share(metric)) or not level:
        return Scale()
    own = abs(level) / 100.0
    return Scale(own / points_in_unit(1.0, level), POINTS)
