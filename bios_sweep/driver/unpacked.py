"""An archive of a workspace, unpacked for as long as it is looked at. Its content decides what it is."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import IO, cast

from bios_sweep.errors import InputError

DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, ValueError),
    OverflowError,  # of a file, at an offset that makes no sense
    RuntimeError,  # of `zipfile`: the archive is encrypted, or packed in a way that it does not know
)
ZIP_END, LONGEST_ZIP_END = b"PK\x05\x06", 22 + 2**16  # by zip's format: how its end begins, and its length
MANY = 2**16 - 1  # members: said instead of their number where there are as many, or more
READ_BYTES = 2**20  # at once; chosen


def is_archive(path: Path) -> bool:
    """Whether a file is a tar, packed or not, or a zip, or is called so."""
    named = path.name.endswith((".tar", ".tgz", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz"))
    return path.is_file() and (named or tarfile.is_tarfile(path) or zipfile.is_zipfile(path))


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A folder with what is in the archive: regular files and folders below it, nothing else.

    Raises:
        InputError: it cannot be read to its end, takes more than is free, or leads out of its folder.
    """
    with TemporaryDirectory(prefix="bios-sweep-verify-") as folder:
        try:
            if zipfile.is_zipfile(path):
                _unzip(path, Path(folder))
            else:
                _untar(path, Path(folder))
        except DAMAGED as error:
            what, *_ = str(error).splitlines() or [type(error).__name__]
            raise InputError(
                f"{path}: cannot be unpacked ({what}); make or copy the archive again"
            ) from error
        yield Path(folder)


def _unzip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) != (said := _members_said(path)) != MANY:
            raise zipfile.BadZipFile(f"it lists {len(members)} members, and says that it has {said}")
        _require_room(path, folder, sum(member.file_size for member in members))
        archive.extractall(folder)  # it drops `..` and leading slashes, and writes no links


def _members_said(path: Path) -> int:
    """As a zip ends; a damaged list may be shorter, and `zipfile` does not compare."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LONGEST_ZIP_END))
        _, _, end = file.read().rpartition(ZIP_END)
    return int.from_bytes(end[6:8], "little")


def _untar(path: Path, folder: Path) -> None:
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        _require_end(archive)
        _require_room(path, folder, sum(member.size for member in members))
        archive.extractall(folder, members=members, filter="data")


def _require_end(archive: tarfile.TarFile) -> None:
    """Refuse an archive whose members end before it does: `tarfile` stops at a damaged one without a word.

    Read to the end, for that is where gzip and others keep their checksum.

    Raises:
        tarfile.TarError: something else than zeros, of which there is a block at least, follows the members.
        OSError: it does not match its checksum.
    """
    stream = cast(IO[bytes], archive.fileobj)
    stream.seek(archive.offset)
    zeros, other = 0, False
    while block := stream.read(READ_BYTES):
        other = other or any(block)
        zeros += len(block)
    if other or zeros < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"its members end at byte {archive.offset:,}, where no end of it is")


def _require_room(path: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{path}: takes {needed:,} bytes unpacked, and {gettempdir()} has {free:,} free; free some, "
            "or set TMPDIR to another folder"
        )
