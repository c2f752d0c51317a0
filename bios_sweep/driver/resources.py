"""Which executor a request asks for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bios_sweep.execution.inline import InlineExecutor
from bios_sweep.ports import Executor
from bios_sweep.records.workspace import Workspace
from bios_sweep.request import CUDA, INLINE, Request


def check_device(request: Request) -> None:
    """Refuse `cuda` where this machine trains and has no GPU; asked for outright it costs loading torch.

    Raises:
        BiosSweepError: there is no such device.
    """
    if request.device == CUDA and request.address is None:
        from bios_sweep.engines.training.model import choose_device

        choose_device(CUDA)


def choose_executor(
    request: Request, workspace: Workspace, environment: Mapping[str, str] = MappingProxyType({})
) -> Executor:
    """The requested executor, not yet started. environment: variables that workers on other nodes get."""
    if request.executor == INLINE:
        return InlineExecutor()
    from bios_sweep.execution.ray.executor import RayTuneExecutor

    return RayTuneExecutor(request, storage_dir=workspace.root / "ray", environment=environment)
