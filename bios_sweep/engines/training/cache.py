"""What stays in the user's cache, such as hashes of large files, which a plan then reads once."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import StorageError
from bios_sweep.sealed import YOUNG_SECONDS, DamagedError, opened_json, sealed_json

TRUSTED_SECONDS = 86_400.0  # chosen: reading a gigabyte again costs a second


def cache_folder() -> Path | None:
    """The user's cache folder of this package, by the XDG convention; None for a user without a home."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the convention says that a relative path is invalid and must be ignored
        return base / "bios_sweep"
    try:
        return Path.home() / ".cache" / "bios_sweep"
    except RuntimeError:  # containers run under numbers that no user has
        return None


def files_fingerprint(files: Iterable[Path], elsewhere: Mapping[str, str] = MappingProxyType({})) -> str:
    """Sha256 over the names and contents of files, whatever their folder is called.

    Each file's own hash is kept in `bios_sweep/fingerprints.json` of the user's cache.
    elsewhere: sha256 by name of further files that are not here.
    """
    folder = cache_folder()
    cache_file = None if folder is None else folder / "fingerprints.json"
    kept = read_json_cache(cache_file)
    before = kept if isinstance(kept, dict) else {}
    known = dict(before)
    digests = {**{path.name: _file_digest(path, known) for path in files}, **elsewhere}
    if known != before:
        write_json_cache(cache_file, known)
    lines = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_digest(path: Path, known: dict[str, Any]) -> str:
    """Sha256 of the file's bytes; remembered in `known` under the path while size and mtime stay."""
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns]
    entry = known.get(str(path))
    if isinstance(entry, list) and len(entry) == 3 and entry[:2] == stamp:
        return str(entry[2])
    digest = _digest(path)
    known[str(path)] = [*stamp, digest]
    return digest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_of(paths: Sequence[Path], what: str, find: Callable[[], Any]) -> Any:
    """A small value in JSON that the content of files decides; found once, for all processes of this node.

    It is found again where a file's size or times changed, and after `TRUSTED_SECONDS` in any case, so that
    a flipped bit does not stay. What was written a moment ago could be written again within the same tick of
    the file system's clock: that is not remembered.
    """
    name = hashlib.sha256("\n".join((what, *map(os.path.abspath, paths))).encode()).hexdigest()[:32]
    folder = cache_folder()
    file = None if folder is None else folder / "known" / f"{name}.json"
    now, stamps = time.time(), [_stamp(path) for path in paths]
    kept = read_json_cache(file)
    known = isinstance(kept, dict) and kept.get("stamps") == stamps
    if known and 0 <= now - kept.get("seconds", 0.0) < TRUSTED_SECONDS:
        return kept["value"]
    value = find()
    if not any(_is_young(path, now) for path in paths):
        write_json_cache(file, {"stamps": stamps, "seconds": now, "value": value})
    return value


def content_digest(path: Path) -> str:
    """Sha256 of a file's bytes, hex.

    Raises:
        OSError: it cannot be read.
    """
    return str(remembered_of([path], "sha256", lambda: _digest(path)))


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _is_young(path: Path, now: float) -> bool:
    status = path.stat()
    return max(status.st_mtime, status.st_ctime) > now - YOUNG_SECONDS


def read_json_cache(path: Path | None) -> Any:
    """What an earlier run kept there; None where there is none, or it is damaged, which only costs time."""
    if path is None:
        return None
    with suppress(OSError, DamagedError):
        values, sealed = opened_json(path.read_bytes(), path.name)
        return values.get("value") if sealed else None  # versions before wrote none
    return None


def write_json_cache(path: Path | None, value: Any) -> None:
    """Keep a value in one step for the next run, sealed, for a flipped bit may be another number.

    A folder that cannot be written (a container, a read-only home) means no cache and no complaint: the next
    run finds the same, only more slowly, and the user can do nothing about it here. A value that is no JSON
    (an infinite number) is not kept.
    """
    if path is not None:
        with suppress(StorageError, ValueError):
            write_atomically(path, sealed_json({"value": value}, path.name))
