"""The runs of an MLflow experiment, read over its REST API with the standard library alone.

https://mlflow.org/docs/latest/api_reference/rest-api.html (version 2.0 of the API, unchanged since
MLflow 1.0). Credentials go into a header and never into a message.
"""

from __future__ import annotations

import base64
import difflib
import json
import math
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from bios_sweep.analysis.runs import RunTable
from bios_sweep.errors import InputError
from bios_sweep.records.mirror_content import sweep_tag
from bios_sweep.records.run_columns import parsed_setting
from bios_sweep.records.tables import RawTable
from bios_sweep.records.tracking import masked, tls_context
from bios_sweep.settings import setting_names
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import COMPLETED, CONFIRMATION, DIVERGED, FAILED, SCREENING

PAGE = 5_000  # runs per request; the API allows 50 000 (chosen, not measured)
SECONDS = 30.0  # for one answer (chosen, not measured)
SHOWN = 8  # experiments named in one message (chosen, not measured)
OURS = "eval_loss"  # the metric of our own sweeps


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """One run. metrics: the latest value of each. started: milliseconds since 1970."""

    run_id: str
    name: str
    status: str
    started: int
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """All active runs of an experiment, and how it is called in messages.

    at_start: run id and metric -> the metric's value at step 0, None where it has none.
    """

    source: str
    runs: tuple[StoredRun, ...]
    at_start: Callable[[str, str], float | None] = lambda run_id, metric: None


