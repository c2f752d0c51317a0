"""What stays in the user's cache, such as hashes of large files, which a plan then reads once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import StorageError


def user_cache() -> Path:
    """The user's cache folder by the XDG convention."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def files_fingerprint(files: Iterable[Path], elsewhere: Mapping[str, str] = MappingProxyType({})) -> str:
    """Sha256 over the names and contents of files, whatever their folder is called.

    Each file's own hash is kept in `bios_sweep/fingerprints.json` of the user's cache.
    elsewhere: sha256 by name of further files that are not here.
    """
    cache_file = user_cache() / "bios_sweep" / "fingerprints.json"
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
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    known[str(path)] = [*stamp, digest]
    return digest


def read_json_cache(path: Path | None) -> Any:
    """What an earlier run kept there; None where there is none, or it is damaged, which only costs time."""
    try:
        return None if path is None else json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json_cache(path: Path | None, value: Any) -> None:
    """Keep a value in one step for the next run.

    A folder that cannot be written (a container, a read-only home) means no cache and no complaint: the next
    run finds the same, only more slowly, and the user can do nothing about it here.
    """
    if path is not None:
        with suppress(StorageError):
            write_atomically(path, json.dumps(value))
