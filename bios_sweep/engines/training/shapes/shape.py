"""A shape: how one kind of record becomes an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.engines.training.data import Example

Row = Mapping[str, Any]


def _anything(row: Row) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One way of writing examples.

    name: as `data.shape` has it. keys: what a record of this shape has, all of them; the first tells it.
    more: what is read where it is there. help: a record as people write it. learned: what is under the loss.
    read: (record, its place) -> example without a cluster; raises a `DataError` that opens with the place.
    fits: whether a record that has the keys is of this shape. stated: it is read where `data.shape` names it,
    and never recognised.
    """

    name: str
    keys: tuple[str, ...]
    help: str
    learned: str
    read: Callable[[Row, str], Example]
    more: tuple[str, ...] = ()
    fits: Callable[[Row], bool] = _anything
    stated: bool = False

    def recognises(self, row: Row) -> bool:
        """Whether the record is written in this shape."""
        return all(key in row for key in self.keys) and self.fits(row)
