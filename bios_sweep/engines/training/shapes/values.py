"""Values of a record, read strictly: what is no text is refused with its place."""

from __future__ import annotations

from typing import Any

from bios_sweep.engines.training.shapes.shape import Row
from bios_sweep.errors import DataError

FORBIDDEN_KEY = "_target_"  # Hydra would call what it names; no data needs it


def text_of(row: Row, key: str, place: str, where: str = "", *, help: str) -> str:
    """The text of a key. where: of what it is a key, such as `messages[2].`; help: what is allowed there.

    Raises:
        DataError: it is missing, no text, or half a character.
    """
    if key not in row:
        raise DataError(f"{place}: {where}{key} is missing; a line is one of {help}")
    value = row[key]
    if not isinstance(value, str):
        way_out = "; join its text parts into one" if isinstance(value, list) and where else ""
        raise DataError(f"{place}: {where}{key} is a {type(value).__name__}; it must be a string{way_out}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: {where}{key} holds half a character (a lone surrogate)") from error
    return value


def refuse_forbidden_keys(row: Row, place: str) -> None:
    """Look at every key at any depth; a list of what is left, because data may nest deeply.

    Raises:
        DataError: a key that names code.
    """
    left: list[Any] = [row]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            forbidden = [key for key in value if FORBIDDEN_KEY in key]
            if forbidden:
                raise DataError(f"{place}: the key {forbidden[0]!r} is not allowed in data; remove it")
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
