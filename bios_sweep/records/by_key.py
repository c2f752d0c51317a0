"""A map that is never changed; a changed copy costs a handful of small tuples, however large it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, Self, TypeVar

Value = TypeVar("Value")

WIDTH = 32  # children of a node; chosen: three levels hold 32 768 trials
MANY = 32  # changes beyond which the tree is made anew; chosen


class ByKey(Mapping[str, Value], Generic[Value]):
    """Values by key, in the order in which the keys came.

    The values are the leaves of a tree of tuples. A copy with one value changed shares all but the nodes on
    the way to it, and the table of places, which only new keys make anew.
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._places = {key: place for place, key in enumerate(values)}
        self._depth, self._root = _tree(tuple(values.values()))

    def __getitem__(self, key: str) -> Value:
        place = self._places[key]
        node: Any = self._root
        for level in range(self._depth, -1, -1):
            node = node[place // WIDTH**level % WIDTH]
        found: Value = node
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def changed(self, values: Mapping[str, Value]) -> Self:
        """With other values of keys that are there."""
        copy = object.__new__(type(self))
        copy._places, copy._depth, copy._root = self._places, self._depth, self._root
        if len(values) > MANY:
            leaves = list(self.values())
            for key, value in values.items():
                leaves[self._places[key]] = value
            copy._depth, copy._root = _tree(tuple(leaves))
            return copy
        for key, value in values.items():
            copy._root = _with(copy._root, self._depth, self._places[key], value)
        return copy


def _tree(nodes: tuple[Any, ...]) -> tuple[int, tuple[Any, ...]]:
    """Levels below the root, and the root, over leaves in their order."""
    depth = 0
    while len(nodes) > WIDTH:
        nodes = tuple(nodes[start : start + WIDTH] for start in range(0, len(nodes), WIDTH))
        depth += 1
    return depth, nodes


def _with(node: tuple[Any, ...], level: int, place: int, value: Any) -> tuple[Any, ...]:
    at = place // WIDTH**level % WIDTH
    child = value if level == 0 else _with(node[at], level - 1, place, value)
    return (*node[:at], child, *node[at + 1 :])
