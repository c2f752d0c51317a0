"""Whether Ray starts here, or answers where it runs, for a process of its own: a start may hang."""

from __future__ import annotations

from typing import Any

import ray

from bios_sweep.errors import ClusterError
from bios_sweep.execution.ray.cluster import nodes_alive, open_cluster, quiet_environment
from bios_sweep.request import Request

WORKER_SECONDS = 60.0  # chosen, not measured: a first worker starts in about two


def look(address: str | None, cpus: int, cpus_per_trial: int) -> dict[str, Any]:
    """Plain values: `version` and `nodes`, or `problem`, a sentence. A Ray of our own also runs a task."""
    quiet_environment()
    found: dict[str, Any] = {"version": ray.__version__, "nodes": [], "problem": ""}
    request = Request(address=address, num_cpus=cpus, cpus_per_trial=cpus_per_trial, preinstalled=True)
    try:
        open_cluster(request)
        found["nodes"] = [{"name": node.name, "resources": dict(node.resources)} for node in nodes_alive()]
        if address is None:
            task: Any = ray.remote(_nothing)  # half annotated
            ray.get(task.remote(), timeout=WORKER_SECONDS)
    except ClusterError as error:
        found["problem"] = str(error)
    except (ray.exceptions.RayError, RuntimeError, OSError, ValueError) as error:
        found["problem"] = (str(error).splitlines() or [type(error).__name__])[0]
    finally:
        ray.shutdown()
    return found


def _nothing() -> None:
    """A worker that has come this far works."""
