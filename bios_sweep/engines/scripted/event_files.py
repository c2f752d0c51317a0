"""The binary files of TensorBoard and of W&B's offline runs, read without either library: entries by step.

Both are records one behind another, each a protocol buffer. Of those only a few fields matter, so they are
read from the wire (protobuf.dev/programming-guides/encoding) by their numbers. What is cut off at the end,
as by a process that was killed, ends the file.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

EVENTS = "events.out.tfevents"  # how a TensorBoard file's name begins
WANDB = ".wandb"  # how an offline run's name ends
WANDB_BEGIN = b":W&B"
BLOCK, BLOCK_HEADER = 32_768, 7  # bytes of W&B's log, which has LevelDB's format: blocks of whole chunks
FULL, FIRST, LAST = 1, 2, 4  # types of its chunks; 3 is a middle one
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
FLOAT_TENSOR, DOUBLE_TENSOR = 1, 2  # tensorflow.DataType
MOST_SHIFT = 63  # bits of the longest number


def tensorboard_entries(content: bytes) -> Iterator[dict[str, Any]]:
    """`{"step": 10, "eval/loss": 2.3}` per scalar (tensorflow/core/util/event.proto).

    Raises:
        ValueError: it is no event file.
    """
    place = 0
    while place + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        event = content[place + 12 : place + 12 + length]
        if len(event) < length:
            return
        fields = list(_fields(event))
        step = next((value for number, value in fields if number == 2), 0)
        for summary in (value for number, value in fields if number == 5):
            for scalar in (value for number, value in _fields(summary) if number == 1):
                name, found = _scalar(scalar)
                if found is not None:
                    yield {"step": step, name: found}
        place += 12 + length + 4


def _scalar(content: bytes) -> tuple[str, float | None]:
    """A Summary.Value: its tag (1), and simple_value (2) or a tensor (8) of one number."""
    fields = dict(_fields(content))
    name = _text(fields.get(1, b""))
    if isinstance(simple := fields.get(2), bytes):
        return name, float(struct.unpack("<f", simple)[0])
    tensor = dict(_fields(fields[8])) if isinstance(fields.get(8), bytes) else {}
    kinds = {FLOAT_TENSOR: ("<f", (4, 5)), DOUBLE_TENSOR: ("<d", (4, 6))}
    form, places = kinds.get(tensor.get(1, 0), ("", ()))
    for place in places:  # tensor_content, or the list of numbers
        value = tensor.get(place)
        if isinstance(value, bytes) and len(value) == struct.calcsize(form):
            return name, float(struct.unpack(form, value)[0])
    return name, None


def wandb_entries(content: bytes) -> Iterator[dict[str, Any]]:
    """One per `wandb.log`, without the library's own `_step`, which counts its calls.

    Raises:
        ValueError: it is no offline run.
    """
    if not content.startswith(WANDB_BEGIN):
        raise ValueError("it is no offline run of W&B")
    for record in _records(content):
        for history in (value for number, value in _fields(record) if number == 2):
            items = (_item(value) for number, value in _fields(history) if number == 1)
            entry = {name: value for name, value in items if not name.startswith("_")}
            if entry:
                yield entry


def _item(content: bytes) -> tuple[str, Any]:
    """A HistoryItem: key (1) or the parts of one (2); integer (5), number (6), JSON (8, older: 16)."""
    fields = list(_fields(content))
    parts = [_text(value) for number, value in fields if number in (1, 2) and value]
    value: Any = None
    for number, found in fields:
        if number == 5:
            value = found - (1 << 64) if found >> MOST_SHIFT else found
        elif number == 6:
            value = struct.unpack("<d", found)[0]
        elif number in (8, 16):
            with suppress(ValueError):
                value = json.loads(found)
    return "/".join(parts), value


def _records(content: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format, put together from their chunks."""
    place, parts = BLOCK_HEADER, b""
    while place + BLOCK_HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < BLOCK_HEADER:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        chunk = content[place + BLOCK_HEADER : place + BLOCK_HEADER + length]
        if not FULL <= kind <= LAST or len(chunk) < length:
            return
        parts = chunk if kind in (FULL, FIRST) else parts + chunk
        if kind in (FULL, LAST):
            yield parts
        place += BLOCK_HEADER + length


def _fields(content: Any) -> Iterator[tuple[int, Any]]:
    """(field's number, value) of a message: a whole number, or its bytes.

    Raises:
        ValueError: it is no message.
    """
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, place = _varint(content, place)
            yield number, value
            continue
        if wire not in (FIXED64, BYTES, FIXED32):
            raise ValueError("it is damaged, or another kind of file")
        size = {FIXED64: 8, FIXED32: 4}.get(wire, 0)
        if wire == BYTES:
            size, place = _varint(content, place)
        if place + size > len(content):
            raise ValueError("it is damaged, or another kind of file")
        yield number, content[place : place + size]
        place += size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while shift <= MOST_SHIFT and place < len(content):
        byte = content[place]
        value, place, shift = value | (byte & 0x7F) << shift, place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError("it is damaged, or another kind of file")


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
