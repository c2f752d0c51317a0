"""Which of a worker's GPUs holds each layer of a base that fits on none of them alone. Pure, without torch.

Layers stay in their order, so that activations cross from a GPU to the next once; embeddings, last norm and
head lie on the first one, where batches come in and losses come out. No two of the GPUs compute at a time:
one trial on two GPUs is slower than two trials on one each, wherever these fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


def placed(layers: Sequence[int], rest: int, rooms: Sequence[int]) -> tuple[int, ...]:
    """The place of every layer, 0 being the first GPU, so that the fullest one is as empty as it can be.

    layers: bytes of each, in their order. rest: bytes of all else, on the first GPU. rooms: bytes that each
    GPU has, above 0; shares of these are compared. What does not fit is placed all the same: see `shares`.

    Raises:
        ValueError: no GPU.
    """
    if not rooms:
        raise ValueError("rooms: no GPU is given")
    sums = [0, *accumulate(layers)]
    # least[end]: the fullest share where the first `end` layers lie on the GPUs so far, and the cut before
    least = [(max(0.0, (total + rest) / rooms[0]), 0) for total in sums]
    cuts: list[list[int]] = []
    for room in rooms[1:]:
        best = [
            min((max(least[start][0], (sums[end] - sums[start]) / room), start) for start in range(end + 1))
            for end in range(len(sums))
        ]
        cuts.append([start for _, start in best])
        least = best
    ends = [len(layers)]
    for starts in reversed(cuts):
        ends.append(starts[ends[-1]])
    bounds = [*ends[::-1], len(layers)][: len(rooms)]
    return tuple(next(gpu for gpu, end in enumerate(bounds) if place < end) for place in range(len(layers)))


def shares(layers: Sequence[int], rest: int, places: Sequence[int], count: int) -> tuple[int, ...]:
    """Bytes on each of `count` GPUs."""
    found = [rest, *[0] * (count - 1)]
    for size, place in zip(layers, places, strict=True):
        found[place] += size
    return tuple(found)


def fullest(layers: Sequence[int], rest: int, count: int) -> int:
    """Bytes on the fullest of `count` equal GPUs, laid out as well as can be."""
    return max(shares(layers, rest, placed(layers, rest, [1] * count), count))
