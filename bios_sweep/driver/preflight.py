"""What every node must have for this very study, and the table that says so before the first trial."""

from __future__ import annotations

import math
from typing import Any

from bios_sweep.driver.scenarios.scripted import ENGINES
from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.engines.scripted.identity import fingerprint
from bios_sweep.errors import ClusterError
from bios_sweep.ports import Executor, PreflightLine
from bios_sweep.request import Request
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import Scenario

TRAINED_LOOKER = "bios_sweep.engines.training.on_node:look"
SCRIPT_LOOKER = "bios_sweep.engines.scripted.identity:look"
GPU_LOOKER = "bios_sweep.engines.training.on_node:gpus"
DTYPE_BYTES = {"float32": 4, "bfloat16": 2}
CONTEXT_BYTES = 512 * 1024**2  # a CUDA context and cuBLAS of one process on an H100 or A100; rounded up


def look_at_nodes(
    executor: Executor, plan: Plan, request: Request, trials_dir: str
) -> tuple[PreflightLine, ...]:
    """What every node where a trial may run has of what is wanted; nothing where trials run here.

    Raises:
        StorageError: the driver itself cannot write where trial files are kept.
    """
    if not request.joins:
        return ()
    return executor.preflight(wanted_on_nodes(plan, request, trials_dir))


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
    trained = scenario.engine == LORA_ENGINE
    return {
        "versions": own_versions(packages),
        "trials_dir": trials_dir,
        "options": dict(scenario.engine_options),
        **_material(scenario),
        "ways_out": _ways_out(scenario),
        "gpu_looker": GPU_LOOKER if _trains_on_gpu(scenario, request) else "",
        "gpu_count": math.ceil(request.gpus_per_trial) if _trains_on_gpu(scenario, request) else 0,
        "gpu_bytes": _gpu_bytes(plan, request) if trained else 0,
    }


def _material(scenario: Scenario) -> dict[str, Any]:
    """What the engine reads on a node: who looks for it there, and the fingerprints it must have."""
    if scenario.engine == LORA_ENGINE:
        found = {"model": scenario.model.fingerprint, "data": scenario.data.fingerprint}
        return {"looker": TRAINED_LOOKER, "material": found}
    if scenario.engine in ENGINES.values():
        return {"looker": SCRIPT_LOOKER, "material": {"script": fingerprint(scenario.engine_options)}}
    return {"looker": "", "material": {}}


def _trains_on_gpu(scenario: Scenario, request: Request) -> bool:
    """A planted trial may ask for GPUs to rehearse a cluster, and touches none."""
    if scenario.engine == LORA_ENGINE:
        return bool(scenario.engine_options["device"] == "cuda")
    return bool(request.gpus_per_trial) and scenario.engine in ENGINES.values()


def _gpu_bytes(plan: Plan, request: Request) -> int:
    """What the trials that share a GPU need at the very least: each its context and the model's weights.

    A necessary amount, not a sufficient one: activations and optimizer states come on top.
    """
    parameters = plan.study.scenario.model.parameters or 0
    weights = parameters * DTYPE_BYTES[plan.study.baseline.dtype] / max(1, request.gpus_per_trial)
    return int(request.sharers * (CONTEXT_BYTES + weights))


def _ways_out(scenario: Scenario) -> dict[str, str]:
    model = str(scenario.engine_options.get("model_path", ""))
    is_folder = model.startswith("/")
    return {
        "model": f"copy the driver's {model} there" if is_folder else f"hf download {model} there",
        "data": "give cluster.storage, through which the examples travel, or share the workspace",
        "script": "put the script, and the files that its command names, at the same paths there",
    }
