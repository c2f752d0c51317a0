"""A file of any container as a stream of (place, record)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bios_sweep.containers.child import PROGRAM, require, rows
from bios_sweep.containers.document import begins_with_record, is_document, json_document
from bios_sweep.containers.files import PACKINGS
from bios_sweep.containers.lines import json_lines, not_utf8
from bios_sweep.containers.record import Record
from bios_sweep.containers.separated import BY_NAME, delimiter_of, has_known_names, separated
from bios_sweep.containers.sniff import COLUMNAR, HEAD_BYTES, UTF8_BOM
from bios_sweep.containers.streams import Plain, Stream, opened
from bios_sweep.errors import DataError

# text that is no table, by the ending of its file
DOCUMENTS = (".txt", ".text", ".md")  # text as it stands: the whole file is one
LONGEST_DOCUMENT = 1 << 26  # characters; chosen: it is held whole
OTHER_TEXTS = {
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
    for number, row in enumerate(_rows(kind, path), start=1):
        yield Record(f"{path}:row {number}", row)


def _document(stream: Stream, path: Path) -> Iterator[Record]:
    """All of a text file as one record; nothing where it is empty."""
    content = stream.read(LONGEST_DOCUMENT + 1)
    if len(content) > LONGEST_DOCUMENT:
        raise DataError(
            f"{path}: is one document of more than {LONGEST_DOCUMENT:,} bytes; write its parts as lines "
            '{"text": ...}'
        )
    try:
        text = content.removeprefix(UTF8_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {not_utf8(content, error)}") from error
    if text.strip():
        yield Record(f"{path}:1", {"text": text.replace("\r\n", "\n")})


def _rows(kind: str, path: Path) -> Iterator[dict[str, Any]]:
    """The absolute path is opened, for pyarrow takes `a:b` for an address; the given one is told."""
    return rows(PROGRAM, ["rows", kind, str(path.absolute()), str(path)])


def _text(stream: Stream, path: Path) -> Iterator[Record]:
    head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
    whole = len(head) < HEAD_BYTES
    begin = head.decode("utf-8", errors="replace").removeprefix("\ufeff").lstrip()
    if _is_prose(begin, path):
        yield from _document(stream, path)
        return
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


def _is_prose(begin: str, path: Path) -> bool:
    """Whether a file that is called a text holds one: a comma or a bracket alone makes no table or list."""
    endings = [ending.lower() for ending in path.suffixes]
    while endings and endings[-1] in PACKINGS:
        endings.pop()
    if not endings or endings[-1] not in DOCUMENTS or begins_with_record(begin):
        return False
    mark = delimiter_of(begin, path)
    return mark is None or not (set(endings) & set(BY_NAME) or has_known_names(begin, mark))
