"""Values of a record, read strictly: what is no text is refused with its place."""

from __future__ import annotations

import json
import math
from typing import Any

from bios_sweep.containers.record import BYTES
from bios_sweep.engines.training.shapes.shape import Row
from bios_sweep.errors import DataError

FORBIDDEN_KEY = "_target_"  # Hydra would call what it names; no data needs it
KINDS = {"int": "number", "float": "number", "dict": "object", "NoneType": "null", "bool": "true or false"}


def text_of(row: Row, key: str, place: str, where: str = "", *, help: str) -> str:
    """The text of a key. where: of what it is a key, such as `messages[2].`; help: what is allowed there.

    Raises:
        DataError: it is missing, no text, or half a character.
    """
    if key not in row:
        raise DataError(f"{place}: {where}{key} is missing; a record is {help}")
    return as_text(row[key], place, f"{where}{key}")


def as_text(value: Any, place: str, where: str) -> str:
    """A value that must be text. Numbers are refused: a file that holds them may mean something else.

    Raises:
        DataError: it is no text, or half a character.
    """
    if isinstance(value, dict) and BYTES in value:
        raise DataError(f"{place}: {where} holds bytes, and only text is trained here; write it as text")
    if not isinstance(value, str):
        kind = KINDS.get(type(value).__name__, type(value).__name__)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        way_out = f'; write it as "{value}"' if number else ""
        raise DataError(f"{place}: {where} is a {kind}; it must be a string{way_out}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: {where} holds half a character (a lone surrogate)") from error
    return value


def text_or_nothing(row: Row, key: str, place: str) -> str:
    """The text of a key that may be missing, null or empty: then empty.

    Raises:
        DataError: it is there and no text.
    """
    value = row.get(key)
    return "" if value is None else as_text(value, place, key)


def json_text(value: Any) -> str:
    """One spelling of a value that a chat template is given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def refuse_forbidden_keys(row: Row, place: str) -> None:
    """Look at every key at any depth; a list of what is left, because data may nest deeply.

    Raises:
        DataError: a key that names code.
    """
    left: list[Any] = [row]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                if FORBIDDEN_KEY in key:
                    raise DataError(f"{place}: the key {key!r} is not allowed in data; remove it")
                if isinstance(inner, dict | list):
                    left.append(inner)
        elif isinstance(value, list):
            left.extend(value)
