"""On which file system a path lies: some are no place for what needs locks."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

# Kinds whose files are on another machine, where SQLite's locks are not to be relied on
# (https://www.sqlite.org/faq.html#q5). 9p and drvfs: a virtual machine's host.
NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|drvfs|afs|lustre|gpfs|beegfs\w*|ceph|glusterfs|pvfs2|orangefs|wekafs|panfs|ocfs2|gfs2"
    r"|fuse\.(?!fuse-overlayfs|snapfuse|squashfuse|lxcfs|ntfs|exfat|mergerfs|bindfs)\w.*"
)


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A mounted file system, as /proc/self/mountinfo tells it."""

    point: Path
    kind: str
    source: str = ""

    @property
    def network(self) -> bool:
        """Whether its files are on another machine."""
        return NETWORK.fullmatch(self.kind) is not None


def mount_of(path: Path, table: Path = Path("/proc/self/mountinfo")) -> Mount | None:
    """Where a path is mounted, or will be: of a folder that is not there its parent decides."""
    try:
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    place = Path(os.path.realpath(existing(path)))
    mounts = [mount for mount in map(_mount, reversed(lines)) if mount and place.is_relative_to(mount.point)]
    # what is mounted over something comes later, and of equals `max` takes the first
    return max(mounts, key=lambda mount: len(mount.point.parts), default=None)


def _mount(line: str) -> Mount | None:
    """`ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELDS] - KIND SOURCE OPTIONS`; a space is octal 040."""
    before, dash, after = line.partition(" - ")
    fields, kind = before.split(" "), after.split(" ")
    if not dash or len(fields) < 5 or len(kind) < 2:
        return None
    point, source = (
        re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), text) for text in (fields[4], kind[1])
    )
    return Mount(point=Path(point), kind=kind[0], source=source)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there, as far as we may look."""
    return next(place for place in (path, *path.parents) if os.path.exists(place))  # noqa: PTH110 - never raises
