"""What a node has of what training needs; called there by the preflight, by import string. Loads no torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bios_sweep.engines.training.data import open_dataset
from bios_sweep.engines.training.facts import describe_model
from bios_sweep.engines.training.kept import kept_root
from bios_sweep.errors import BiosSweepError, DataError
from bios_sweep.interpreter import python

LIST_GPUS = """
import json, torch

def look(gpu):
    free, total = torch.cuda.mem_get_info(gpu)
    with torch.cuda.device(gpu):
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return {"name": torch.cuda.get_device_name(gpu), "free": free, "total": total, "bfloat16": bfloat16}

print(json.dumps([look(gpu) for gpu in range(torch.cuda.device_count())]))
"""
# `device_count` is 0 in silence where torch and the driver do not match; `init` says why.
WHY_NONE = "import torch; print(torch.__version__); torch.cuda.init()"
VISIBLE = "CUDA_VISIBLE_DEVICES"


def look(options: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Fingerprints of the model and the data that an engine with these options would read here.

    options: the engine's, and `table_bytes`, what the tokens will take here. Per name either `found` or
    `error`, a sentence.
    """
    return {
        "model": _tried(lambda: _model(options)),
        "data": _tried(lambda: _data(Path(options["data_file"]), int(options.get("table_bytes", 0)))),
    }


def _model(options: Mapping[str, Any]) -> str:
    download = bool(options.get("model_download"))
    return describe_model(options["model_path"], download=download).fingerprint


def _data(file: Path, table_bytes: int) -> str:
    found = open_dataset(file).verified().fingerprint
    root = kept_root("tokens")
    free = shutil.disk_usage(root).free
    if free < table_bytes:
        raise DataError(
            f"{root}: {free / 1e9:.3g} GB are free where the tokens take {table_bytes / 1e9:.2g}; free some, "
            "or set XDG_CACHE_HOME to another folder"
        )
    return found


def gpus() -> list[dict[str, Any]]:
    """Name, free and total bytes of every GPU that torch sees on this node, and whether it has bfloat16.

    In a process of its own: Ray hides the GPUs from a task that asked for none, and a look must not
    leave a CUDA context behind.

    Raises:
        BiosSweepError: torch cannot be loaded, does not match the driver, or the driver does not answer.
    """
    environment = {name: value for name, value in os.environ.items() if name != VISIBLE}
    environment |= _visible_to_parent()
    found = _asked(LIST_GPUS, environment)
    if found.returncode:
        raise BiosSweepError(f"torch cannot list the GPUs: {_last(found.stderr)}")
    listed: list[dict[str, Any]] = json.loads(found.stdout.splitlines()[-1])
    if not listed:
        why = _asked(WHY_NONE, environment)
        version = (why.stdout.split() or ["of unknown version"])[0]
        raise BiosSweepError(f"torch {version} sees no GPU: {_last(why.stderr)}")
    return listed


def _asked(program: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(python("-c", program), env=environment, capture_output=True, text=True, check=False)


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


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
