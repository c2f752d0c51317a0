"""What a file is, by its first bytes: a container that is read here, or the name of what is not.

The name of a file says what its owner thinks, the content what a reader meets. A parquet file that is called
`train.jsonl` is read; a spreadsheet is called one, not a broken line of JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD_BYTES = 65_536  # how far a file is looked into; chosen: a header and some rows
TAR_AT, TAR = 257, b"ustar"
UTF8_BOM = b"\xef\xbb\xbf"

# containers and packings that are read here
GZIP, BZIP2, XZ, ZSTD, LZ4, ZIP = "gzip", "bzip2", "xz", "zstd", "lz4", "zip"
PARQUET, ARROW_FILE, ARROW_STREAM = "parquet", "arrow file", "arrow stream"
TEXT = "text"
PACKED = (GZIP, BZIP2, XZ, ZSTD, LZ4, ZIP)
COLUMNAR = (PARQUET, ARROW_FILE, ARROW_STREAM)

READ = (
    (b"\x1f\x8b", GZIP),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\x00", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"\x04\x22\x4d\x18", LZ4),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),  # of an archive without files
    (b"PAR1", PARQUET),
    (b"ARROW1", ARROW_FILE),
    (b"\xff\xff\xff\xff", ARROW_STREAM),
)

_SAVE_AS = "save it as CSV (UTF-8) or JSON lines"
_WRITE_AS = "write its examples as JSON lines or parquet"
_UNPACK = "unpack it and give the files"
_CONVERT = "convert the file to UTF-8"
# what begins so, and the way out; magic numbers as in the formats' own descriptions
REFUSED = (
    (b"version https://git-lfs", "a git-LFS pointer, not the data", "fetch them with: git lfs pull"),
    (b"PARE", "an encrypted parquet file", "write it without encryption"),
    (b"FEA1", "a feather file of version 1", "write it again as parquet or feather 2"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a rar archive", _UNPACK),
    (b"%PDF", "a PDF document", "extract its text into JSON lines"),
    (b"\xd0\xcf\x11\xe0", "an old Office document (xls, doc)", _SAVE_AS),
    (b"{\\rtf", "an RTF document", "extract its text into JSON lines"),
    (b"\x93NUMPY", "a numpy array", _WRITE_AS),
    (b"\x89HDF", "an HDF5 file", _WRITE_AS),
    (b"SQLite format 3\0", "an SQLite database", "export the table as CSV or JSON lines"),
    (b"ORC", "an ORC file", "write it again as parquet"),
    (b"Obj\x01", "an Avro file", "write it again as parquet"),
    (b"GGUF", "a GGUF model, not data", "give the file of examples"),
    (b"\x89PNG", "an image", "only text is trained here"),
    (b"\xff\xd8\xff", "an image", "only text is trained here"),
    (b"GIF8", "an image", "only text is trained here"),
    (b"RIFF", "a sound, video or image file", "only text is trained here"),
    (b"ID3", "a sound file", "only text is trained here"),
    (b"OggS", "a sound file", "only text is trained here"),
    (b"\x7fELF", "a program", "give the file of examples"),
    (b"MZ\x90", "a program", "give the file of examples"),
    (b"\xff\xfe\0\0", "UTF-32 text", _CONVERT),
    (b"\0\0\xfe\xff", "UTF-32 text", _CONVERT),
    (b"\xff\xfe", "UTF-16 text, as Excel and PowerShell write it", _CONVERT),
    (b"\xfe\xff", "UTF-16 text", _CONVERT),
)  # fmt: skip
# the same of text, whatever its case and the blanks before it
REFUSED_TEXT = (
    (b"<!doctype html", "an HTML page, such as a log-in or an error", "download the file itself again"),
    (b"<html", "an HTML page, such as a log-in or an error", "download the file itself again"),
    (b"<?xml", "XML", _WRITE_AS),
)
MOST_CONTROL, BLANKS = 0x1F, b"\t\n\r "  # of ASCII: what stands in no text, and what does
PICKLE_PROTOCOLS = range(2, 6)  # https://docs.python.org/3/library/pickle.html#data-stream-format


@dataclass(frozen=True)
class Refused:
    """What a file is that is not read here, and the way out."""

    what: str
    way_out: str

    @property
    def sentence(self) -> str:
        """As it stands behind a file's name."""
        return f"is {self.what}; {self.way_out}"


def kind_of(head: bytes) -> str | Refused:
    """The container that begins so (at most `HEAD_BYTES` of it), or what it is instead.

    Anything that may be text is `TEXT`; which text it is, its reader finds out.
    """
    if not head.strip():
        return TEXT
    for magic, kind in READ:
        if head.startswith(magic):
            return kind
    for magic, what, way_out in REFUSED:
        if head.startswith(magic):
            return Refused(what, way_out)
    if head[TAR_AT : TAR_AT + len(TAR)] == TAR:
        return Refused("a tar archive", _UNPACK)
    if head[:1] == b"\x80" and len(head) > 1 and head[1] in PICKLE_PROTOCOLS:
        return Refused("a pickle, which can run code when it is read", _WRITE_AS)
    begin = head.removeprefix(UTF8_BOM).lstrip()[:64].lower()
    for magic, what, way_out in REFUSED_TEXT:
        if begin.startswith(magic):
            return Refused(what, way_out)
    return _by_zeros(head)


def _by_zeros(head: bytes) -> str | Refused:
    """Text has no zero bytes, and UTF-16 without a mark has one beside every Latin letter."""
    zeros = head.count(0)
    if not zeros:
        return TEXT
    if zeros >= len(head) // 3 and max(head[::2].count(0), head[1::2].count(0)) > 0.9 * zeros:
        return Refused("UTF-16 text", _CONVERT)
    if head[8:10] == b'{"':  # the length of a header, then the header
        return Refused("a safetensors file, weights and not data", "give the file of examples")
    plain = head.replace(b"\0", b"")
    if head.lstrip()[:1] in (b"{", b"[") and all(byte > MOST_CONTROL or byte in BLANKS for byte in plain):
        return Refused(
            "text with zero bytes in it, as a crash or a broken copy leaves them",
            "remove them, or write it again",
        )
    return Refused("binary data of an unknown kind", "give JSON lines, CSV, parquet or arrow")
