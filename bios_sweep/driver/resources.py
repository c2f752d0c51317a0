"""Which executor a configuration asks for, and how many trials it would run at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bios_sweep.errors import ConfigError
from bios_sweep.execution.inline import InlineExecutor
from bios_sweep.ports import Executor
from bios_sweep.records.workspace import Workspace

EXECUTORS = ("ray", "inline")
DEVICES = ("auto", "cpu", "cuda")
PLACEMENTS = ("pack", "spread")


def check_cluster(cluster: Mapping[str, Any]) -> None:
    """Refuse values that no executor can use, before anything heavy is imported.

    Raises:
        ConfigError: the value, its key and what is allowed.
    """
    for name, allowed in (("executor", EXECUTORS), ("device", DEVICES), ("placement", PLACEMENTS)):
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
    if not isinstance(cluster["preinstalled"], bool):
        raise ConfigError(f"cluster.preinstalled: {cluster['preinstalled']!r} is not allowed; true or false")
    _check_wishes(cluster)
    _check_storage(cluster["storage"])
    for name in ("py_modules", "environment"):
        if not isinstance(cluster[name], list) or not all(isinstance(entry, str) for entry in cluster[name]):
            raise ConfigError(f"cluster.{name}: {cluster[name]!r} is not allowed; a list of texts")
    for path in cluster["py_modules"]:
        if not Path(path).expanduser().exists():
            raise ConfigError(f"cluster.py_modules: {path} is not there; a folder or a file of Python code")


def _check_wishes(cluster: Mapping[str, Any]) -> None:
    kind, amounts = cluster["accelerator_type"], cluster["resources_per_trial"]
    if kind is not None and not isinstance(kind, str):
        raise ConfigError(f"cluster.accelerator_type: {kind!r} is not allowed; a name such as A100, or null")
    if amounts is not None and not isinstance(amounts, Mapping):
        raise ConfigError(
            f"cluster.resources_per_trial: {amounts!r} is not allowed; a mapping such as {{big: 1}}, or null"
        )


def _check_storage(storage: Any) -> None:
    """A relative folder would be another one in every worker."""
    if storage is None:
        return
    if not isinstance(storage, str) or not (storage.startswith("/") or "://" in storage):
        raise ConfigError(
            f"cluster.storage: {storage!r} is not allowed; an absolute folder that every node sees, or an "
            "address such as s3://BUCKET/DIR"
        )


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
        from bios_sweep.engines.training.model import choose_device

        choose_device("cuda")


def choose_executor(
    cluster: Mapping[str, Any], workspace: Workspace, environment: Mapping[str, str] = MappingProxyType({})
) -> Executor:
    """The configured executor, not yet started. environment: variables that workers on other nodes get.

    Raises:
        ClusterError: a request that is not allowed.
    """
    if cluster["executor"] == "inline":
        return InlineExecutor()
    from bios_sweep.execution.ray.executor import RayTuneExecutor

    return RayTuneExecutor(
        address=cluster["address"],
        cpus_per_trial=cluster["cpus_per_trial"],
        gpus_per_trial=cluster["gpus_per_trial"],
        accelerator_type=cluster["accelerator_type"],
        resources_per_trial=cluster["resources_per_trial"] or {},
        max_concurrent=cluster["max_concurrent"],
        placement=cluster["placement"],
        preinstalled=cluster["preinstalled"],
        py_modules=[str(Path(path).expanduser().absolute()) for path in cluster["py_modules"]],
        storage=cluster["storage"],
        environment=environment,
        num_cpus=cluster["num_cpus"],
        max_attempts=cluster["max_attempts"],
        storage_dir=workspace.root / "ray",
    )
