"""JSON lines: an object a line, read strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from bios_sweep.containers.record import Record, record_of
from bios_sweep.containers.sniff import UTF8_BOM
from bios_sweep.errors import DataError

LINE_ENDS = ("\n", "\r\n", "")


def json_lines(lines: Iterable[bytes], name: str) -> Iterator[Record]:
    """A record for every line, called `name:number`; blank lines are passed over."""
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix(UTF8_BOM) if number == 1 else line
        if text.strip():
            place = f"{name}:{number}"
            yield record_of(_parsed(text, place), place)


def _parsed(line: bytes, place: str) -> Any:
    """One line as JSON, or the error that says why it is none."""
    try:
        return _value(line.decode("utf-8"))
    except DataError as error:
        return DataError(f"{place}: {error}")
    except UnicodeDecodeError as error:
        return DataError(f"{place}: {not_utf8(line, error)}")
    except (ValueError, RecursionError) as error:
        return DataError(f"{place}: not valid JSON ({_why(error)}); {_way_out(line, error)}")


def _value(text: str) -> Any:
    """As `json.loads`, which makes a decoder at every call, and has what is no object that ends the line."""
    if text.startswith("{"):
        value, end = _DECODER.raw_decode(text)
        if text[end:] in LINE_ENDS:
            return value
    return json.loads(text, object_pairs_hook=once)


def _why(error: ValueError | RecursionError) -> str:
    """In words; where a number is too long Python names a limit of its own, and a way to lift it."""
    if isinstance(error, json.JSONDecodeError):
        return str(error)
    return "nested too deeply" if isinstance(error, RecursionError) else "a number of thousands of digits"


def _way_out(line: bytes, error: ValueError | RecursionError) -> str:
    if b"\r" in line.strip() and not line.endswith(b"\n"):
        return "its lines end with CR alone; convert them, as with: mac2unix FILE"
    if re.match(rb"\s*\{\s*'", line):
        return "it is written as Python shows a dict; write json.dumps(row)"
    if not isinstance(error, json.JSONDecodeError):
        return "mend the line"
    text = line.decode("utf-8").rstrip()
    cut = error.msg.startswith("Unterminated") or error.pos >= len(text)
    return "is the line cut off?" if cut else "mend the line"


def not_utf8(piece: bytes, error: UnicodeDecodeError) -> str:
    """What to say of bytes that are no UTF-8."""
    byte = piece[error.start]
    return (
        f"not UTF-8 text; convert the file to UTF-8 (byte 0x{byte:02x}; if it is Windows-1252 or Latin-1: "
        "iconv -f WINDOWS-1252 -t UTF-8)"
    )


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two with one name the first would be lost."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the key {twice!r} is there twice in one object; keep one of them")
    return row


_DECODER = json.JSONDecoder(object_pairs_hook=once)
