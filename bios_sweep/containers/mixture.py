"""Several sources mixed by weights: shares of what is trained on, nothing repeated.

A repeated example would fall on one side of every split and be learned twice; so the largest mixture is taken
that has the shares, and each source gives the records that come first in the order of their hashes, whatever
their order in the file.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bios_sweep.checks import is_number, not_allowed
from bios_sweep.containers.record import Record
from bios_sweep.errors import DataError

KEY = "data.weights"
Read = Callable[[], Iterator[Record]]


def checked_weights(given: object, count: int) -> tuple[float, ...] | None:
    """The weights of so many sources; None where none are given.

    Raises:
        DataError: another number of them, or one that is not above 0.
    """
    if given is None:
        return None
    if not isinstance(given, list) or not all(is_number(one) and 0 < one < math.inf for one in given):
        raise not_allowed(KEY, given, "numbers above 0 such as [0.7, 0.3], one for each path of data.path")
    if len(given) != count:
        raise DataError(
            f"{KEY}: {len(given)} weights for {count} paths; give data.path=[a,b] and a weight for each"
        )
    return tuple(map(float, given))


def mixed(sources: Sequence[Read], weights: Sequence[float]) -> Iterator[Record]:
    """The records of all sources, source by source, in shares that are as the weights. Reads each twice.

    Held in memory are 8 bytes a record.
    """
    hashes = [array("Q", (_hash(row) for _, row in read())) for read in sources]
    total = min(len(found) / weight for found, weight in zip(hashes, weights, strict=True))
    for read, found, weight in zip(sources, hashes, weights, strict=True):
        count = min(len(found), round(total * weight))
        if not count:
            continue
        last = sorted(found)[count - 1]
        equal = count - sum(one < last for one in found)  # records of the very hash that are still wanted
        for place, row in read():
            code = _hash(row)
            if code == last:
                equal -= 1
            if code < last or (code == last and equal >= 0):
                yield Record(place, row)


def _hash(row: dict[str, Any] | DataError) -> int:
    if isinstance(row, DataError):
        row = {"": str(row)}
    text = json.dumps(row, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
