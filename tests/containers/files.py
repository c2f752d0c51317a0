"""The same records in every container that is read, and files that are none."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyarrow import ipc, parquet

Rows = list[dict[str, Any]]

ROWS: Rows = [
    {"prompt": f'Question {number}, "quoted"?', "completion": f"Answer {number}:\nzwölf, 一二; | tab\t."}
    for number in range(1, 41)
]


def lines(rows: Rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def separated(mark: str, begin: str = "") -> Callable[[Rows], bytes]:
    def write(rows: Rows) -> bytes:
        cell = '"{}"'.format
        body = [mark.join(cell(value.replace('"', '""')) for value in row.values()) for row in rows]
        return (begin + "\n".join([mark.join(rows[0]), *body]) + "\n").encode()

    return write


def columns(write: Callable[[Any, pa.Table], None]) -> Callable[[Rows], bytes]:
    def written(rows: Rows) -> bytes:
        sink = io.BytesIO()
        write(sink, pa.Table.from_pylist(rows))
        return sink.getvalue()

    return written


def _arrow(new: Any) -> Callable[[Any, pa.Table], None]:
    def write(sink: Any, table: pa.Table) -> None:
        with new(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)

    return write


def by_pyarrow(packing: str) -> Callable[[Rows], bytes]:
    return lambda rows: pa.Codec(packing).compress(lines(rows), asbytes=True)


def _lz4(rows: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as out:
        out.write(lines(rows))
    return sink.getvalue().to_pybytes()


def zipped(content: bytes, *names: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return sink.getvalue()


def _tarred(rows: Rows) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        entry = tarfile.TarInfo("a.jsonl")
        entry.size = len(lines(rows))
        archive.addfile(entry, io.BytesIO(lines(rows)))
    return sink.getvalue()


CONTAINERS: dict[str, Callable[[Rows], bytes]] = {
    "a.jsonl": lines,
    "bom.jsonl": lambda rows: b"\xef\xbb\xbf" + lines(rows),
    "crlf.jsonl": lambda rows: lines(rows).replace(b"\n", b"\r\n"),
    "a.jsonl.gz": lambda rows: gzip.compress(lines(rows)),
    "two.members.gz": lambda rows: gzip.compress(lines(rows[:9])) + gzip.compress(lines(rows[9:])),
    "a.jsonl.bz2": lambda rows: bz2.compress(lines(rows)),
    "a.jsonl.xz": lambda rows: lzma.compress(lines(rows)),
    "a.jsonl.zst": by_pyarrow("zstd"),
    "a.jsonl.lz4": _lz4,
    "a.zip": lambda rows: zipped(lines(rows), "a.jsonl"),
    "array.json": lambda rows: json.dumps(rows).encode(),
    "pretty.json": lambda rows: json.dumps(rows, indent=4, ensure_ascii=False).encode(),
    "array.json.gz": lambda rows: gzip.compress(json.dumps(rows).encode()),
    "data.json": lambda rows: json.dumps({"version": "1", "data": rows, "n": [len(rows)]}).encode(),
    "pretty_data.json": lambda rows: json.dumps({"train": rows, "about": {"by": "us"}}, indent=1).encode(),
    "one_after_another.json": lambda rows: "\n".join(json.dumps(row, indent=2) for row in rows).encode(),
    "a.csv": separated(","),
    "bom.csv": lambda rows: b"\xef\xbb\xbf" + separated(",")(rows),
    "semicolon.csv": separated(";"),
    "excel.csv": separated(";", "sep=;\n"),
    "a.tsv": separated("\t"),
    "bars.txt": separated("|"),
    "a.csv.gz": lambda rows: gzip.compress(separated(",")(rows)),
    "a.parquet": columns(lambda sink, table: parquet.write_table(table, sink, row_group_size=7)),
    "called.jsonl": columns(lambda sink, table: parquet.write_table(table, sink)),
    "file.arrow": columns(_arrow(ipc.new_file)),
    "stream.arrow": columns(_arrow(ipc.new_stream)),
}

ZIPPED = zipped(lines(ROWS), "a.jsonl")
MOVED = ZIPPED[:-4] + b"\xff" + ZIPPED[-3:]  # its list of files would begin before the file

# file -> its content and what is said of it
REFUSED: dict[str, tuple[bytes, str]] = {
    "lfs.jsonl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a git-LFS pointer"),
    "page.jsonl": (b"\n<!DOCTYPE html><html>Sign in</html>", "is an HTML page"),
    "a.xml": (b'<?xml version="1.0"?><a/>', "is XML"),
    "a.pdf": (b"%PDF-1.7\n...", "is a PDF document"),
    "sheet.csv": (zipped(b"", "[Content_Types].xml", "xl/workbook.xml"), "is an Office document (xlsx"),
    "weights.pt": (zipped(b"", "weights/data.pkl"), "is a file of torch.save, a pickle"),
    "rows.pkl": (pickle.dumps(ROWS), "is a pickle, which can run code"),
    "a.npy": (b"\x93NUMPY\x01\0", "is a numpy array"),
    "a.tar.gz": (_tarred(ROWS), "what is packed is a tar archive"),
    "two.zip": (zipped(b"{}", "a.jsonl", "b.jsonl"), "is a zip archive of 2 files (a.jsonl, b.jsonl)"),
    "moved.zip": (MOVED, "is a zip archive that cannot be read (Invalid argument); unpack it"),
    "a.db": (b"SQLite format 3\0" + bytes(99), "is an SQLite database"),
    "utf16.csv": (separated(",")(ROWS).decode().encode("utf-16"), "is UTF-16 text, as Excel"),
    "utf16.jsonl": (lines(ROWS).decode().encode("utf-16-le"), "is UTF-16 text"),
    "packed.parquet.gz": (gzip.compress(CONTAINERS["a.parquet"](ROWS)), "is a packed parquet; unpack it"),
    "bytes.jsonl": (bytes(range(256)) * 9, "is binary data of an unknown kind"),
    "a.yaml": (b"- prompt: a\n  completion: b\n", "is YAML"),
    "cut.jsonl.gz": (gzip.compress(lines(ROWS))[:-40], "its gzip data are cut off"),
    "cut.xz": (lzma.compress(lines(ROWS))[:-40], "its xz data are cut off"),
    "cut.zst": (by_pyarrow("zstd")(ROWS)[:-40], "the zstd data cannot be read"),
    "cut.parquet": (CONTAINERS["a.parquet"](ROWS)[:-40], "the parquet cannot be read"),
    "cut.arrow": (CONTAINERS["stream.arrow"](ROWS)[:-400], "the arrow stream cannot be read"),
    "cut.json": (json.dumps(ROWS).encode()[:-40], "is the file cut off?"),
    "comma.json": (json.dumps(ROWS).encode()[:-1] + b",]", "not valid JSON (Expecting value)"),
    "more.json": (b'[{"text": "a"}]\n[{"text": "b"}]', ":2: there is more after the end of the array"),
    "deep.json": (b"[" * 100_000, "nested too deeply"),
    "two.json": (json.dumps({"train": ROWS, "test": ROWS}).encode(), "two lists of examples (train, test)"),
    "pandas.json": (b'{"prompt": {"0": "a", "1": "b"}, "completion": {"0": "a"}}', "holds columns (prompt"),
    "columns.json": (b'{"prompt": ["a", "b"], "completion": ["a", "b"]}', "orient='records'"),
    "by_id.json": (json.dumps({"a": ROWS[0], "b": ROWS[1]}).encode(), "an object of objects"),
    "twice.json": (b'[{"text": "a", "text": "b"}]', "the key 'text' is there twice"),
    "latin.csv": (separated(",")([{"text": "caf\u00e9"}]).decode().encode("latin-1"), ":2: not UTF-8 text"),
    "open.csv": (b'prompt,completion\n"a,b\nc,d\n', ":2: a quotation mark has no end"),
    "unnamed.csv": (b"prompt,,completion\na,b,c\n", ":1: a column has no name"),
    "same.csv": (b"text,text\na,b\n", ":1: two columns are called 'text'"),
}  # fmt: skip
# file -> its content, a record of it that cannot be read, and how many can
BAD_RECORDS: dict[str, tuple[bytes, str, int]] = {
    "cut.jsonl": (lines(ROWS) + b'{"prompt": "a', "cut.jsonl:41: not valid JSON (Unterminated", 40),
    "latin.jsonl": (b'{"text": "a"}\n{"text": "\xe9"}\n{"text": "b"}\n', "latin.jsonl:2: not UTF-8 text", 2),
    "texts.jsonl": (b'"a"\n{"text": "b"}\n', "texts.jsonl:1: a str, not an object", 1),
    "ragged.csv": (b"prompt,completion\na,b\na,b,c\na,b\n", ":3: 3 cells under 2 names; put cells", 2),
    "inner.csv": (b'prompt,completion\n"a"x,b\nc,d\n', ":2: a quotation mark inside a cell must be", 1),
    "mixed.json": (b'[{"text": "a"}, ["b"],\n {"text": "c"}]', "item 2 (line 1): a list, not an object", 2),
}
