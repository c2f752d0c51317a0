"""Everything that is looked at, in the order in which it is told; what takes long is asked side by side."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from bios_sweep.doctor.accelerators import Machine, accelerator_lines, gpus_on_bus
from bios_sweep.doctor.child import NoAnswerError, ask
from bios_sweep.doctor.files import workspace_lines
from bios_sweep.doctor.line import Diagnosis, Line, red, warning
from bios_sweep.doctor.machine import clock_line, machine_lines, memory
from bios_sweep.doctor.model import hub_line, model_line
from bios_sweep.doctor.ray import ray_lines
from bios_sweep.doctor.software import (
    INSTALL,
    installed_versions,
    pinned_versions,
    requirements,
    software_lines,
)
from bios_sweep.doctor.tracking import tracking_lines
from bios_sweep.driver.invocation import Invocation, workspace_of
from bios_sweep.driver.tracking import Tracking, tracking_of
from bios_sweep.engines.training.fitting import CONTEXT_BYTES
from bios_sweep.execution.gpus import NVIDIA_VISIBLE, find_gpus, gpu_states
from bios_sweep.mirror.mlflow.web import ServerFacts
from bios_sweep.mirror.trackers import TRACKERS
from bios_sweep.mounts import mount_of
from bios_sweep.records.workspace import Workspace
from bios_sweep.request import INLINE, Request, request_of
from bios_sweep.version import __version__
from bios_sweep.vocabulary import Health

TORCH_LOOK = "bios_sweep.engines.training.torch_look:look"
LOAD = "bios_sweep.doctor.child:load"
ANSWERS = "bios_sweep.doctor.files:answers"
DISK_SECONDS = 20.0  # chosen: a sleeping disk or a far server answers within a few
MLFLOW = "bios_sweep.mirror.mlflow.mirror"
SHARED_MEMORY = Path("/dev/shm")


def diagnose(invocation: Invocation) -> Diagnosis:
    """Look at what the run of these overrides would use. No file of ours stays; Ray leaves its logs.

    Raises:
        InputError: the overrides themselves are wrong.
    """
    config = invocation.composed()
    request = request_of(config.values["cluster"])
    workspace = workspace_of(config)
    tracking = tracking_of(config, workspace)
    needed = requirements()
    versions = installed_versions(tuple(needed))
    with ThreadPoolExecutor() as pool:
        torch = pool.submit(_torch)
        mlflow = pool.submit(_mlflow, tracking.uri)
        ray = pool.submit(lambda: list(ray_lines(request)))
        files, store, server = _disk(request, tracking, workspace)
        model, trial_bytes = model_line(config.values, request)
        lines = [
            *software_lines(versions, needed, pinned_versions()),
            *_gpus(request, trial_bytes, torch.result()),
            *machine_lines(request, trial_bytes, memory(), _shared_bytes()),
            *files,
            *mlflow.result(),
            *store,
            *ray.result(),
            *([model] if model is not None else []),
            hub_line(),
            clock_line(server.clock if server is not None else None),
        ]
    return Diagnosis(
        host=socket.gethostname(),
        workspace=str(workspace.root),
        tracking=tracking.shown,
        versions={"python": platform.python_version(), "bios_sweep": __version__, **versions},
        lines=tuple(lines),
        red=sum(line.state == Health.RED for line in lines),
        warnings=sum(line.state == Health.WARNING for line in lines),
    )


def _torch() -> tuple[dict[str, object] | None, str]:
    """What torch makes of the machine, or why that is not known."""
    if find_spec("torch") is None:
        return None, "missing"
    try:
        return ask(TORCH_LOOK), ""
    except NoAnswerError as error:
        return None, f"loading it and what trains with it {error}"


def _gpus(request: Request, needed: int, torch: tuple[dict[str, object] | None, str]) -> Iterator[Line]:
    hiding = [name for name in NVIDIA_VISIBLE if name in os.environ]
    machine = Machine(
        gpus=find_gpus(),
        states=gpu_states(),
        on_bus=gpus_on_bus(),
        hidden=", ".join(f"{name}={os.environ[name]!r}" for name in hiding),
        torch=torch[0],
        why=torch[1],
    )
    yield from accelerator_lines(machine, request, request.sharers * (CONTEXT_BYTES + needed))


def _mlflow(uri: str | None) -> list[Line]:
    """Loaded in a process of its own: it takes seconds, and what it brings may not match."""
    if uri is None or urlsplit(uri).scheme in TRACKERS or find_spec("mlflow") is None:
        return []
    try:
        ask(LOAD, MLFLOW)
    except NoAnswerError as error:
        return [red("MLflow", f"loading it {error}", f"{INSTALL}; tracking=none runs without it")]
    return []


def _disk(
    request: Request, tracking: Tracking, workspace: Workspace
) -> tuple[list[Line], tuple[Line, ...], ServerFacts | None]:
    """Lines on the workspace and on the tracker, which lies in it by default, and what a server tells."""
    root = workspace.root
    try:
        ask(ANSWERS, str(root), seconds=DISK_SECONDS)
    except NoAnswerError as error:
        way_out = "see whether its server is up (umount -f -l where it is not), or choose another workspace="
        return [red("workspace", f"the disk of {root} {error}", way_out)], (), None
    own_ray = request.executor != INLINE and not request.joins
    files = list(workspace_lines(root, mount_of(root), ray=own_ray))
    if Health.RED not in [line.state for line in files]:
        files += _owner(workspace)
    return (files, *tracking_lines(tracking, workspace))


def _shared_bytes() -> int | None:
    return shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else None


def _owner(workspace: Workspace) -> list[Line]:
    """A run of somebody else's would be refused with exit code 75."""
    if find_spec("filelock") is None or not workspace.owner_file.exists():
        return []
    from bios_sweep.records.lock import live_owner  # needs filelock, which comes with the extra

    owner = live_owner(workspace)
    if owner is None:
        return []
    way_out = f"`bios-sweep status workspace={workspace.root}`; wait, stop it, or choose another workspace="
    return [warning("workspace in use", f"{owner} has it on {owner.host} since {owner.started}", way_out)]
