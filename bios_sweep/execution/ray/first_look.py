"""Whether Ray starts here, or answers where it runs, for a process of its own: a start may hang."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray

from bios_sweep.errors import ClusterError
from bios_sweep.execution.placement import refuse_unless_fits
from bios_sweep.execution.ray.cluster import nodes_alive, open_cluster, quiet_environment
from bios_sweep.request import Request

WORKER_SECONDS = 60.0  # chosen, not measured: a first worker starts in about two


def look(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values: `version` and `nodes`, or `problem`, a sentence. A Ray of our own also runs a task.

    asked: the fields of a `Request`; nothing of ours travels to the nodes.
    """
    quiet_environment()
    found: dict[str, Any] = {"version": ray.__version__, "nodes": [], "problem": ""}
    request = Request(**{**asked, "preinstalled": True, "py_modules": ()})
    try:
        open_cluster(request)
        nodes = nodes_alive()
        refuse_unless_fits(request, [node.resources for node in nodes])
        found["nodes"] = [{"name": node.name, "resources": dict(node.resources)} for node in nodes]
        if request.address is None:
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
