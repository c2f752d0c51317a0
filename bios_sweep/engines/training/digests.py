"""Content hashes of large files, remembered by path, size and mtime so that a plan reads them once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import StorageError


def user_cache() -> Path:
    """The user's cache folder by the XDG convention."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def files_fingerprint(files: Iterable[Path]) -> str:
    """Sha256 over the names and contents of files, whatever their folder is called.

    Each file's own hash is kept in `bios_sweep/fingerprints.json` of the user's cache.
    """
    cache_file = user_cache() / "bios_sweep" / "fingerprints.json"
    before = _load_cache(cache_file)
    known = dict(before)
    digests = {path.name: _file_digest(path, known) for path in files}
    if known != before:
        _save_cache(cache_file, known)
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


def _load_cache(path: Path) -> dict[str, Any]:
    """Digests of earlier runs; a missing or damaged cache only costs time."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _save_cache(path: Path, known: Mapping[str, Any]) -> None:
    """Replace the cache in one step; where it cannot be written the next run hashes again."""
    with suppress(StorageError):
        write_atomically(path, json.dumps(known))
