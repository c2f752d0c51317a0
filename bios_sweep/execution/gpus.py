"""The GPUs of this machine and their published peaks, without torch: `plan` must not wait seconds for it.

NVIDIA's own tool answers best, for it speaks to the driver; where it is not on PATH or does not answer, the
driver's folder tells, as far as the device files are here too (a container sees the folder of its host).
AMD's driver lists its devices in files. What the visibility variables hide is not there for a trial either.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from bios_sweep.errors import BiosSweepError, ClusterError

TOOL = "nvidia-smi"
TOOL_SECONDS = 5.0  # chosen: a driver that has to wake up first takes a second or two per GPU
IDENTITY = ("index", "uuid", "name")
STATE = ("uuid", "memory.total", "memory.free", "driver_version", "compute_mode", "name")
MIB = 1024**2  # nvidia-smi's unit of memory
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


def gpus_here(looker: str) -> tuple[Mapping[str, Any], ...]:
    """What a looker, an import string, finds on this machine.

    Raises:
        ClusterError: nothing that a trial could use, and why.
    """
    try:
        return tuple(resolve_name(looker)())
    except BiosSweepError as error:
        raise unusable("this machine", str(error)) from error


def unusable(node: str, why: str) -> ClusterError:
    """A place whose trials are meant for GPUs that it cannot use: they must not fall back to its CPUs."""
    return ClusterError(
        f"{node}: {why}; install the torch build that matches its driver, or train on CPUs with "
        "cluster.gpus_per_trial=0 and cluster.device=cpu"
    )


def find_gpus(environ: Mapping[str, str] = os.environ, root: Path = Path("/")) -> tuple[Gpu, ...]:
    """The GPUs that a process started with these variables would see. root: of /proc, /dev and /sys."""
    nvidia = _asked(environ)
    if nvidia is None:
        nvidia = _listed(root)
    amd = [Gpu(name=AMD)] * _amd_devices(root)
    return (*_visible(nvidia, NVIDIA_VISIBLE, environ), *_visible(amd, AMD_VISIBLE, environ))


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """A GPU as its driver sees it now. total, free: bytes of memory, None where the driver does not tell.

    mode: who may compute on it: `Default` is everybody.
    """

    name: str
    uuid: str
    driver: str
    mode: str
    total: int | None
    free: int | None


def gpu_states(environ: Mapping[str, str] = os.environ) -> tuple[GpuState, ...] | None:
    """The state of NVIDIA's GPUs that `find_gpus` sees; None where `nvidia-smi` does not answer."""
    rows = _answer(environ, STATE)
    if rows is None:
        return None
    found = {
        uuid: GpuState(name=name, uuid=uuid, driver=driver, mode=mode, total=_bytes(total), free=_bytes(free))
        for uuid, total, free, driver, mode, name in rows
    }
    return tuple(found[gpu.uuid] for gpu in find_gpus(environ) if gpu.uuid in found)


def _bytes(mebibytes: str) -> int | None:
    return int(mebibytes) * MIB if mebibytes.isdigit() else None  # `[N/A]` where memory is the machine's own


def _asked(environ: Mapping[str, str]) -> list[Gpu] | None:
    """What `nvidia-smi` lists; None where it is missing, late or has no driver to ask."""
    rows = _answer(environ, IDENTITY)
    return None if rows is None else [Gpu(name=row[2], uuid=row[1]) for row in rows if row[0].isdigit()]


def _answer(environ: Mapping[str, str], fields: Sequence[str]) -> list[list[str]] | None:
    """A row per GPU, a cell per field; the last may hold commas. None: as `_asked`."""
    tool = shutil.which(TOOL, path=environ.get("PATH", os.defpath))
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"],
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
    last = len(fields) - 1
    rows = [[cell.strip() for cell in line.split(",", last)] for line in done.stdout.splitlines()]
    return [row for row in rows if len(row) == len(fields)]


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


@dataclass(frozen=True, kw_only=True)
class Peak:
    """Dense TFLOP/s of a GPU model; bfloat16 is None where the model has no arithmetic for it.

    From NVIDIA's data sheets, without sparsity; float32 is that of the ordinary cores, for PyTorch leaves
    TF32 off (https://docs.pytorch.org/docs/stable/notes/cuda.html) and our training does not turn it on. A
    ratio of peaks is the most that float32 can cost; what it does cost depends on memory and batch.
    """

    float32: float
    bfloat16: float | None

    @property
    def ratio(self) -> float | None:
        """How many times faster bfloat16 is at most, on its tensor cores."""
        return None if self.bfloat16 is None else self.bfloat16 / self.float32


