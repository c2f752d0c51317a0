"""A store asked whether it can be used: what is looked at, state by state. Light, and nothing is written."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bios_sweep.errors import InputError
from bios_sweep.mirror.mlflow.holder import holders_of
from bios_sweep.mirror.mlflow.schema import ABSENT, EMPTY, look, refused_write, sqlite_address, sqlite_file
from bios_sweep.mirror.mlflow.troubles import (
    deleted,
    no_database,
    no_folder,
    of_file,
    of_sqlite,
    unwritable,
)
from bios_sweep.mounts import mount_of
from bios_sweep.secrecy import masked
from bios_sweep.trouble import Trouble, TroubleError

SQLITE_MAGIC = b"SQLite format 3\x00"  # https://www.sqlite.org/fileformat.html, section 1.3.1
FILES = "mlartifacts"  # the folder beside an SQLite store


def check_file(uri: str, *, made_later: bool) -> None:
    """Refuse an SQLite address that cannot become a store. made_later: its folder is made with the workspace.

    Raises:
        TroubleError: of that state.
        InputError: the address is relative, or on a network file system.
    """
    file = sqlite_file(uri)
    if not file.is_absolute():
        raise InputError(
            f"tracking.uri: {masked(uri)} is relative and would move with the working directory; "
            f"write {sqlite_address(file.absolute())}"
        )
    mount = mount_of(file)
    if mount is not None and mount.network:
        raise InputError(
            f"tracking.uri: the SQLite file {file} is on {mount.kind} ({mount.source} at {mount.point}), a "
            "network file system, whose locks are not to be relied on; start `mlflow server` and give "
            "tracking.uri=http://HOST:5000, or a file on a disk of this machine"
        )
    folder = file.parent
    while made_later and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise TroubleError(no_folder(folder))
    _require_writable(folder)
    if file.exists():
        _require_writable(file)
        _require_database(file)
    if trouble := of_file(file, look(file)):
        raise TroubleError(trouble)


def check_files_of(file: Path, location: str) -> None:
    """Refuse a place of artifacts that cannot be written. location: the experiment's own; '' for a new one.

    Raises:
        TroubleError: a folder of this machine is no folder, or may not be written.
    """
    parts = urlsplit(location)
    if parts.scheme not in ("", "file"):
        return  # somewhere else, and asked when something is sent there
    folder = Path(unquote(parts.path)) if parts.path else file.parent / FILES
    while not (folder.exists() or folder.is_symlink()) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise TroubleError(unwritable(folder, "it is no folder"))
    _require_writable(folder)


def require_kept(shown: str, name: str, found: tuple[str, str] | None) -> None:
    """Refuse an experiment that lies in MLflow's bin. found: its id and lifecycle; None where it is new.

    Raises:
        TroubleError: it was deleted.
    """
    if found is not None and found[1] != "active":
        raise TroubleError(deleted(shown, name, found[0]))


def locked_now(file: Path) -> Trouble | None:
    """What keeps a store that can be used from being written at this moment."""
    if look(file).kind in (ABSENT, EMPTY):
        return None
    refused = refused_write(file)
    return None if refused is None else of_sqlite(file, refused, holders_of(file))


def _require_writable(place: Path) -> None:
    needed = os.R_OK | os.W_OK | (os.X_OK if place.is_dir() else 0)
    if not os.access(place, needed):
        read_only = os.statvfs(place).f_flag & os.ST_RDONLY
        why = "its disk is mounted read-only" if read_only else "permission denied"
        raise TroubleError(unwritable(place, why))


def _require_database(file: Path) -> None:
    try:
        with file.open("rb") as content:
            begins = content.read(len(SQLITE_MAGIC)) if file.is_file() else b"-"
    except OSError as error:
        raise TroubleError(unwritable(file, str(error))) from None
    if begins not in (b"", SQLITE_MAGIC):
        raise TroubleError(no_database(file, "file is not a database"))
