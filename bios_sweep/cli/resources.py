"""Which executor a configuration asks for, and how many trials it would run at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from bios_sweep.errors import ConfigError
from bios_sweep.execution.inline import InlineExecutor
from bios_sweep.ports import Executor
from bios_sweep.records.workspace import Workspace

EXECUTORS = ("ray", "inline")
DEVICES = ("auto", "cpu", "cuda")


def check_cluster(cluster: Mapping[str, Any]) -> None:
    """Refuse values that no executor can use, before anything heavy is imported.

    Raises:
        ConfigError: the value, its key and what is allowed.
    """
    for name, allowed in (("executor", EXECUTORS), ("device", DEVICES)):
        if cluster[name] not in allowed:
            raise ConfigError(
                f"cluster.{name}: {cluster[name]!r} is not allowed; choose from {', '.join(allowed)}"
            )
    if cluster["address"] is not None and not isinstance(cluster["address"], str):
        raise ConfigError(
            f"cluster.address: {cluster['address']!r} is not allowed; give auto or host:port, or null"
        )
    gpus = cluster["gpus_per_trial"]
    if isinstance(gpus, bool) or not isinstance(gpus, int | float) or not 0 <= gpus < math.inf:
        raise ConfigError(f"cluster.gpus_per_trial: {gpus!r} is not allowed; a number of at least 0")
    for name in ("cpus_per_trial", "max_attempts"):
        require_whole(f"cluster.{name}", cluster[name])
    for name in ("num_cpus", "max_concurrent"):
        if cluster[name] is not None:
            require_whole(f"cluster.{name}", cluster[name])


def require_whole(key: str, value: Any) -> int:
    """A whole number of at least 1, or an error that names its key."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key}: {value!r} is not allowed; a whole number of at least 1")
    return value


def expected_workers(cluster: Mapping[str, Any]) -> int:
    """Trials at a time on this machine by its CPUs; an estimate, for `plan` starts no cluster."""
    if cluster["executor"] == "inline":
        return 1
    cpus = cluster["num_cpus"] or len(os.sched_getaffinity(0))
    fit = max(1, int(cpus) // max(1, int(cluster["cpus_per_trial"])))
    return min(fit, cluster["max_concurrent"] or fit)


def check_device(cluster: Mapping[str, Any]) -> None:
    """Refuse `cuda` where this machine trains and has no GPU; asked for outright it costs loading torch.

    Raises:
        BiosSweepError: there is no such device.
    """
    if cluster["device"] == "cuda" and cluster["address"] is None:
        from bios_sweep.training.model import choose_device

        choose_device("cuda")


def choose_executor(cluster: Mapping[str, Any], workspace: Workspace) -> Executor:
    """The configured executor, not yet started.

    Raises:
        ClusterError: a request that is not allowed.
    """
    if cluster["executor"] == "inline":
        return InlineExecutor()
    from bios_sweep.execution.ray_tune import RayTuneExecutor

    return RayTuneExecutor(
        address=cluster["address"],
        cpus_per_trial=cluster["cpus_per_trial"],
        gpus_per_trial=cluster["gpus_per_trial"],
        max_concurrent=cluster["max_concurrent"],
        num_cpus=cluster["num_cpus"],
        max_attempts=cluster["max_attempts"],
        storage_dir=workspace.root / "ray",
    )
