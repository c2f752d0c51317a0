"""The GPUs by their driver, and whether torch can use them: no run may fall back to the CPU in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bios_sweep.doctor.line import Line, ok, red, warning
from bios_sweep.execution.gpus import AMD, Gpu, GpuState
from bios_sweep.request import CPU, CUDA, Request

GIB = 1024**3
FULL_SHARE = 0.1  # chosen: with less free memory than that somebody else works on the GPU
PCI = Path("/sys/bus/pci/devices")
NVIDIA = "0x10de"
CLASSES = ("0x03", "0x1200")  # of PCI: display controllers, 3D ones among them; processing accelerators
ALONE = "Exclusive"  # the beginning of a compute mode
WITHOUT = "or say cluster.device=cpu, if it is meant to train on the CPU"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What was seen. states: None where `nvidia-smi` does not answer; on_bus: as `gpus_on_bus` counts them.

    hidden: the variable that hides GPUs from a run, as it is set, or an empty text.

    torch: what `engines.training.torch_look` found, or None with the reason in `why`.
    """

    gpus: Sequence[Gpu]
    states: Sequence[GpuState] | None
    on_bus: int
    hidden: str
    torch: Mapping[str, Any] | None
    why: str


def gpus_on_bus(devices: Path = PCI) -> int:
    """NVIDIA's GPUs on the PCI bus, whether or not a driver has them."""
    return sum(_is_gpu(device) for device in devices.glob("*"))


def _is_gpu(device: Path) -> bool:
    try:
        vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
    except OSError:
        return False
    return vendor == NVIDIA and kind.startswith(CLASSES)


def accelerator_lines(machine: Machine, request: Request, needed: int) -> Iterator[Line]:
    """needed: bytes that trials take of a GPU at the very least."""
    yield from _driver(machine, request, needed)
    yield _torch(machine, request)


def _driver(machine: Machine, request: Request, needed: int) -> Iterator[Line]:
    """What the machine has, by whoever can tell."""
    wanted = _on_gpu(request)
    if not machine.gpus:
        yield _no_gpu(machine, request)
        return
    if machine.states is None:
        names = ", ".join(gpu.name for gpu in machine.gpus)
        found = f"{len(machine.gpus)}: {names}"
        way_out = "run nvidia-smi by hand; after an update of the driver restart the machine"
        amd = all(gpu.name == AMD for gpu in machine.gpus)
        yield ok("GPUs", found) if amd else warning("GPUs", f"{found}; nvidia-smi does not answer", way_out)
        return
    for place, gpu in enumerate(machine.states):
        yield _one_gpu(f"GPU {place}", gpu, request, needed if wanted else 0)
    if machine.states:
        yield ok("GPU driver", f"NVIDIA {machine.states[0].driver}")
    if not wanted and not request.joins:
        way_out = "choose cluster=local_gpu (trials share a GPU) or add cluster.gpus_per_trial=1"
        yield warning("device", "trials train on the CPU, for cluster.gpus_per_trial is 0", way_out)


def _no_gpu(machine: Machine, request: Request) -> Line:
    if machine.hidden:
        state = red if _on_gpu(request) else warning
        return state("GPUs", f"none is visible ({machine.hidden})", "unset that variable")
    if machine.on_bus:
        state = warning if request.device == CPU or request.joins else red
        way_out = f"install NVIDIA's driver, start the container with its GPUs (--gpus all), {WITHOUT}"
        return state("GPUs", f"{machine.on_bus} on the PCI bus and no driver that shows them here", way_out)
    if _on_gpu(request):
        way_out = "choose cluster=ray to train on the CPU, or go to a machine with GPUs"
        return red("GPUs", "none, and trials are to train on one", way_out)
    return ok("GPUs", "none")


def _one_gpu(check: str, gpu: GpuState, request: Request, needed: int) -> Line:
    if needed and request.sharers > 1 and gpu.mode.startswith(ALONE):
        found = f"{gpu.name}, in compute mode {gpu.mode}, and {request.sharers} trials are to share it"
        return red(check, found, "sudo nvidia-smi -c DEFAULT, or add cluster.gpus_per_trial=1")
    if gpu.total is None or gpu.free is None:
        return ok(check, f"{gpu.name}, memory not told")
    found = f"{gpu.name}, {_gib(gpu.free)} of {_gib(gpu.total)} free"
    if gpu.free < needed:
        way_out = "end what else runs on it, or let fewer trials share it (cluster.gpus_per_trial=1)"
        return red(check, f"{found}; its trials take {_gib(needed)} at the very least", way_out)
    if gpu.free < FULL_SHARE * gpu.total:
        return warning(check, found, "nvidia-smi shows what else runs on it")
    return ok(check, found)


def _torch(machine: Machine, request: Request) -> Line:
    """A mismatch is red where trials are meant for GPUs, and where GPUs lie idle because of it."""
    if machine.torch is None:
        return red("torch", machine.why, "pip install 'bios-sweep[run]'; python -c 'import torch' shows more")
    version, built = machine.torch["version"], machine.torch["cuda"]
    seen, problem = machine.torch["gpus"], machine.torch["problem"]
    there = len(machine.gpus) or (0 if machine.hidden else machine.on_bus)
    meant = not request.joins and (_on_gpu(request) or (there > 0 and request.device != CPU))
    if built is None:
        found = f"{version}, a build for the CPU"
        if not there and not _on_gpu(request):
            return ok("torch", found)
        way_out = f"pip install a torch build for the GPU's driver (https://pytorch.org), {WITHOUT}"
        return (red if meant else warning)("torch", f"{found}; no GPU can be used", way_out)
    found = f"{version}, built for {built}"
    if seen and not problem and len(seen) >= len(machine.gpus):
        return ok("torch", f"{found}, computes on {len(seen)} GPU{'' if len(seen) == 1 else 's'}")
    if request.device == CPU and not seen:
        return ok("torch", f"{found}, and trials train on the CPU as asked for")
    drivers = {gpu.driver for gpu in machine.states or ()}
    driver = f" under driver {', '.join(sorted(drivers))}" if drivers else ""
    says = f"sees {len(seen)} of {there or 'no'} GPUs{driver}{f': {problem}' if problem else ''}"
    way_out = f"install a driver for CUDA {built} or a torch build for the driver, {WITHOUT}"
    return (red if meant else warning)("torch", f"{found}, {says}", way_out)


def _on_gpu(request: Request) -> bool:
    return not request.joins and request.trial_device == CUDA


def _gib(amount: int) -> str:
    return f"{amount / GIB:.1f} GiB"
