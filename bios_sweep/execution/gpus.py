"""The GPUs of this machine, found without torch: `plan` must not wait seconds to say that one lies idle.

NVIDIA's own tool answers best, for it speaks to the driver; where it is not on PATH or does not answer, the
driver's folder tells, as far as the device files are here too (a container sees the folder of its host).
AMD's driver lists its devices in files. What the visibility variables hide is not there for a trial either.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOOL = "nvidia-smi"
TOOL_SECONDS = 5.0  # chosen: a driver that has to wake up first takes a second or two per GPU
QUERY = ("--query-gpu=index,uuid,name", "--format=csv,noheader")
PROC, NODES = "proc/driver/nvidia/gpus", "sys/class/kfd/kfd/topology/nodes"
NVIDIA_VISIBLE = ("CUDA_VISIBLE_DEVICES",)
# https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html: each hides devices of those left
AMD_VISIBLE = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
AMD = "AMD GPU"


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU. name: as its driver calls it; uuid: empty where the driver's files do not tell it."""

    name: str
    uuid: str = ""


def find_gpus(environ: Mapping[str, str] = os.environ, root: Path = Path("/")) -> tuple[Gpu, ...]:
    """The GPUs that a process started with these variables would see. root: of /proc, /dev and /sys."""
    nvidia = _asked(environ)
    if nvidia is None:
        nvidia = _listed(root)
    amd = [Gpu(name=AMD)] * _amd_devices(root)
    return (*_visible(nvidia, NVIDIA_VISIBLE, environ), *_visible(amd, AMD_VISIBLE, environ))


def _asked(environ: Mapping[str, str]) -> list[Gpu] | None:
    """What `nvidia-smi` lists; None where it is missing, late or has no driver to ask."""
    tool = shutil.which(TOOL, path=environ.get("PATH", os.defpath))
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, *QUERY],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TOOL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    rows = [[cell.strip() for cell in line.split(",", 2)] for line in done.stdout.splitlines()]
    return [Gpu(name=row[2], uuid=row[1]) for row in rows if len(row) == 3 and row[0].isdigit()]


def _listed(root: Path) -> list[Gpu]:
    """What NVIDIA's driver lists in its folder, as far as the device file is here."""
    found = []
    for file in sorted((root / PROC).glob("*/information")):
        facts = _facts(file, ":")
        if (root / f"dev/nvidia{facts.get('Device Minor', '')}").exists():
            found.append(Gpu(name=facts.get("Model", "NVIDIA GPU"), uuid=facts.get("GPU UUID", "")))
    return found


def _amd_devices(root: Path) -> int:
    """Nodes of AMD's compute driver that have vector units; CPUs are nodes, too, and have none."""
    if not (root / "dev/kfd").exists():
        return 0
    nodes = [_facts(file, " ") for file in (root / NODES).glob("*/properties")]
    return sum(facts.get("simd_count", "0") not in ("", "0") for facts in nodes)


def _facts(file: Path, separator: str) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(separator) for line in lines)}


def _visible(gpus: Iterable[Gpu], variables: Sequence[str], environ: Mapping[str, str]) -> list[Gpu]:
    left = list(gpus)
    for variable in variables:
        if variable in environ:
            left = _picked(left, environ[variable])
    return left


def _picked(gpus: Sequence[Gpu], value: str) -> list[Gpu]:
    """Those that a visibility variable names, by number or uuid; the first unknown entry ends the list.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars. A slice of a GPU (MIG) is a
    device of its own.
    """
    found: list[Gpu] = []
    for entry in (part.strip() for part in value.split(",")):
        if entry.startswith("MIG-") and gpus:
            found.append(gpus[0])
        elif entry.isdigit() and int(entry) < len(gpus):
            found.append(gpus[int(entry)])
        else:
            named = [gpu for gpu in gpus if entry and gpu.uuid.startswith(entry)]
            if len(named) != 1:
                return found
            found += named
    return found
