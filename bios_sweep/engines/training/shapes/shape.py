"""A shape: how one kind of record becomes an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.engines.training.data import Example

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One way of writing examples.

    name: as `data.shape` has it. keys: what a record of this shape has, the first of which tells it.
    help: a record as people write it. read: (record, its place) -> example without a cluster; raises a
    `DataError` that opens with the place.
    """

    name: str
    keys: tuple[str, ...]
    help: str
    read: Callable[[Row, str], Example]