class MlflowServer:
    """The few questions asked of a server."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        user, _, host = parts.netloc.rpartition("@")
        self._base = f"{parts.scheme}://{host}{parts.path.rstrip('/')}/api/2.0/mlflow/"
        self._headers = {"Content-Type": "application/json"} | _authorization(user)
        self._tls = tls_context(uri)
        self.shown = masked(uri)

    def ask(
        self, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> dict[str, Any] | None:
        """The answer; None when the server says that there is no such thing.

        Raises:
            InputError: no answer, no permission, or no MLflow.
        """
        address = self._base + path + (f"?{urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, content, self._headers)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS, context=self._tls) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            return self._refused(error)
        except (OSError, ValueError) as error:
            reason = masked(str(getattr(error, "reason", error)))
            raise InputError(
                f"--tracking-uri: {self.shown} does not answer as an MLflow server does ({reason})"
            ) from None
        if not isinstance(found, dict):
            raise InputError(f"--tracking-uri: {self.shown} answers, but not as an MLflow server does")
        return found

    def at_start(self, run_id: str, metric: str) -> float | None:
        """The value of a run's metric at step 0."""
        answer = self.ask("metrics/get-history", {"run_id": run_id, "metric_key": metric}) or {}
        return first_value((int(p.get("step", 0)), float(p["value"])) for p in answer.get("metrics", ()))

    def _refused(self, error: urllib.error.HTTPError) -> None:
        """A missing experiment is an answer; everything else ends here."""
        try:
            code = json.load(error).get("error_code", "")
        except (ValueError, AttributeError, OSError):
            code = ""
        if code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return
        if error.code in (401, 403):
            raise InputError(
                f"--tracking-uri: {self.shown} refuses the credentials ({error.code}); set "
                "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            ) from None
        raise InputError(f"--tracking-uri: {self.shown} answers {error.code} {code}".rstrip()) from None


def read_over_web(uri: str, name: str) -> Experiment:
    """The experiment of that name or id.

    Raises:
        InputError: no answer, no such experiment (with those that are there), or no run in it.
    """
    server = MlflowServer(uri)
    experiment_id = _experiment_id(server, name)
    runs: list[StoredRun] = []
    token: str | None = None
    while True:
        body = {"experiment_ids": [experiment_id], "max_results": PAGE, "run_view_type": "ACTIVE_ONLY"}
        answer = server.ask("runs/search", body=body | ({"page_token": token} if token else {})) or {}
        runs += map(_stored, answer.get("runs", ()))
        token = answer.get("next_page_token")
        if not token:
            break
    source = f"experiment {name!r}"
    check_runs(source, runs)
    return Experiment(source=source, runs=tuple(runs), at_start=server.at_start)


def first_value(points: Iterable[tuple[int, float]]) -> float | None:
    """The value at step 0 of a metric's history."""
    return next((value for step, value in points if step == 0 and math.isfinite(value)), None)


def check_runs(source: str, runs: Sequence[StoredRun]) -> None:
    """Refuse an experiment without runs."""
    if not runs:
        raise InputError(f"{source}: has no run")


def no_experiment(shown: str, name: str, names: Sequence[str]) -> InputError:
    """What is said when there is no such experiment: the nearest, and those that are there."""
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    there = f"there are {', '.join(map(repr, names[:SHOWN]))}{more}" if names else "there is none at all"
    return InputError(f"{shown}: no experiment {name!r}{hint}; {there}")


def raw_table(experiment: Experiment) -> RawTable:
    """The runs as the columns that MLflow's own export has: `params.x`, `metrics.y`, `tags.z`, `status`."""
    runs = sorted(experiment.runs, key=lambda run: (run.started, run.run_id))
    columns: dict[str, tuple[str, ...]] = {"status": tuple(run.status for run in runs)}
    for kind in ("params", "metrics", "tags"):
        keys = dict.fromkeys(key for run in runs for key in getattr(run, kind))
        for key in keys:
            if kind == "tags" and key.startswith("mlflow.") and key != "mlflow.source.git.commit":
                continue
            cells = [getattr(run, kind).get(key) for run in runs]
            columns[f"{kind}.{key}"] = tuple("" if cell is None else str(cell) for cell in cells)
    return RawTable(source=experiment.source, columns=columns, lines=tuple(range(1, len(runs) + 1)))


def own_sweep(experiment: Experiment, sweep: str | None, value: str | None) -> RunTable | None:
    """The trials of one of our own sweeps, the latest unless named; None when there is no sweep of ours.

    Arms are taken from the sweep's own tag and the stage from its list of seeds, for a trial belongs to
    every sweep that used it.

    Raises:
        InputError: no sweep of that name; the message lists those that are there.
    """
    parents = sorted((r for r in experiment.runs if r.tags.get("kind") == "sweep"), key=lambda r: -r.started)
    if not parents:
        return None
    parent = _chosen(experiment.source, parents, sweep)
    tag = sweep_tag(parent.tags["sweep_id"])
    runs = sorted(
        (r for r in experiment.runs if r.tags.get(tag) and r.tags.get("kind") == "trial"),
        key=lambda r: (r.started, r.run_id),
    )
    check_runs(f"{experiment.source}: sweep {parent.tags['sweep_id']}", runs)
    others = [other.tags["sweep_id"] for other in parents if other is not parent]
    also = (f"other sweeps of the experiment, chosen with --sweep: {', '.join(others[:SHOWN])}",)
    metric = value or OURS
    return replace(
        _own_table(experiment.source, parent, tag, runs, metric, also if others else ()),
        untouched=experiment.at_start(_completed(runs).run_id, metric),
    )


def _completed(runs: Sequence[StoredRun]) -> StoredRun:
    """A run that measured something, where there is one: every trial starts from the same model."""
    return next((run for run in runs if _status(run) == COMPLETED), runs[0])


def _own_table(
    source: str,
    parent: StoredRun,
    tag: str,
    runs: Sequence[StoredRun],
    metric: str,
    notes: tuple[str, ...],
) -> RunTable:
    screened = set(_listed(parent.params.get("seeds", "[]")))
    seeds = tuple(int(run.params.get("seed", run.tags.get("seed", "0"))) for run in runs)
    own = [run.tags.get("arm") == run.tags[tag] for run in runs]
    statuses = tuple(_status(run) for run in runs)
    names = [name for name in setting_names() if any(name in run.params for run in runs)]
    return RunTable(
        source=f"{source}, sweep {parent.tags['sweep_id']}",
        arms=tuple(run.tags[tag] for run in runs),
        seeds=seeds,
        values=tuple(
            math.nan if status == FAILED else run.metrics.get(metric, math.nan)
            for run, status in zip(runs, statuses, strict=True)
        ),
        statuses=statuses,
        stages=tuple(SCREENING if not screened or seed in screened else CONFIRMATION for seed in seeds),
        metric=Metric(name=metric),
        settings={name: tuple(parsed_setting(run.params.get(name, "")) for run in runs) for name in names},
        factors=tuple(_tag(run, "factor") if mine else "" for run, mine in zip(runs, own, strict=True)),
        levels=tuple(parsed_setting(_tag(run, "level")) for run in runs),
        costs={"tokens": tuple(run.metrics.get("tokens", math.nan) for run in runs)},
        places=tuple(f"run {run.run_id}" for run in runs),
        notes=notes,
    )


def _tag(run: StoredRun, name: str) -> str:
    text = run.tags.get(name, "")
    return "" if text == "none" else text


def _status(run: StoredRun) -> str:
    status = run.tags.get("status", "")
    return status if status in (COMPLETED, DIVERGED) else FAILED


def _listed(text: str) -> list[int]:
    try:
        return [int(seed) for seed in json.loads(text)]
    except (ValueError, TypeError):
        return []


def _chosen(source: str, parents: Sequence[StoredRun], sweep: str | None) -> StoredRun:
    if sweep is None:
        return parents[0]
    for parent in parents:
        if sweep in (parent.tags.get("sweep_id"), parent.tags.get("sweep_name")):
            return parent
    there = ", ".join(parent.tags["sweep_id"] for parent in parents[:SHOWN])
    raise InputError(f"{source}: no sweep {sweep!r}; there are {there}")


def _experiment_id(server: MlflowServer, name: str) -> str:
    answer = server.ask("experiments/get-by-name", {"experiment_name": name})
    if answer is None and name.isdigit():
        answer = server.ask("experiments/get", {"experiment_id": name})
    if answer is not None and "experiment" in answer:
        return str(answer["experiment"]["experiment_id"])
    there = server.ask("experiments/search", body={"max_results": 1000}) or {}
    names = [str(found["name"]) for found in there.get("experiments", ())]
    raise no_experiment(server.shown, name, names)


def _stored(run: Mapping[str, Any]) -> StoredRun:
    info, data = run["info"], run.get("data", {})
    return StoredRun(
        run_id=str(info["run_id"]),
        name=str(info.get("run_name", "")),
        status=str(info.get("status", "")),
        started=int(info.get("start_time", 0)),
        params={item["key"]: str(item.get("value", "")) for item in data.get("params", ())},
        metrics={item["key"]: float(item.get("value", math.nan)) for item in data.get("metrics", ())},
        tags={item["key"]: str(item.get("value", "")) for item in data.get("tags", ())},
    )


def _authorization(user: str) -> dict[str, str]:
    """The header of the address's own credentials, else of MLflow's variables; the password wins as there."""
    name, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if user or name:
        pair = unquote(user) if user else f"{name}:{password or ''}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {"Authorization": f"Bearer {token}"} if token else {}
