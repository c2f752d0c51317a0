"""Files that are either the old or the new one, never half of each, even after a power cut.

On the floor of the errors, because every room that keeps something on the disk needs it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bios_sweep.errors import StorageError


def write_atomically(path: Path, content: str | Iterable[bytes]) -> None:
    """Write text (UTF-8) or chunks of bytes so that a reader, or a crash, sees the old file or the new one.

    Written beside the target, flushed to the disk, renamed over it; then the folder is flushed, since
    the new name lives there. Missing folders are made.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    chunks = [content.encode()] if isinstance(content, str) else content
    with replaced(path) as file:
        file.writelines(chunks)


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """The same for a writer that needs the file itself; an exception inside leaves the old file.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or choose another folder"
        ) from error


def require_folder(file: Path) -> None:
    """Refuse to write where there is no folder: a misspelt path must not become one.

    Raises:
        StorageError: the file's folder does not exist.
    """
    if not file.parent.is_dir():
        raise StorageError(f"{file}: cannot be written (no such folder); choose another folder")


def sync(path: Path) -> None:
    """Flush a file, or a folder, so that names made in it survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
