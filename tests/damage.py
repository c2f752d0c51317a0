"""A file with one bit changed."""

from __future__ import annotations

import random

FLIPS = 300


def flipped(raw: bytes, seed: int, flips: int = FLIPS) -> list[bytes]:
    """Copies with one bit flipped each, at random places."""
    draw = random.Random(seed)
    copies = []
    for place in (draw.randrange(8 * len(raw)) for _ in range(flips)):
        copy = bytearray(raw)
        copy[place // 8] ^= 1 << place % 8
        copies.append(bytes(copy))
    return copies
