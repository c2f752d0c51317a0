"""The saved view on which MLflow opens a sweep: grouped curves of the judged metric, no single dots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bios_sweep.mirror.content import CURVES, plain_name, sweep_tag
from bios_sweep.records.sweep_state import SweepState

ONE_DOT = ("tokens", "wall_seconds")  # of a whole trial, noted once


def shared_view(
    sweep_id: str, created: int, metric: str = CURVES[0], settings: Sequence[str] = ()
) -> tuple[str, str]:
    """(id, content) of a saved view of a sweep's trials: by arm, all of them shown, with their curves.

    The form is the one MLflow 3.17 writes itself when a view is saved in its page. The sweep's own run is
    asked for too, and comes first. settings: what varies; each is a column.
    """
    shown, judged = f"metrics.`{plain_name(metric)}`", plain_name(metric)
    own = tuple(f"params.`{name}`" for name in settings)
    columns = (
        *("tags.`arm`", "tags.`seed`", "tags.`stage`", "tags.`status`"),
        *own,
        shown,
        "metrics.`wall_seconds`",
    )
    state = {
        "searchFilter": f"tags.`{sweep_tag(sweep_id)}` != ''",
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
        "selectedColumns": list(columns),
        "runsHiddenMode": "SHOW_ALL",
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "tag", "groupByData": name} for name in ("arm", "stage")],
        },
        "compareRunSections": [_section(judged)],
        "compareRunCharts": [_curves(judged), _last_values(judged), *map(_hidden, ONE_DOT)],
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }
    return sweep_id, json.dumps({"name": sweep_id, "createdAt": created, "state": json.dumps(state)})


def varied(state: SweepState) -> tuple[str, ...]:
    """The settings that are factors of a sweep, in the order of its arms."""
    factors = (arm.get("factor") for arm in state.facts["arms"].values())
    return tuple(dict.fromkeys(name for name in factors if name and name in state.facts["baseline"]))


def _section(metric: str) -> dict[str, Any]:
    """The judged metric's own section; what else has a curve comes below it."""
    return {"uuid": metric, "name": metric, "display": True, "isReordered": True, "deleted": False}


def _curves(metric: str) -> dict[str, Any]:
    """The judged metric over optimizer steps, a line per arm and stage."""
    return {
        **_card("LINE", metric),
        "selectedMetricKeys": [metric],
        "selectedYAxisMetricKey": "metric",
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "lineSmoothness": 0,
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": False,
    }


def _last_values(metric: str) -> dict[str, Any]:
    """Its last value, a bar per arm and stage."""
    return _card("BAR", metric)


def _hidden(metric: str) -> dict[str, Any]:
    """A chart that is deleted already: the page would make one of its own, with one dot."""
    return {**_card("LINE", metric), "isGenerated": True, "deleted": True}


def _card(kind: str, metric: str) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{metric} {kind}",
        "metricSectionId": metric,
        "metricKey": metric,
        "runsCountToCompare": 20,
        "isGenerated": False,
        "deleted": False,
    }


def is_ours(envelope: str, ours: str) -> bool:
    """Whether a stored view may be replaced by ours: an earlier version wrote it, and no person.

    MLflow's page saves many more things in a view than we ever did.
    """
    try:
        stored, new = (set(json.loads(json.loads(text)["state"])) for text in (envelope, ours))
    except (ValueError, KeyError, TypeError):
        return False
    return stored <= new
