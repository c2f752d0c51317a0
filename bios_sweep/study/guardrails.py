"""The metrics that a refined level must not lose, with the direction that their names tell."""

from __future__ import annotations

from bios_sweep.errors import PlanError
from bios_sweep.study.metric_names import direction_of
from bios_sweep.study.scenario import Metric


def guardrail_metric(name: str, judged: Metric) -> Metric:
    """A guardrail's metric; that of the study itself has the study's direction.

    Raises:
        PlanError: the name does not say which way is better, so that nobody can tell what a loss is.
    """
    if name == judged.name:
        return judged
    direction = direction_of(name)
    if direction is None:
        raise PlanError(
            f"decision.guardrails.{name}: the name does not say which way is better; call the metric so "
            f"that its words do, such as quality_score (larger is better) or quality_error"
        )
    return Metric(name=name, direction=direction, unit="")
