"""What a node has of what training needs; called there by the preflight, by import string. Loads no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bios_sweep.engines.training.data import read_dataset
from bios_sweep.engines.training.facts import describe_model
from bios_sweep.errors import BiosSweepError

LIST_GPUS = """
import json, torch
gpus = range(torch.cuda.device_count())
found = [(torch.cuda.get_device_name(gpu), *torch.cuda.mem_get_info(gpu)) for gpu in gpus]
print(json.dumps([{"name": name, "free": free, "total": total} for name, free, total in found]))
"""
VISIBLE = "CUDA_VISIBLE_DEVICES"


def look(options: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Fingerprints of the model and the data that an engine with these options would read here.

    Per name either `found` or `error`, a sentence.
    """
    return {
        "model": _tried(lambda: describe_model(options["model_path"]).fingerprint),
        "data": _tried(lambda: read_dataset(Path(options["data_file"])).fingerprint),
    }


def gpus() -> list[dict[str, Any]]:
    """Name, free and total bytes of every GPU that torch sees on this node.

    In a process of its own: Ray hides the GPUs from a task that asked for none, and a look must not
    leave a CUDA context behind.

    Raises:
        BiosSweepError: torch cannot be loaded, or the driver does not answer.
    """
    environment = {name: value for name, value in os.environ.items() if name != VISIBLE}
    environment |= _visible_to_parent()
    found = subprocess.run(
        [sys.executable, "-c", LIST_GPUS], env=environment, capture_output=True, text=True, check=False
    )
    if found.returncode:
        last = (found.stderr.strip().splitlines() or ["no message"])[-1]
        raise BiosSweepError(f"torch cannot list the GPUs: {last}")
    listed: list[dict[str, Any]] = json.loads(found.stdout.splitlines()[-1])
    return listed


def _visible_to_parent() -> dict[str, str]:
    """The node's own choice of GPUs: Ray's daemon, which started this process, still has it."""
    try:
        entries = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    values = dict(entry.decode(errors="replace").split("=", 1) for entry in entries if b"=" in entry)
    return {VISIBLE: values[VISIBLE]} if VISIBLE in values else {}


def _tried(fingerprint: Callable[[], str]) -> dict[str, str]:
    try:
        return {"found": fingerprint()}
    except BiosSweepError as error:
        return {"error": str(error)}
