"""The border to JSON: a dataclass becomes a dictionary with its fields in their order."""

import ast
import json
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import get_args, get_type_hints

from bios_sweep import report
from bios_sweep.jsonable import FLAT, LEFT_OUT, OPTIONAL, to_json
from bios_sweep.report.content.summary import Summary


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
    inner: int = field(default=0, metadata=LEFT_OUT)


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


ROOM = Path(report.__file__).parent
EARLIER_PLANS = "earlier_cut_note"  # reads plan.json of other sweeps, whatever version wrote it


def names_of(kind):
    """The fields of a dataclass and of all that its fields hold."""
    hints = get_type_hints(kind) if is_dataclass(kind) else {}
    inner = [names_of(part) for part in (*hints.values(), *get_args(kind)) if part is not kind]
    return set(hints).union(*inner)


def opened(tree):
    """The names in `x["name"]` and `x.get("name")`."""
    for node in ast.walk(tree):
        called = (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get"
        )
        key = node.args[0] if called and node.args else getattr(node, "slice", None)
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value


def test_no_part_of_a_summary_is_opened_by_a_string():
    names = names_of(Summary)
    assert {"verdicts", "effect_percent", "standard_error", "on_frontier", "recommended"} <= names
    parts = [(path.name, part) for path in ROOM.rglob("*.py") for part in ast.parse(path.read_text()).body]
    ours = [(file, part) for file, part in parts if getattr(part, "name", "") != EARLIER_PLANS]
    assert len(ours) == len(parts) - 1
    found = {(file, key) for file, part in ours for key in opened(part)}
    assert {(file, key) for file, key in found if key in names} == set()


def test_a_string_that_opens_is_found():
    tree = ast.parse('verdict["claim"], verdict.get("margin"), verdict.reasons[0]')
    assert set(opened(tree)) == {"claim", "margin"}
