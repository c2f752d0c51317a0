"""An MLflow experiment read over its REST API with the standard library alone.

https://mlflow.org/docs/latest/api_reference/rest-api.html (version 2.0 of the API, unchanged since
MLflow 1.0). Credentials go into a header and never into a message.
"""

from __future__ import annotations

import json
import math
import urllib.error
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from bios_sweep.errors import InputError
from bios_sweep.mirror.mlflow.runs import Experiment, StoredRun, check_runs, first_value, no_experiment
from bios_sweep.mirror.mlflow.web import WAY_IN, open_signed
from bios_sweep.secrecy import masked

PAGE = 5_000  # runs per request; the API allows 50 000 (chosen, not measured)
MOST = 1000  # experiments that are listed (chosen, not measured)
SECONDS = 30.0  # for one answer (chosen, not measured)


class MlflowServer:
    """The few questions asked of a server."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.shown = masked(uri)

    def ask(
        self, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> dict[str, Any] | None:
        """The answer; None when the server says that there is no such thing.

        Raises:
            InputError: no answer, no permission, or no MLflow.
        """
        asked = f"/api/2.0/mlflow/{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            with open_signed(self._uri, asked, body, seconds=SECONDS) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            self._refused(error)
            return None
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
                f"--tracking-uri: {self.shown} refuses the credentials ({error.code}); {WAY_IN}"
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


def _experiment_id(server: MlflowServer, name: str) -> str:
    answer = server.ask("experiments/get-by-name", {"experiment_name": name})
    if answer is None and name.isdigit():
        answer = server.ask("experiments/get", {"experiment_id": name})
    if answer is not None and "experiment" in answer:
        return str(answer["experiment"]["experiment_id"])
    raise no_experiment(server.shown, name, _names(server))


def names_over_web(uri: str) -> list[str]:
    """The names of a server's experiments."""
    return _names(MlflowServer(uri))


def _names(server: MlflowServer) -> list[str]:
    there = server.ask("experiments/search", body={"max_results": MOST}) or {}
    return [str(found["name"]) for found in there.get("experiments", ())]


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
