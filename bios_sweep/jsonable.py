"""The border between values and JSON: the one place where a dataclass becomes a dictionary.

On the floor of the errors, because whatever is told or kept crosses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from bios_sweep.reasons import Reason

FLAT = {"json": "flat"}  # metadata of a field whose keys stand among those of the whole; None has no keys
OPTIONAL = {"json": "optional"}  # of a field that has a key only where it is not None
LEFT_OUT = {"json": "left out"}  # of a field that has none
Whole = TypeVar("Whole")
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


def from_fields(kind: type[Whole], values: Mapping[str, Any]) -> Whole:
    """The dataclass of which `asdict` made these values, also after JSON has turned tuples into lists."""
    kinds = get_type_hints(kind)
    return kind(**{name: _from_json(kinds.get(name, Any), value) for name, value in values.items()})


def _from_json(kind: Any, value: Any) -> Any:
    inner, whole = get_args(kind), get_origin(kind) or kind
    if value is None or whole is Any:
        return value
    if whole is UnionType:  # `X | None`
        return _from_json(inner[0], value)
    if whole is tuple:
        return tuple(_from_json(inner[0], item) for item in value)
    if whole is Mapping:
        return {key: _from_json(inner[1], item) for key, item in value.items()}
    if hasattr(whole, "from_dict"):
        return whole.from_dict(value)
    return from_fields(whole, value) if isinstance(whole, type) and is_dataclass(whole) else value


def _items(whole: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(whole):
        value, form = getattr(whole, field.name), field.metadata.get("json")
        if form is None or (form == "optional" and value is not None):
            yield field.name, to_json(value)
        elif form == "words":
            yield field.name, str(value or "")
        elif form == "flat" and value is not None:
            yield from _items(value)
