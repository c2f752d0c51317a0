"""What torch makes of this machine, for a process of its own: CUDA may hang there, or crash it."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from bios_sweep.engines.training import adapters as _adapters  # noqa: F401 - what a trial loads must load


def look() -> dict[str, Any]:
    """Plain values: `version`; `cuda`, what the build is made for, or None; `gpus`; and `problem`, a text.

    Each GPU multiplies two small matrices: a build without code for its architecture finds it, and fails
    only there.
    """
    built = torch.version.cuda or torch.version.hip
    found: dict[str, Any] = {"version": torch.__version__, "cuda": built, "gpus": [], "problem": ""}
    if built is None:
        return found
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            torch.cuda.init()
            found["gpus"] = [_use(gpu) for gpu in range(torch.cuda.device_count())]
        except (RuntimeError, AssertionError) as error:
            found["problem"] = (str(error).splitlines() or [type(error).__name__])[0]
    if not found["gpus"] and not found["problem"] and told:
        found["problem"] = str(told[-1].message).splitlines()[0]
    return found


def _use(gpu: int) -> dict[str, Any]:
    free, total = torch.cuda.mem_get_info(gpu)
    square = torch.ones(8, 8, device=f"cuda:{gpu}")
    float((square @ square).sum())
    return {"name": torch.cuda.get_device_name(gpu), "free": free, "total": total}
