"""A file as a stream of its plain bytes: packings are taken off one after another, as they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bios_sweep.containers.child import bytes_of
from bios_sweep.containers.sniff import BZIP2, GZIP, HEAD_BYTES, PACKED, XZ, ZIP, Refused, kind_of
from bios_sweep.errors import DataError

Stream = io.BufferedReader
DEEPEST = 3  # packings around each other; chosen
BROKEN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError)
OFFICE = "[Content_Types].xml"  # of a zip that is an Office document, ECMA-376
NOT_DATA = ("__MACOSX/", ".")  # what archivers add to what was meant


def _gunzipped(stream: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=stream)


OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    GZIP: _gunzipped,
    BZIP2: bz2.BZ2File,
    XZ: lzma.LZMAFile,
}


class Plain(io.RawIOBase):
    """Bytes as they come out of a packing; damage in it is named, with the file."""

    def __init__(self, stream: IO[bytes], path: Path, packing: str) -> None:
        self._stream, self._path, self._packing = stream, path, packing

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: object) -> int:
        """As of any raw stream.

        Raises:
            DataError: what was packed cannot be taken out.
        """
        view = memoryview(buffer)  # type: ignore[arg-type]  # a writable buffer, by the protocol
        try:
            found = self._stream.read(len(view))
        except (*BROKEN, OSError) as error:
            raise DataError(self._broken(error)) from error
        view[: len(found)] = found
        return len(found)

    def _broken(self, error: Exception) -> str:
        if isinstance(error, EOFError):
            why = f"its {self._packing} data are cut off"
        else:
            why = f"its {self._packing} data are damaged ({_why(error)})"
        return f"{self._path}: {why}; download or pack it again"


def _why(error: Exception) -> str:
    """In words; the number of a system's error says nothing."""
    return str((isinstance(error, OSError) and error.strerror) or error or type(error).__name__)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Stream, str]]:
    """The plain bytes of a file and their kind, one of `sniff.COLUMNAR` or `sniff.TEXT`.

    Raises:
        DataError: there is no such file, it cannot be read or unpacked, or it is nothing that is read here.
    """
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: is {'a folder' if path.is_dir() else 'a device or pipe'}; give a file")
    try:
        with path.open("rb", buffering=HEAD_BYTES) as file:
            buffered: Any = file  # a BufferedReader, by its buffering
            yield _unpacked(buffered, path, 0)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; data.path takes a file, a folder or a pattern") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _unpacked(stream: Stream, path: Path, depth: int) -> tuple[Stream, str]:
    kind = kind_of(stream.peek(HEAD_BYTES)[:HEAD_BYTES])
    if isinstance(kind, Refused):
        raise DataError(f"{path}: {'what is packed ' if depth else ''}{kind.sentence}")
    if kind not in PACKED:
        return stream, kind
    if depth == DEEPEST:
        raise DataError(f"{path}: is packed more than {DEEPEST} times; unpack it")
    return _unpacked(_buffered(_open(stream, kind, path, depth), path, kind), path, depth + 1)


def _open(stream: Stream, kind: str, path: Path, depth: int) -> IO[bytes]:
    if kind in OPENERS:
        unpacked: IO[bytes] = OPENERS[kind](stream)
        return unpacked
    if depth:
        raise DataError(f"{path}: holds {kind} data inside another packing; unpack it once")
    return _member(path) if kind == ZIP else bytes_of(path, kind)


def _buffered(stream: IO[bytes], path: Path, packing: str) -> Stream:
    return io.BufferedReader(Plain(stream, path, packing), HEAD_BYTES)


def _member(path: Path) -> IO[bytes]:
    """The one file of a zip archive."""
    try:
        archive = zipfile.ZipFile(path)
        names = [one.filename for one in archive.infolist() if not one.is_dir()]
        _refuse_other_zips(names, path)
        data = [name for name in names if not name.startswith(NOT_DATA)]
        if len(data) != 1:
            listed = ", ".join(data[:3]) + (", ..." if len(data) > 3 else "")
            raise DataError(
                f"{path}: is a zip archive of {len(data)} files{f' ({listed})' if data else ''}; "
                "unpack it and give the file or the folder"
            )
        return archive.open(data[0])
    except (*BROKEN, RuntimeError, OSError) as error:  # RuntimeError: it needs a password
        raise DataError(f"{path}: is a zip archive that cannot be read ({_why(error)}); unpack it") from error


def _refuse_other_zips(names: list[str], path: Path) -> None:
    if OFFICE in names:
        raise DataError(f"{path}: is an Office document (xlsx, docx); save it as CSV (UTF-8) or JSON lines")
    if any(PurePosixPath(name).name == "data.pkl" for name in names):
        raise DataError(
            f"{path}: is a file of torch.save, a pickle that can run code; write its examples as JSON lines"
        )
    if names and all(name.endswith(".npy") for name in names):
        raise DataError(f"{path}: is a file of numpy arrays (npz); write its examples as JSON lines")
