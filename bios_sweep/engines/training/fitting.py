"""How batches are cut to fit a device by the model of bytes, and how many trials share one. Plain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.engines.training.decoder_shape import Shape
from bios_sweep.engines.training.load import FLOAT, FORMATS, Load
from bios_sweep.engines.training.memory import most_on_one, need_of

LARGEST_MICRO_BATCH = 64  # chosen: beyond it a GPU is busy and padding grows
DEFAULT_MICRO_BATCH = 16  # of CPUs, whose memory is seldom the limit
MOST_SHARERS = 8  # of one device, whose arithmetic they share too; chosen, not measured
RESERVE = 0.1  # of a device, for fragments and for what the model does not count; chosen
CONTEXT_BYTES = 512 * 1024**2  # a CUDA context and cuBLAS of one process on an H100 or A100; rounded up


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How a load is cut to fit. spare: bytes that are left; below 0 it does not fit even so.

    folded: whether there is room to fold adapters into copies of the weights, too; spare is without them.
    """

    micro_batch_size: int
    checkpointing: bool
    spare: int
    folded: bool = False

    @property
    def fits(self) -> bool:
        """Whether the model of bytes sees room for it."""
        return self.spare >= 0


def fitting(
    shape: Shape,
    load: Load,
    room: int,
    *,
    micro_batch_size: int | None = None,
    checkpointing: bool | None = None,
) -> Fitting:
    """The largest micro-batch that fits into so many bytes; with checkpointing only where it must be.

    Without checkpointing one example at a time is still faster than recomputing every layer. Where nothing
    fits, the least of what was tried. micro_batch_size, checkpointing: those that the user chose.
    """
    most = min(load.batch, LARGEST_MICRO_BATCH // load.sequences)
    counts = tuple(_halves(most)) if micro_batch_size is None else (micro_batch_size,)
    ways = (False, True) if checkpointing is None else (checkpointing,)
    tried = []
    for twice in ways:
        for count in counts:
            total = most_on_one(shape, load, need_of(shape, load, count, checkpointing=twice))
            found = Fitting(micro_batch_size=count, checkpointing=twice, spare=room - total)
            tried.append(replace(found, folded=_may_fold(shape, load, found, room)))
            if tried[-1].fits:
                return tried[-1]
    return tried[-1]


def _may_fold(shape: Shape, load: Load, found: Fitting, room: int) -> bool:
    """In float32 alone, and never by cutting finer: what that saves of the products, it loses elsewhere."""
    if FORMATS[load.dtype] != FLOAT:
        return False
    count, twice = found.micro_batch_size, found.checkpointing
    need = need_of(shape, load, count, checkpointing=twice, folded=True)
    return most_on_one(shape, load, need) <= room


def sharers_on(shape: Shape, load: Load, total: int, asked: Mapping[str, Any]) -> int:
    """How many trials a device of so many bytes takes without cutting any finer than one alone.

    asked: `micro_batch_size` and `checkpointing` as the user chose them, see `fitting`.
    """
    alone = fitting(shape, load, room_on(total, 1), **asked)
    if not alone.fits:
        return 1
    for sharers in range(2, MOST_SHARERS + 1):
        found = fitting(shape, load, room_on(total, sharers), **asked)
        if not found.fits or _cut(found) != _cut(alone):
            return sharers - 1
    return MOST_SHARERS


def _cut(found: Fitting) -> tuple[int, bool]:
    return found.micro_batch_size, found.checkpointing


def room_on(total: int, sharers: int) -> int:
    """Bytes that each of so many processes may take of a device, without its context and the reserve."""
    return int(total * (1 - RESERVE) / sharers) - CONTEXT_BYTES


def _halves(count: int) -> Iterator[int]:
    while count >= 1:
        yield count
        count = -(-count // 2) if count > 1 else 0
