"""Paths as people type them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path


def expanded(given: str | os.PathLike[str]) -> Path:
    """A path with `~` and `~name` as folders; where there is no such user it is a name as any other.

    `Path.expanduser` raises there, of which a shell and `os.path` make a file called `~notes.jsonl`.
    """
    return Path(os.path.expanduser(given))  # noqa: PTH111 - see above


def resolved(path: Path) -> Path:
    """An absolute path without links. One that is a ring of links stays, so that reading it says why not.

    `Path.resolve` raises RuntimeError there, up to Python 3.12.
    """
    return Path(os.path.realpath(path))


def read_regular(path: Path, most: int | None = None) -> bytes:
    """A file's bytes. A named pipe, which is waited for, and a device, which has no end, are refused.

    most: bytes; a larger file is refused.

    Raises:
        OSError: it cannot be read, is no regular file, or is too large; `strerror` says which.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, and at most {most:,} are read", str(path))
        return file.read()


def files_below(folder: Path) -> Iterator[Path]:
    """Files, and what else is no folder, at any depth; a link to a folder is one, and is not followed.

    What others take away meanwhile is passed over.

    Raises:
        OSError: a folder cannot be read.
    """
    for parent, _, names in os.walk(folder, onerror=_unless_gone):
        yield from (Path(parent, name) for name in names)


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def open_regular(path: Path) -> BufferedReader:
    """A regular file, open for reading.

    Raises:
        OSError: as `read_regular`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer opens at once
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")
