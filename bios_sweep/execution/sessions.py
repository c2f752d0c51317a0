"""Session folders of Rays that we started: logs and sockets, tens of megabytes each, which Ray never removes.

A run notes its own where it keeps Tune's files, and takes folder and note away when it ends well. What a run
left that failed or was killed is removed by the next one. Nobody else's session is touched.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from bios_sweep.atomic import write_atomically

SESSION = re.compile(r"session_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d+_(\d+)")  # by Ray: when, and which process
NOTE = ".session.json"
SLOTS = re.compile(r"slots-\d{8}-\d{6}-(\d+)-[0-9a-f]+")  # Tune's folder of a run: when, and which process


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
