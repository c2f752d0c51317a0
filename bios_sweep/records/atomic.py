"""Files that are either the old or the new one, never half of each, even after a power cut."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from bios_sweep.errors import StorageError


def write_atomically(path: Path, text: str) -> None:
    """Write `text` so that a reader, or a crash at any moment, sees the old file or the whole new one.

    Written beside the target, flushed to the disk, renamed over it; then the folder is flushed, since
    the new name lives there.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}); free it and run again"
        ) from error


def sync_folder(folder: Path) -> None:
    """Flush a folder, so that names made in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
