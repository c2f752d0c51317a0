"""Folders of a node's cache: made once, by the process that needs them first, and found by the others.

A folder is whole or not there: it is written beside its place and renamed, and one that is damaged is made
again. What a folder holds is decided by its identity alone.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bios_sweep.engines.training.cache import cache_folder, remembered_of
from bios_sweep.errors import StorageError
from bios_sweep.sealed import file_digest
from bios_sweep.study.trials import short_hash

_log = logging.getLogger(__name__)

FACTS, FRESH = "facts.json", ".new"
KINDS = ("examples", "counts", "tokens", "reference")  # what of a data set a node prepares once
READERS = ("engines/training", "containers")
UNUSED_DAYS = 30  # chosen: then a folder is removed, which costs a later study its preparation


def kept_folder(
    kind: str, what: str, identity: Mapping[str, Any], write: Callable[[Path], Mapping[str, Any]]
) -> tuple[Path, dict[str, Any]]:
    """The folder of that identity and the facts in it: this node's, or made here.

    Args:
        kind: where it lies in the cache.
        what: what it holds, in a word for messages.
        identity: all that decides what is in it.
        write: makes its files in a folder it is given; what it returns is kept as facts.

    Raises:
        StorageError: the cache cannot be written.
    """
    from filelock import FileLock  # comes with the extra; a base install keeps nothing, see `keeps`

    root = kept_root(kind)
    folder = root / short_hash(identity, 32)
    with FileLock(folder.with_suffix(".lock")):
        if not _whole(folder):
            _remove_unused(root)
            _make(folder, what, write)
        os.utime(folder)
    return folder, json.loads((folder / FACTS).read_text(encoding="utf-8"))


def keeps() -> bool:
    """Whether this installation can keep folders that several processes share."""
    return find_spec("filelock") is not None


def _make(folder: Path, what: str, write: Callable[[Path], Mapping[str, Any]]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    fresh = folder.with_suffix(FRESH)
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        facts = write(fresh)
        digests = {path.name: file_digest(path) for path in sorted(fresh.iterdir())}
        (fresh / FACTS).write_text(json.dumps({**facts, "digests": digests}), encoding="utf-8")
        fresh.rename(folder)
    except OSError as error:
        raise StorageError(
            f"{folder}: {what} cannot be written ({error.strerror or error}); free some space, or set "
            "XDG_CACHE_HOME to another folder"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _whole(folder: Path) -> bool:
    """Whether a folder is there and holds what was written."""
    try:
        digests = json.loads((folder / FACTS).read_text(encoding="utf-8"))["digests"]
        paths = [folder / name for name in digests]
        found = remembered_of(paths, "digests", lambda: [file_digest(path) for path in paths])
        wrong = [name for name, now in zip(digests, found, strict=True) if digests[name] != now]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        wrong = [FACTS]
    if wrong:
        _log.warning("%s: is damaged (%s) and prepared again", folder, ", ".join(wrong))
    return not wrong


def unused(days: float) -> tuple[Path, ...]:
    """Folders of this user's cache that nobody asked for so long, and those that were left half made.

    None that a process holds now. Another workspace may ask for one of them again, which makes it anew.
    """
    cache = cache_folder()
    if cache is None or not keeps():
        return ()
    found = (path for kind in KINDS for path in (*_old(cache / kind, days), *_half_made(cache / kind)))
    return tuple(path for path in found if _held_alone(path, lambda: None))


def remove(folder: Path) -> None:
    """Free the disk, unless a process is at the folder now; one that has it mapped keeps what it reads."""
    _held_alone(folder, lambda: shutil.rmtree(folder, ignore_errors=True))


def _remove_unused(root: Path) -> None:
    for folder in _old(root, UNUSED_DAYS):
        shutil.rmtree(folder, ignore_errors=True)


def _old(root: Path, days: float) -> Iterator[Path]:
    for facts in sorted(root.glob(f"*/{FACTS}")):
        with suppress(OSError):
            if facts.parent.stat().st_mtime < time.time() - days * 86_400:
                yield facts.parent


def _half_made(root: Path) -> list[Path]:
    """What is being made, or was when its process was killed."""
    return sorted(root.glob(f"*{FRESH}"))


def _held_alone(folder: Path, work: Callable[[], None]) -> bool:
    """Whether the work was done, as no other process holds the folder."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder.with_suffix(".lock"), blocking=False):
            work()
    except (Timeout, OSError):
        return False
    return True


@cache
def kept_root(kind: str) -> Path:
    """In the user's cache; where that cannot be written, in a folder of this process."""
    folder = cache_folder()
    if folder is not None:
        with suppress(OSError):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder / kind):
                return folder / kind
    own = Path(tempfile.mkdtemp(prefix=f"bios_sweep-{kind}-"))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own


def mapped(path: Path, dtype: str) -> np.ndarray:
    """The numbers in a file, in memory as far as they are touched."""
    if not path.stat().st_size:
        return np.zeros(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")


@cache
def code_digest() -> str:
    """Of the files of the rooms that read data: any of them may decide what an example is."""
    package = Path(__file__).parents[2]
    files = sorted(path for room in READERS for path in (package / room).rglob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
