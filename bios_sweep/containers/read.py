"""A file of any container as a stream of (place, record)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bios_sweep.containers.child import PROGRAM, require, rows
from bios_sweep.containers.document import is_document, json_document
from bios_sweep.containers.lines import json_lines
from bios_sweep.containers.record import Record
from bios_sweep.containers.separated import delimiter_of, separated
from bios_sweep.containers.sniff import COLUMNAR, HEAD_BYTES
from bios_sweep.containers.streams import Plain, Stream, opened
from bios_sweep.errors import DataError

# text that is no table, by the ending of its file
OTHER_TEXTS = {
    **dict.fromkeys((".txt", ".text", ".md"), ("plain text", 'write each document as a line {"text": ...}')),
    **dict.fromkeys((".yaml", ".yml"), ("YAML", "write its examples as JSON lines")),
    **dict.fromkeys((".py", ".sh", ".ipynb"), ("code", "give the file of examples")),
    ".toml": ("TOML", "write its examples as JSON lines"),
}


def records(path: Path) -> Iterator[Record]:
    """Every record of a file in its order, with its place: file and line, item or row.

    What the file is its content decides. Memory does not grow with the file.

    Raises:
        DataError: it cannot be read; says what it is, and the way out.
    """
    with opened(path) as (stream, kind):
        if kind in COLUMNAR:
            yield from _columns(stream, kind, path)
        else:
            yield from _text(stream, path)


def _columns(stream: Stream, kind: str, path: Path) -> Iterator[Record]:
    if isinstance(stream.raw, Plain):
        raise DataError(f"{path}: is a packed {kind}; unpack it, these files are packed inside")
    require("pyarrow", path, f"a {kind}" if kind == "parquet" else f"an {kind}")
    for number, row in enumerate(rows(PROGRAM, ["rows", kind, str(path.absolute())]), start=1):
        yield Record(f"{path}:row {number}", row)


def _text(stream: Stream, path: Path) -> Iterator[Record]:
    head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
    whole = len(head) < HEAD_BYTES
    begin = head.decode("utf-8", errors="replace").removeprefix("\ufeff").lstrip()
    if begin.startswith("[") or (begin.startswith("{") and is_document(begin, whole=whole)):
        yield from json_document(stream, str(path))
        return
    mark = None if begin.startswith("{") else delimiter_of(begin, path)
    if mark is not None:
        yield from separated(stream, str(path), mark)
        return
    other = OTHER_TEXTS.get(path.suffix.lower())
    if other and not begin.startswith("{"):
        raise DataError(f"{path}: is {other[0]}; {other[1]}")
    yield from json_lines(stream, str(path))
