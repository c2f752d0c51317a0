"""Metrics beside the one that decides: which way each is better, and what a refinement may lose of it. Pure.

A refinement needs the deciding metric better and every other one not worse by its margin (intersection-union:
alpha is not divided); a confirmation is about the deciding metric alone (docs/statistics.md, item 15).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.checks import is_positive, not_allowed
from bios_sweep.errors import PlanError
from bios_sweep.jsonable import OPTIONAL, to_json
from bios_sweep.study.margins import points_in_unit
from bios_sweep.study.scenario import Metric, guardrail_metric
from bios_sweep.units import OWN, PERCENT, POINTS, with_unit

LIMITS = ("margin_percent", "margin_absolute", "margin_points")
OF_ITEMS = ("items", "differing")  # they tell what can be decided, and decide nothing


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A metric that must not lose, and by how much it may: exactly one of the three margins.

    margin_percent of the baseline's value, margin_absolute in the metric's unit, margin_points of a share in
    [0, 1] or percent. items: how many evaluation items it is a mean over, differing: the share of them in
    which two trained models differ, None where that is not known; neither decides a verdict.
    """

    metric: Metric
    margin_percent: float | None = None
    margin_absolute: float | None = None
    margin_points: float | None = None
    items: int | None = field(default=None, metadata=OPTIONAL)
    differing: float | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in LIMITS if getattr(self, name) is not None}
        if len(given) != 1:
            raise PlanError(
                f"decision.metrics {self.metric.name}: {' and '.join(given) or 'no margin'} given; say once "
                f"what it may lose, as {', '.join(LIMITS[:-1])} or {LIMITS[-1]}"
            )
        [(name, value)] = given.items()
        if not is_positive(value):
            raise not_allowed(f"decision.metrics {self.metric.name} {name}", value, "above 0", PlanError)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Companion:
        """Inverse of `to_json`."""
        return cls(**{**values, "metric": Metric(**values["metric"])})

    def identity(self) -> dict[str, Any]:
        """What decides a verdict; what is known of its items only tells what can be decided."""
        return {name: value for name, value in to_json(self).items() if name not in OF_ITEMS}

    @property
    def unit(self) -> str:
        """In what its margin and its gains are told."""
        return (
            PERCENT if self.margin_percent is not None else POINTS if self.margin_points is not None else OWN
        )

    @property
    def limit(self) -> float:
        """What it may lose, in `unit`."""
        return next(float(value) for name in LIMITS if (value := getattr(self, name)) is not None)

    @property
    def limit_words(self) -> str:
        """`1 %`, `2 points`, `0.05`."""
        return with_unit(f"{self.limit:g}", self.unit)

    @property
    def words(self) -> str:
        """`accuracy, larger is better, by no more than 2 points`."""
        return f"{self.metric.words}, by no more than {self.limit_words}"

    def told(self, percent: float, level: float) -> float:
        """A gain in `unit`. percent: of the baseline's mean; level: that mean."""
        if self.unit == PERCENT:
            return percent
        own = percent * abs(level) / 100.0
        return own / points_in_unit(1.0, level) if self.unit == POINTS else own

    def percent(self, level: float) -> float:
        """What it may lose, percent of the baseline's mean."""
        return self.limit / self.told(1.0, level)


def guardrails_as_companions(guardrails: Mapping[str, float], judged: Metric) -> tuple[Companion, ...]:
    """`decision.guardrails`, the older way to say it: final metric -> percent that may be lost.

    Raises:
        PlanError: a name does not say which way is better.
    """
    return tuple(
        Companion(metric=guardrail_metric(name, judged), margin_percent=percent)
        for name, percent in guardrails.items()
    )
