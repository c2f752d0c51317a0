"""The border between values and JSON: the one place where a dataclass becomes a dictionary.

On the floor of the errors, because whatever is told or kept crosses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from bios_sweep.reasons import Reason

FLAT = {"json": "flat"}  # metadata of a field whose keys stand among those of the whole; None has no keys
OPTIONAL = {"json": "optional"}  # of a field that has a key only where it is not None
LEFT_OUT = {"json": "left out"}  # of a field that has none
WORDS = {"json": "words"}  # of a reason, or none: its words, or an empty text


def to_json(value: Any) -> Any:
    """What `json.dumps` takes: dictionaries for dataclasses (fields in order) and mappings, lists for tuples.

    A reason is told in words; anything else stays as it is.
    """
    if isinstance(value, Reason):
        return str(value)
    if hasattr(value, "__dataclass_fields__"):
        return dict(_items(value))
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def _items(whole: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(whole):
        value, form = getattr(whole, field.name), field.metadata.get("json")
        if form is None or (form == "optional" and value is not None):
            yield field.name, to_json(value)
        elif form == "words":
            yield field.name, str(value or "")
        elif form == "flat" and value is not None:
            yield from _items(value)
