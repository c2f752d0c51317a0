"""JSON lines: an object a line, read strictly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from bios_sweep.containers.sniff import UTF8_BOM
from bios_sweep.errors import DataError

Row = tuple[str, dict[str, Any]]


def json_lines(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    """(`name:number`, object) of every line; blank lines are passed over.

    Raises:
        DataError: a line is not UTF-8, not JSON, or no object.
    """
    for number, text in decoded(lines, name):
        if text.strip():
            place = f"{name}:{number}"
            yield place, as_object(parsed(text, place), place)


def decoded(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, str]]:
    """Numbered lines as text, without the mark that some editors begin a file with.

    Raises:
        DataError: a line is not UTF-8.
    """
    for number, line in enumerate(lines, start=1):
        try:
            text = (line.removeprefix(UTF8_BOM) if number == 1 else line).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}:{number}: {not_utf8(line, error)}") from error
        yield number, text


def not_utf8(piece: bytes, error: UnicodeDecodeError) -> str:
    """What to say of bytes that are no UTF-8."""
    byte = piece[error.start]
    return (
        f"not UTF-8 text (byte 0x{byte:02x}; Windows-1252 or Latin-1?); convert the file to UTF-8, such as "
        "by iconv -f WINDOWS-1252 -t UTF-8"
    )


def parsed(text: str, place: str) -> Any:
    """One line as JSON.

    Raises:
        DataError: it is none, or an object of it has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=once)
    except DataError as error:
        raise DataError(f"{place}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not valid JSON ({error}); is the line cut off?") from error


def as_object(value: Any, place: str) -> dict[str, Any]:
    """The value itself, which must be an object: a `DataError` if it is not."""
    if not isinstance(value, dict):
        raise DataError(f"{place}: a {type(value).__name__}, not an object; write one object per example")
    return value


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two with one name the first would be lost."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the key {twice!r} is there twice in one object; keep one of them")
    return row
