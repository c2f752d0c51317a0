"""From where a killed trial goes on: adapter, optimizer and what was measured so far, in one sealed file.

`torch.load` takes a tensor with a flipped bit as it is, so the file is not given to it before its seal holds.
The file is written and read in pieces, never whole in memory, and the one before it stays beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch

from bios_sweep.errors import StorageError
from bios_sweep.sealed import DamagedError, opened_file, write_sealed
from bios_sweep.study.trials import Measurement

FILE = "checkpoint.pt"
BEFORE = "checkpoint.before.pt"
ZIP = b"PK"  # how `torch.save` begins, and so how the checkpoints of earlier versions do, which have no seal
EARLIER = "an earlier version wrote it, without a checksum; the trial goes on from it"
AFRESH = "the trial starts afresh"
LOGGER = logging.getLogger(__name__)
LABEL = "checkpoint of {}"  # its owner
# What reading raises on files that are cut off, overwritten or written by something else.
UNREADABLE = (DamagedError, OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, UnpicklingError)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trial between two steps. weights are by parameter name; units are those of `loop.Training`.

    nats, supervised: training loss and tokens under it since the last point of the curve. evaluation: digest
    of the `eval.npz` of that point; '' where an earlier version wrote it.
    """

    step: int
    tokens: int
    wall_seconds: float
    curve: tuple[Measurement, ...]
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    evaluation: str = ""
    nats: float = 0.0
    supervised: int = 0


def save_checkpoint(directory: Path, owner: str, checkpoint: Checkpoint) -> None:
    """Leave a checkpoint; the one that was there is the one before. owner: to whom it belongs.

    Raises:
        StorageError: the folder cannot be written.
    """
    values = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}
    values |= {"curve": [point.to_dict() for point in checkpoint.curve], "owner": owner}
    path = directory / FILE
    if path.is_file():
        try:
            path.replace(directory / BEFORE)
        except OSError as error:
            raise StorageError(f"{path}: cannot be moved aside ({error.strerror})") from error
    write_sealed(path, LABEL.format(owner), lambda file: torch.save(values, file))


def load_checkpoint(directory: Path, owner: str, device: torch.device) -> Checkpoint | None:
    """The newest checkpoint of this owner that can be trusted, or None where there is none.

    A damaged or foreign file costs the trial progress, never its correctness: it goes on from the one before,
    or starts afresh. One of an earlier version, without a seal, is gone on from with a note; the next
    checkpoint has one.
    """
    before = directory / BEFORE
    otherwise = "the trial goes on from the one before" if before.is_file() else AFRESH
    found = _loaded(directory / FILE, owner, device, otherwise)
    return found or _loaded(before, owner, device, AFRESH)


def remove_checkpoints(directory: Path) -> None:
    """Of a trial that is over."""
    for name in (BEFORE, FILE):
        (directory / name).unlink(missing_ok=True)


def _loaded(path: Path, owner: str, device: torch.device, otherwise: str) -> Checkpoint | None:
    if not path.is_file():
        return None
    try:
        with _content(path, owner) as file:
            values = torch.load(file, map_location=device, weights_only=True)
        if values.pop("owner") != owner:
            raise ValueError("it belongs to another trial")
        curve = tuple(Measurement(**point) for point in values["curve"])
        return Checkpoint(**{**values, "curve": curve})
    except UNREADABLE as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        LOGGER.warning("%s: not used, %s (%s)", path, otherwise, first)
        return None


@contextmanager
def _content(path: Path, owner: str) -> Iterator[BinaryIO]:
    """What `torch.save` wrote; a `DamagedError` where it is not that, or another trial's."""
    with path.open("rb") as file:
        unsealed = file.read(len(ZIP)) == ZIP
        if unsealed:
            LOGGER.warning(
                "%s: an earlier version wrote it, without a checksum; the trial goes on from it", path
            )
            file.seek(0)
            yield file
            return
    with opened_file(path, LABEL.format(owner)) as sealed:
        yield sealed
