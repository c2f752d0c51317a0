"""The device of a process: which one, what it is called, and what makes its numbers repeatable."""

from __future__ import annotations

import os
import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import huggingface_hub
import torch
import transformers
from filelock import FileLock

from bios_sweep.checks import one_of
from bios_sweep.errors import ConfigError

LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container's memory; `max` without
DEVICES = ("cpu", "cuda", "auto")


def choose_device(name: str) -> torch.device:
    """The device a name stands for; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: an unknown name, or no GPU is there.
    """
    one_of("device", name, DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda was asked for but torch sees no GPU; use device=cpu or auto")
    available = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(available if name == "auto" else name)


def stay_offline_and_quiet() -> None:
    """No library call of a trial may reach the network or draw progress bars over the driver's table."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # for processes started from here
    huggingface_hub.constants.HF_HUB_OFFLINE = True  # read once at import, which lies behind us
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def make_repeatable(device: torch.device, threads: int) -> None:
    """Fix what decides the order of additions: the CPU threads, and deterministic kernels on a GPU.

    TF32 stays off, as torch has it: float32 means float32 on every device.
    """
    torch.set_num_threads(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is repeatable only with it
        torch.use_deterministic_algorithms(mode=True, warn_only=True)


def one_load_at_a_time(device: torch.device) -> AbstractContextManager[Any]:
    """For GPUs, to which weights pass through the node's memory: its processes load one after another."""
    if device.type == "cpu":
        return nullcontext()
    return FileLock(Path(gettempdir()) / f"bios-sweep-load-{os.getuid()}.lock")


def memory_of(device: torch.device) -> int:
    """Bytes of a GPU's memory, or of the node's, as far as a container's limit allows."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    words = LIMIT.read_text(encoding="utf-8").strip() if LIMIT.is_file() else ""
    return min(total, int(words)) if words.isdecimal() else total


def processes_of_node(threads: int) -> int:
    """How many trials of so many threads each the processors of a node take at once."""
    return max(1, (os.cpu_count() or 1) // threads)


def device_name(device: torch.device) -> str:
    """The GPU's or the processor's marketing name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")  # where Linux tells the processor's marketing name
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(named), "") or platform.processor() or platform.machine()
