"""What can be wrong with an MLflow store, each state in its words. Pure: from what was seen to a sentence.

The rule of all: a state that ends without a hand (a server that is away, a lock, a full disk) says until
when; one that does not (a newer version, wrong credentials, a deleted experiment) says what to do, and is
not tried again meanwhile.
"""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from bios_sweep.mirror.mlflow.schema import DAMAGED, FOREIGN, NEWER, Look
from bios_sweep.secrecy import first_line
from bios_sweep.trouble import Trouble

ANSWERS, FREE, ROOM = "it answers", "it is free", "there is room"
ELSEWHERE = "give another tracking.uri"
TO_SIGN_IN = (401, 403)
TOO_MUCH = 429  # of a proxy that lets only so many requests through
FULL = (errno.ENOSPC, errno.EDQUOT)
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def of_file(file: Path, seen: Look) -> Trouble | None:
    """Why a file cannot become a store of this MLflow; None where it can. A lock is no reason: it ends."""
    if seen.kind == NEWER:
        what = f"was made by a newer MLflow (its tables are at {seen.revision}, which the installed one does "
        return Trouble(
            where=str(file), what=f"{what}not know)", mend=f"install that MLflow again, or {ELSEWHERE}"
        )
    if seen.kind == FOREIGN:
        return Trouble(where=str(file), what="holds the tables of another program", mend=ELSEWHERE)
    if seen.kind == DAMAGED:
        return no_database(file, seen.reason)
    return None


def no_database(file: Path, reason: str) -> Trouble:
    """A file that SQLite does not take for one of its own."""
    mend = "restore a copy, or move it away: `bios-sweep sync` fills a new one from the journals"
    return Trouble(where=str(file), what=f"cannot be read as an SQLite database ({reason})", mend=mend)


def locked(file: Path, holders: str) -> Trouble:
    """Another process has it. holders: who has it open, in words; empty where that cannot be told."""
    by = f"is locked by another process{f' (open in {holders})' if holders else ''}"
    return Trouble(where=str(file), what=by, mend="end that process, or wait for it", until=FREE)


def unwritable(file: Path, reason: str) -> Trouble:
    """A file, or a folder, that this user may not change."""
    who = "let this user write it (`chmod u+w`, another owner, a disk that is not mounted read-only)"
    return Trouble(where=str(file), what=f"cannot be written ({reason})", mend=f"{who}, or {ELSEWHERE}")


def no_folder(folder: Path) -> Trouble:
    """The folder in which a store would be made."""
    return Trouble(where=f"folder {folder}", what="is missing", mend=f"make it, or {ELSEWHERE}")


def of_sqlite(file: Path, error: sqlite3.Error, holders: str) -> Trouble:
    """What SQLite says when it is to write."""
    if error.sqlite_errorcode & 0xFF in BUSY:  # the lower byte is the kind of an extended code
        return locked(file, holders)
    if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
        return full(str(file))
    return unwritable(file, str(error))


def full(where: str) -> Trouble:
    """No space left."""
    return Trouble(where=where, what="has no space left on its disk", mend="make room", until=ROOM)


def half_migrated(file: Path, problem: str, *, ours: bool, strangers: str) -> Trouble:
    """MLflow was killed while it made or upgraded the tables. strangers: tables that no MLflow makes."""
    mend = "restore a copy, or move it away: `bios-sweep sync` fills a new one from the journals"
    if strangers:
        mend = f"it holds another program's tables too ({strangers}), so it stays where it is: move it away"
    elif ours:
        mend = "as the workspace's own it is set aside and filled anew by `bios-sweep sync`"
    what = f"is half-migrated, for MLflow was killed while it made or upgraded its tables ({problem})"
    return Trouble(where=str(file), what=what, mend=mend)


def older(file: Path, revision: str, address: str) -> Trouble:
    """A store of somebody's own whose upgrade MLflow leaves to its command."""
    what = f"was made by an older MLflow (its tables are at {revision})"
    return Trouble(
        where=str(file), what=what, mend=f"keep a copy of it and run `mlflow db upgrade {address}`"
    )


def away(shown: str, reason: str) -> Trouble:
    """Nobody answers at a server's address."""
    mend = "start the server, or leave tracking.uri out to record in the workspace"
    return Trouble(where=shown, what=f"cannot be reached ({reason})", mend=mend, until=ANSWERS)


def stranger(shown: str) -> Trouble:
    """Another service answers there."""
    what = "answers, but not as an MLflow server does"
    return Trouble(where=shown, what=what, mend="check host and port")


def of_status(shown: str, code: int, asked: str, way_in: str, *, known: bool) -> Trouble:
    """An HTTP status instead of an answer. known: MLflow has what was asked for, so that only it can fail."""
    if code in TO_SIGN_IN:
        return Trouble(where=shown, what=f"refuses the credentials ({code})", mend=way_in)
    what = f"answers {code} to {asked}"
    if code >= 500 or code == TOO_MUCH or (known and code != 404):
        mend = "see the server's own log (is its database up?)"
        return Trouble(where=shown, what=what, mend=mend, until=ANSWERS)
    return Trouble(where=shown, what=what, mend="give the address of an MLflow server")


def deleted(shown: str, name: str, experiment_id: str) -> Trouble:
    """An experiment that lies in MLflow's bin."""
    command = f"MLFLOW_TRACKING_URI={shown} mlflow experiments restore -x {experiment_id}"
    what = f"has experiment {name!r} no more: it was deleted in MLflow"
    return Trouble(where=shown, what=what, mend=f"bring it back with `{command}`")


def of_artifacts(shown: str, error: Exception) -> Trouble:
    """Files were not taken, though the store answers. The text is of one of many libraries."""
    what = f"does not take the files of its runs ({first_line(error)})"
    number = getattr(error, "errno", None)
    status = getattr(getattr(error, "response", None), "status_code", 500)
    if number in FULL:
        return full(f"the artifact store of {shown}")
    mend = "let whoever runs MLflow write to the place of its artifacts"
    by_hand = number is not None or status < 500
    return Trouble(where=shown, what=what, mend=mend, until="" if by_hand else "it takes them")


def of_answer(shown: str, error: Exception, status: int, way_in: str) -> Trouble:
    """A store that can be used, but did not do what was asked. status: as MLflow translates its own error."""
    words = first_line(error)
    if status in TO_SIGN_IN:
        what = f"does not let us write ({words})"
        return Trouble(where=shown, what=what, mend=f"ask for the permission to write there, or {way_in}")
    mend = "see its own log"
    return Trouble(where=shown, what=f"failed ({words})", mend=mend, until="that is mended")
