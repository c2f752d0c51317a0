"""Where trials run: the executor, the variables that its workers get, and what every node must have."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from bios_sweep.driver.memory import least_bytes
from bios_sweep.driver.scenarios.scripted import ENGINES
from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.driver.table_room import table_bytes
from bios_sweep.engines.scripted.identity import fingerprint
from bios_sweep.errors import ClusterError, ConfigError
from bios_sweep.execution.inline import InlineExecutor
from bios_sweep.hub.cache import hub_access, unpinned
from bios_sweep.mirror.mlflow.tracker import is_web
from bios_sweep.ports import Executor, PreflightLine
from bios_sweep.records.workspace import Workspace
from bios_sweep.request import CUDA, INLINE, Request
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import Scenario

TRAINED_LOOKER = "bios_sweep.engines.training.on_node:look"
SCRIPT_LOOKER = "bios_sweep.engines.scripted.identity:look"
GPU_LOOKER = "bios_sweep.engines.training.on_node:gpus"
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


def choose_executor(
    request: Request, workspace: Workspace, environment: Mapping[str, str] = MappingProxyType({})
) -> Executor:
    """The requested executor, not yet started. environment: variables that workers on other nodes get."""
    if request.executor == INLINE:
        return InlineExecutor()
    from bios_sweep.execution.ray.executor import RayTuneExecutor

    return RayTuneExecutor(request, storage_dir=workspace.ray_folder, environment=environment)


def worker_environment(
    request: Request,
    *,
    sweep_id: str,
    tracking_uri: str | None,
    downloads: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Variables for every worker: the sweep's id, the tracking server, the hub, and `cluster.environment`.

    They are named one by one, for a cluster's nodes do not have ours. Only the driver writes to the tracking
    store. A script of the user may log there too, and for that it gets the address of a *server*: an SQLite
    file is for one writer, and on another node it is another file. The values may be secrets; callers pass
    them on and write them nowhere. downloads: whether workers may ask the hub for the model.

    Raises:
        ConfigError: a named variable is not set here, or would scatter a tracking store over the nodes.
    """
    values = {SWEEP_ID: sweep_id}
    if tracking_uri is not None and is_web(tracking_uri):
        values[TRACKING_URI] = tracking_uri
        values |= {name: environ[name] for name in MLFLOW_ACCESS if name in environ}
    if downloads:
        values |= hub_access(environ)
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


def require_ready(lines: tuple[PreflightLine, ...]) -> None:
    """End before the first trial where a node lacks something.

    Raises:
        ClusterError: the first red line, and how many there are.
    """
    red = [line for line in lines if line.red]
    if red:
        first, nodes = red[0], len({line.node for line in red})
        more = f" ({len(red)} red lines on {nodes} nodes)" if len(red) > 1 else ""
        raise ClusterError(
            f"node {first.node} is not ready: {first.check} is {first.found}, wanted {first.wanted}{more}; "
            f"{first.way_out}"
        )


def wanted_on_nodes(plan: Plan, request: Request, trials_dir: str) -> dict[str, Any]:
    """Plain values for `execution.preflight`: this node is the measure of all others."""
    from bios_sweep.execution.preflight import ABSENT, own_versions  # needs fsspec, which comes with Ray

    scenario = plan.study.scenario
    packages = ["ray", *(name for name, version in scenario.software.items() if version != ABSENT)]
    on_gpu = trains_on_gpu(scenario, request)
    return {
        "versions": own_versions(packages),
        "trials_dir": trials_dir,
        "options": {**scenario.engine_options, "table_bytes": table_bytes(plan)},
        **_material(scenario),
        "ways_out": _ways_out(scenario),
        "gpu_looker": GPU_LOOKER if on_gpu else "",
        "gpu_count": math.ceil(request.gpus_per_trial) if on_gpu else 0,
        "gpu_bytes": least_bytes(plan, request),
    }


def _material(scenario: Scenario) -> dict[str, Any]:
    """What the engine reads on a node: who looks for it there, and the fingerprints it must have."""
    if scenario.engine == LORA_ENGINE:
        fingerprints = {"model": scenario.model.fingerprint, "data": scenario.data.fingerprint}
        return {"looker": TRAINED_LOOKER, "material": fingerprints}
    if scenario.engine in ENGINES.values():
        return {"looker": SCRIPT_LOOKER, "material": {"script": fingerprint(scenario.engine_options)}}
    return {"looker": "", "material": {}}


def trains_on_gpu(scenario: Scenario, request: Request) -> bool:
    """A planted trial may ask for GPUs to rehearse a cluster, and touches none."""
    if scenario.engine == LORA_ENGINE:
        return bool(scenario.engine_options["device"] == CUDA)
    return bool(request.gpus_per_trial) and scenario.engine in ENGINES.values()


def _ways_out(scenario: Scenario) -> dict[str, str]:
    model = str(scenario.engine_options.get("model_path", ""))
    name, commit = unpinned(model)
    at = f" --revision {commit}" if commit else ""
    download = f"hf download {name}{at} there, or add model.download=true"
    return {
        "model": f"copy the driver's {model} there" if model.startswith("/") else download,
        "data": "give cluster.storage, through which the examples travel, or share the workspace",
        "script": "put the script, and the files that its command names, at the same paths there",
    }
