"""In a process of its own: rows of columnar files as lines of JSON, and packings that only pyarrow knows."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
from pyarrow import ipc, parquet

from bios_sweep.containers.child import MARK
from bios_sweep.containers.record import BYTES
from bios_sweep.containers.sniff import ARROW_FILE, PARQUET

ROWS = 1000  # of a batch; chosen: an example has kilobytes
PIECE_BYTES = 1 << 20
LABELS = (date, time, timedelta, Decimal, UUID)  # of a column that only labels a row; nothing learns them


def main(words: Sequence[str]) -> int:
    """`unpack PACKING PATH NAME` writes bytes, `rows KIND PATH NAME` lines of JSON; 1 after a sentence.

    NAME: what the file is called in the sentence.
    """
    task, kind, path, name = words
    try:
        if task == "unpack":
            _unpack(kind, path)
        else:
            _rows(kind, path)
    except BrokenPipeError:  # nobody reads on
        return 0
    except Exception as error:  # noqa: BLE001 - of damaged files pyarrow raises whatever Python does
        said = _wrong(error)
        cut = kind if task == "rows" else f"{kind} data"
        return _fail(f"{name}: the {cut} cannot be read ({said}); is it cut off? write or download it again")
    return 0


def _wrong(error: Exception) -> str:
    """The first line of what went wrong; of names that are no text, in words that name no codec."""
    if isinstance(error, UnicodeDecodeError):
        return f"a name in it holds the byte 0x{error.object[error.start]:02x}, which is no UTF-8"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _fail(sentence: str) -> int:
    sys.stderr.write(f"\n{MARK}{sentence}\n")
    return 1


def _unpack(packing: str, path: str) -> None:
    out = sys.stdout.buffer
    with pa.input_stream(path, compression=packing) as stream:
        while piece := stream.read(PIECE_BYTES):
            out.write(piece)
    out.flush()


def _rows(kind: str, path: str) -> None:
    out = sys.stdout.buffer
    for batch in _batches(kind, path):
        names = batch.schema.names
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two columns are called {twice[0]!r}")
        for row in batch.to_pylist():
            out.write(_line(row))
    out.flush()


def _line(row: dict[str, Any]) -> bytes:
    said = {name: _said(value) for name, value in row.items()}
    return json.dumps(said, ensure_ascii=False, default=_plain).encode() + b"\n"


def _said(value: Any) -> Any:
    """A value without the nulls inside its structs.

    All structs of a column have the same fields, and a file fills those that a row did not have with null:
    the arguments of one tool would be learned with the names of all others'. Whether null was written or
    filled in is not kept in such a file. A column that is null stays so, as does an element of a list.
    """
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items() if inner is not None}
    return [_said(inner) for inner in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """What JSON has no word for: a label as text, of bytes (an image that nobody may read) their number."""
    return str(value) if isinstance(value, LABELS) else {BYTES: len(value)}


def _batches(kind: str, path: str) -> Iterator[pa.RecordBatch]:
    if kind == PARQUET:
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=ROWS)
        return
    with pa.memory_map(path) as source:
        if kind == ARROW_FILE:
            file = ipc.open_file(source)
            batches = (file.get_batch(number) for number in range(file.num_record_batches))
        else:
            batches = iter(ipc.open_stream(source))
        for batch in batches:
            for begin in range(0, batch.num_rows, ROWS):
                yield batch.slice(begin, ROWS)
