"""An archive of a workspace, unpacked for as long as it is looked at. Its content decides what it is."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from bios_sweep.errors import InputError

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError)


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
            what = str(error) or type(error).__name__
            raise InputError(
                f"{path}: cannot be unpacked ({what}); make or copy the archive again"
            ) from error
        yield Path(folder)


def _unzip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        _require_room(path, folder, sum(member.file_size for member in archive.infolist()))
        archive.extractall(folder)  # it drops `..` and leading slashes, and writes no links


def _untar(path: Path, folder: Path) -> None:
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        _require_room(path, folder, sum(member.size for member in members))
        archive.extractall(folder, members=members, filter="data")


def _require_room(path: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{path}: takes {needed:,} bytes unpacked, and {gettempdir()} has {free:,} free; free some, "
            "or set TMPDIR to another folder"
        )