# words that a GPU's name has -> its peaks; the first row whose words are all there counts
PEAKS = (
    (("B200",), Peak(float32=75, bfloat16=2250)),  # HGX B200 data sheet, an eighth of the board's
    (("GB200",), Peak(float32=80, bfloat16=2500)),  # GB200 NVL72 data sheet, half of a superchip's
    (("H200", "NVL"), Peak(float32=60, bfloat16=835)),  # H200 data sheet
    (("H200",), Peak(float32=67, bfloat16=989)),  # H200 data sheet
    (("GH200",), Peak(float32=67, bfloat16=990)),  # GH200 data sheet
    (("H100", "NVL"), Peak(float32=60, bfloat16=835)),  # H100 data sheet
    (("H100", "PCIe"), Peak(float32=51, bfloat16=756)),  # H100 data sheet
    (("H100",), Peak(float32=67, bfloat16=989)),  # H100 data sheet, SXM
    (("H800",), Peak(float32=67, bfloat16=989)),  # as the H100
    (("H20",), Peak(float32=44, bfloat16=148)),  # H20 data sheet
    (("A100",), Peak(float32=19.5, bfloat16=312)),  # A100 data sheet, SXM and PCIe
    (("A800",), Peak(float32=19.5, bfloat16=312)),  # as the A100
    (("A30",), Peak(float32=10.3, bfloat16=165)),  # A30 data sheet
    (("A40",), Peak(float32=37.4, bfloat16=149.7)),  # A40 data sheet
    (("A10",), Peak(float32=31.2, bfloat16=125)),  # A10 data sheet
    (("L4",), Peak(float32=30.3, bfloat16=121)),  # L4 data sheet
    (("L40",), Peak(float32=90.5, bfloat16=181)),  # L40 data sheet
    (("L40S",), Peak(float32=91.6, bfloat16=362)),  # L40S data sheet
    (("RTX", "A6000"), Peak(float32=38.7, bfloat16=154.8)),  # GA102 white paper, appendix
    (("RTX", "3090"), Peak(float32=35.6, bfloat16=71)),  # GA102 white paper, accumulated in float32
    (("RTX", "4090"), Peak(float32=82.6, bfloat16=165)),  # Ada white paper, accumulated in float32
    (("T4",), Peak(float32=8.1, bfloat16=None)),  # T4 data sheet: float16 alone
    (("V100",), Peak(float32=15.7, bfloat16=None)),  # V100 data sheet: float16 alone
    (("V100S",), Peak(float32=16.4, bfloat16=None)),  # V100 data sheet: float16 alone
    (("P100",), Peak(float32=10.6, bfloat16=None)),  # P100 data sheet: no tensor cores
    (("P40",), Peak(float32=11.8, bfloat16=None)),  # P40 data sheet: no tensor cores
    (("P4",), Peak(float32=5.5, bfloat16=None)),  # P4 data sheet: no tensor cores
)


# words that a GPU's name has -> GiB of its memory, by NVIDIA's data sheets (a B200 and a GB200 as HGX and
# NVL72 have it, the smaller one where a model comes in two sizes)
SIZES = (
    (("B200",), 180), (("GB200",), 186), (("H200",), 141), (("GH200",), 96), (("H100", "NVL"), 94),
    (("H100",), 80), (("H800",), 80), (("H20",), 96), (("A100",), 40), (("A800",), 80), (("A30",), 24),
    (("A40",), 48), (("A10",), 24), (("A10G",), 24), (("L4",), 24), (("L40",), 48), (("L40S",), 48),
    (("RTX", "A6000"), 48), (("RTX", "3090"), 24), (("RTX", "4090"), 24), (("T4",), 16), (("V100",), 16),
    (("V100S",), 32), (("P100",), 16), (("P40",), 24), (("P4",), 8),
)  # fmt: skip
GIB = 1024**3
SAID = re.compile(r"(\d+)\s?GB\b")  # as in `H100 80GB HBM3`
SEEN = 0.95  # of what a data sheet says: the driver keeps a part, and GB are not GiB; chosen


def memory_of(name: str) -> int | None:
    """Bytes of a GPU's memory by its name, rounded down; None: not known."""
    words = set(re.split(r"[\s-]+", name))
    if (said := SAID.search(name)) is not None:
        return int(int(said[1]) * SEEN * GIB)
    size = next((size for needed, size in SIZES if words.issuperset(needed)), None)
    return None if size is None or "Laptop" in words else int(size * SEEN * GIB)


def peak_of(name: str) -> Peak | None:
    """The peaks of a GPU by its driver's name or Ray's (`NVIDIA H100 80GB HBM3`, `A100`); None: not known."""
    words = set(re.split(r"[\s-]+", name))
    if "Laptop" in words:  # other clocks under the same name
        return None
    return next((peak for needed, peak in PEAKS if words.issuperset(needed)), None)
