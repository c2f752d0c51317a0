"""The border to JSON: a dataclass becomes a dictionary with its fields in their order."""

import json
from dataclasses import dataclass, field
from types import MappingProxyType

from bios_sweep.jsonable import FLAT, OPTIONAL, to_json


@dataclass(frozen=True)
class Part:
    low: float
    high: float


@dataclass(frozen=True)
class Whole:
    name: str
    part: Part | None = field(default=None, metadata=FLAT)
    parts: tuple[Part, ...] = ()
    note: str | None = field(default=None, metadata=OPTIONAL)
    last: object = None


def test_fields_are_keys_in_their_order_and_tuples_are_lists():
    whole = Whole(name="a", parts=(Part(0.0, 1.0),), last=MappingProxyType({"b": (1, 2)}))
    text = json.dumps(to_json(whole))
    assert text == '{"name": "a", "parts": [{"low": 0.0, "high": 1.0}], "last": {"b": [1, 2]}}'


def test_a_flat_part_has_its_keys_among_those_of_the_whole():
    assert list(to_json(Whole(name="a", part=Part(0.0, 1.0)))) == ["name", "low", "high", "parts", "last"]


def test_an_optional_key_is_there_where_there_is_a_value_if_only_an_empty_one():
    assert to_json(Whole(name="a", note=""))["note"] == ""
    assert "note" not in to_json(Whole(name="a"))
    assert to_json(Whole(name="a"))["last"] is None
