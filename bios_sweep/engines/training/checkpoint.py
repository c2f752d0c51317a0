"""From where a killed trial goes on: adapter, optimizer and what was measured so far, in one sealed file.

`torch.load` takes a tensor with a flipped bit as it is, so the file is not given to it before its seal holds.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from bios_sweep.atomic import write_atomically
from bios_sweep.sealed import DamagedError, is_sealed, opened_bytes, sealed_bytes
from bios_sweep.study.trials import Measurement

FILE = "checkpoint.pt"
ZIP = b"PK"  # how `torch.save` begins, and so how the checkpoints of earlier versions do, which have no seal
LOGGER = logging.getLogger(__name__)
LABEL = "checkpoint of {}"  # its owner
# What reading raises on files that are cut off, overwritten or written by something else.
UNREADABLE = (DamagedError, OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, UnpicklingError)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trial between two steps. weights are by parameter name; units are those of `loop.Training`.

    evaluation: digest of the `eval.npz` of the last point of the curve; '' where an earlier version wrote it.
    """

    step: int
    tokens: int
    wall_seconds: float
    curve: tuple[Measurement, ...]
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    evaluation: str = ""


def save_checkpoint(directory: Path, owner: str, checkpoint: Checkpoint) -> None:
    """Replace the trial's checkpoint in one step; `owner` says to whom it belongs.

    Raises:
        StorageError: the folder cannot be written.
    """
    values = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}
    buffer = io.BytesIO()
    torch.save({**values, "curve": [point.to_dict() for point in checkpoint.curve], "owner": owner}, buffer)
    write_atomically(directory / FILE, sealed_bytes(buffer.getvalue(), LABEL.format(owner)))


def load_checkpoint(directory: Path, owner: str, device: torch.device) -> Checkpoint | None:
    """The checkpoint of this owner, or None where there is none that can be trusted.

    A damaged or foreign file costs the trial its progress, never its correctness: it starts afresh. One of
    an earlier version, without a seal, is gone on from with a note; the next checkpoint has one.
    """
    path = directory / FILE
    if not path.is_file():
        return None
    try:
        values = torch.load(io.BytesIO(_content(path, owner)), map_location=device, weights_only=True)
        if values.pop("owner") != owner:
            raise ValueError("it belongs to another trial")
        curve = tuple(Measurement(**point) for point in values["curve"])
        return Checkpoint(**{**values, "curve": curve})
    except UNREADABLE as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        LOGGER.warning("%s: not used, the trial starts afresh (%s)", path, first)
        return None


def _content(path: Path, owner: str) -> bytes:
    """What `torch.save` wrote; a `DamagedError` where it is not that, or another trial's."""
    raw = path.read_bytes()
    if is_sealed(raw) or not raw.startswith(ZIP):
        return opened_bytes(raw, LABEL.format(owner))
    LOGGER.warning("%s: an earlier version wrote it, without a checksum; the trial goes on from it", path)
    return raw
