"""A size in a config.json, which each family of models calls otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def first_of(values: Mapping[str, Any], keys: Iterable[str]) -> int | None:
    """The first of the keys that holds a number."""
    return next((int(values[key]) for key in keys if isinstance(values.get(key), int)), None)
