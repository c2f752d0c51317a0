"""How an adapter begins: PEFT's laws without data, drawn from (seed, module name), nested over ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bios_sweep.engines.training.batches import uniform
from bios_sweep.settings import GAUSSIAN


def initial(
    law: str, shape: Sequence[int], rank: int, experts: int, place: tuple[str | int, ...]
) -> np.ndarray:
    """A of one module, flat; each expert's from a stream of its own, so that ranks nest there too.

    kaiming: uniform within 1 / sqrt(fan in). gaussian: normal with a standard deviation of 1 / rank, so that
    a smaller rank has the same directions, further out. shape: (rank, fan in) of A. place: names the stream.
    """
    each = math.prod(shape) // experts
    places = [place] if experts == 1 else [(*place, expert) for expert in range(experts)]
    if law == GAUSSIAN:
        return np.concatenate([normal(each, *one) for one in places]) / rank
    return np.concatenate([2 * uniform(each, *one) - 1 for one in places]) * (1 / math.sqrt(shape[1]))


def orthogonal(down: Sequence[int], up: Sequence[int], seed: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(A, B) in orthogonal subspaces of the rank's, so that B A = 0 though neither is 0; rank even.

    down, up: their shapes. The normal numbers behind them are rows of one stream each.
    """
    rank, half = down[0], down[0] // 2
    basis, _ = np.linalg.qr(normal(rank * rank, "basis", seed, name).reshape(rank, rank))
    into = normal(half * down[1], "adapter", seed, name).reshape(half, down[1])
    out = normal(half * up[0], "adapter up", seed, name).reshape(half, up[0])
    return basis[0::2].T @ into / 10, out.T @ basis[1::2] / 10


def normal(count: int, *place: str | int) -> np.ndarray:
    """Standard normal numbers of a named stream (Box and Muller)."""
    radius, angle = uniform(2 * count, "normal", *place).reshape(count, 2).T
    return np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * math.pi * angle)  # type: ignore[no-any-return]
