"""What safetensors files say of their tensors before one weight is read. Light."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bios_sweep.errors import ModelError

LENGTH_BYTES = 8  # safetensors: little-endian length of the JSON header


def count_parameters(weights: Iterable[Path]) -> int:
    """Numbers of all tensors.

    Raises:
        ModelError: a file is cut off.
    """
    return sum(math.prod(shape) for path in weights for shape in shapes_in(path).values())


def shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Tensor -> shape.

    Raises:
        ModelError: the file is cut off.
    """
    return {name: tuple(tensor["shape"]) for name, tensor in _header(path).items()}


def _header(path: Path) -> dict[str, dict[str, Any]]:
    """Tensor -> the JSON header's entry; the file must be exactly as long as they need."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        start = LENGTH_BYTES + length
        tensors = _parse_header(file.read(length)) if start <= size else None
    if tensors is None:
        raise ModelError(f"model {path.parent}: {path.name} is cut off in its header; download it again")
    needed = start + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    if needed != size:
        raise ModelError(
            f"model {path.parent}: {path.name} has {size} bytes where its header needs {needed}; "
            "download it again"
        )
    return tensors


def _parse_header(raw: bytes) -> dict[str, dict[str, Any]] | None:
    """None unless it is an object whose entries have a shape and offsets."""
    try:
        tensors = {name: entry for name, entry in json.loads(raw).items() if name != "__metadata__"}
        for entry in tensors.values():
            math.prod(entry["shape"]) + entry["data_offsets"][1]
    except (ValueError, AttributeError, TypeError, KeyError, IndexError):
        return None
    return tensors
