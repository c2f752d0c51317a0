"""Session folders of Rays that we start: logs and sockets, tens of megabytes each, which Ray never removes.

A run notes its own where it keeps Tune's files, and takes folder and note away when it ends well. What a run
left that failed or was killed is removed by the next one. Nobody else's session is touched.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import ClusterError

SESSION = re.compile(r"session_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d+_(\d+)")  # by Ray: when, and which process
NOTE = ".session.json"
SLOTS = re.compile(r"slots-\d{8}-\d{6}-(\d+)-[0-9a-f]+")  # Tune's folder of a run: when, and which process

SHORT = Path("/tmp")  # where every machine lets its users write
SOCKET_BYTES = 103 if sys.platform == "darwin" else 107  # of a socket's path: sun_path without its end
LONGEST = len("/session_2026-12-31_23-59-59_999999_4194304/sockets/plasma_store")  # below Ray's folder


def ray_folder() -> Path:
    """Where Ray of our own keeps its sessions: below RAY_TMPDIR, else below TMPDIR, else below /tmp.

    A folder for temporary files that is too deep for the sockets of a session, as batch systems make them, is
    passed over.

    Raises:
        ClusterError: RAY_TMPDIR is too deep.
    """
    asked, given = os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR")
    folder = Path(asked or given or SHORT).absolute() / "ray"
    over = len(os.fsencode(folder)) + LONGEST - SOCKET_BYTES
    if over > 0 and asked:
        raise ClusterError(
            f"RAY_TMPDIR={asked}: is {over} bytes too long for Ray's sockets; choose a shorter path, "
            "or unset it"
        )
    return folder if over <= 0 else SHORT / "ray"


@dataclass(frozen=True, kw_only=True)
class DeadSession:
    """A session folder whose driver is gone, and the note that says it was ours."""

    note: Path
    folder: Path

    def remove(self) -> None:
        """Free the disk; what cannot be removed keeps its note."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if not self.folder.exists():
            self.note.unlink(missing_ok=True)


def note_session(notes: Path, folder: Path) -> DeadSession | None:
    """Remember that the session in `folder` is this process's; None where Ray calls it otherwise."""
    if SESSION.fullmatch(folder.name) is None:
        return None
    note = notes / f"{folder.name}{NOTE}"
    values = {"host": socket.gethostname(), "pid": os.getpid(), "folder": str(folder)}
    write_atomically(note, json.dumps(values) + "\n")
    return DeadSession(note=note, folder=folder)


def dead_sessions(notes: Path) -> list[DeadSession]:
    """Those of this host and user whose driver does not live any more."""
    found = []
    for note in sorted(notes.glob(f"*{NOTE}")) if notes.is_dir() else ():
        try:
            values = json.loads(note.read_text(encoding="utf-8"))
            host, pid, folder = str(values["host"]), int(values["pid"]), Path(values["folder"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        named = SESSION.fullmatch(folder.name)
        if named and host == socket.gethostname() and not lives(pid) and _is_ours(folder):
            found.append(DeadSession(note=note, folder=folder))
    return found


def dead_slots(folder: Path) -> list[Path]:
    """Tune's folders of runs that are over. folder: of a workspace that nobody drives, or we do."""
    there = folder.iterdir() if folder.is_dir() else iter(())
    named = ((path, SLOTS.fullmatch(path.name)) for path in there if path.is_dir())
    return sorted(path for path, name in named if name and int(name[1]) != os.getpid())


def lives(process: int) -> bool:
    """Whether a process of this machine is there, be it another user's."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _is_ours(folder: Path) -> bool:
    """Of this user, and no link that leads elsewhere; one that is gone is nobody's any more."""
    try:
        return not folder.is_symlink() and folder.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return True
    except OSError:
        return False
