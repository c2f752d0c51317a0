"""Random numbers that are a pure function of what they are drawn for: no state, no order, no generator.

A hash of the label is the source, so that a trial draws the same in any process, at any try, and on any
version of any library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

from bios_sweep.study.trials import canonical_json, short_hash

_NORMAL = NormalDist()
DIGITS = 13  # hex digits of a draw: 52 bits, exact in a float


def normal(label: Sequence[Any]) -> float:
    """One standard normal number."""
    return _NORMAL.inv_cdf((int(short_hash(label, length=DIGITS), 16) + 0.5) / 16**DIGITS)


def normals(label: Sequence[Any], count: int) -> list[float]:
    """`count` independent standard normal numbers."""
    return [_NORMAL.inv_cdf((number + 0.5) / 2**52) for number in _words(label, count)]


def wholes(label: Sequence[Any], count: int, low: int, high: int) -> list[int]:
    """`count` independent whole numbers, uniform from `low` to `high`, both included."""
    return [low + number * (high - low + 1) // 2**52 for number in _words(label, count)]


def _words(label: Sequence[Any], count: int) -> list[int]:
    """`count` whole numbers of 52 bits."""
    digest = hashlib.shake_128(canonical_json(label).encode()).digest(8 * count)
    return [int.from_bytes(digest[8 * i : 8 * i + 8], "big") >> 12 for i in range(count)]
