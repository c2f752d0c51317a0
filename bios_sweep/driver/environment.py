"""The variables that workers get from the driver, named one by one: a cluster's nodes do not have ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from bios_sweep.errors import ConfigError
from bios_sweep.mirror.mlflow.tracker import is_web
from bios_sweep.request import Request

SWEEP_ID, TRACKING_URI = "BIOS_SWEEP_SWEEP_ID", "BIOS_SWEEP_TRACKING_URI"
# what MLflow's own client reads to reach a server: https://mlflow.org/docs/latest/self-hosting/security/
MLFLOW_ACCESS = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
)
STORES_OF_ONE = ("sqlite", "file", "")  # kinds of address that mean another file on every node


def worker_environment(
    request: Request,
    *,
    sweep_id: str,
    tracking_uri: str | None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Variables for every worker: the sweep's id, the tracking server, and `cluster.environment`.

    Only the driver writes to the tracking store. A script of the user may log there too, and for that it is
    told the address of a *server*: an SQLite file is for one writer, and on another node it is another file.
    The values may be secrets; callers pass them on and write them nowhere.

    Raises:
        ConfigError: a named variable is not set here, or would scatter a tracking store over the nodes.
    """
    values = {SWEEP_ID: sweep_id}
    if tracking_uri is not None and is_web(tracking_uri):
        values[TRACKING_URI] = tracking_uri
        values |= {name: environ[name] for name in MLFLOW_ACCESS if name in environ}
    for name in request.environment:
        if name not in environ:
            raise ConfigError(f"cluster.environment: {name} is not set here; export it, or leave it out")
        values[name] = environ[name]
    named = values.get("MLFLOW_TRACKING_URI")
    if named is not None and request.address is not None and urlsplit(named).scheme in STORES_OF_ONE:
        raise ConfigError(
            "cluster.environment: MLFLOW_TRACKING_URI names a file, another one on every node; start "
            "`mlflow server` and give its http address"
        )
    return values
