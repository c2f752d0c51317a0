"""What an SQLite file holds for MLflow: it may be used as it is, be made ready, or not be used at all.

Light on purpose: a store that cannot be used must be refused before seconds are spent importing MLflow.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Set
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

ABSENT = "absent"  # no file
EMPTY = "empty"  # a database without tables
CURRENT = "current"  # of this MLflow
BEHIND = "behind"  # of an older MLflow, or of one that was killed on the way
NEWER = "newer"
FOREIGN = "foreign"  # another program's
DAMAGED = "damaged"
LOCKED = "locked"
UNKNOWN = "unknown"  # this MLflow's migrations are not where we look for them: it must decide itself

WAIT_SECONDS = 5.0  # chosen: SQLite's own; a writer of MLflow's holds the file for milliseconds
REVISIONS = "store/db_migrations/versions"  # inside MLflow's package, seen in 3.17.2
NAMED = r"^{}\b[^=\n]*=(.*)$"  # of a migration script: `revision = "..."`, `down_revision = "..."`
# Among the first tables that MLflow makes, and what a migration calls it while it is rewritten.
FIRST_TABLES = {"experiments", "_alembic_tmp_experiments"}
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

Layout = frozenset[tuple[str, str]]  # tables and indices, each with its words


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen of a file. revision: the migration MLflow wrote down last, or ''. reason: SQLite's."""

    kind: str
    revision: str = ""
    reason: str = ""


def look(file: Path) -> Look:
    """Look at a file without changing it (SQLite takes back what a killed writer had not finished)."""
    if not file.exists():
        return Look(kind=ABSENT)
    try:
        with closing(connect(file)) as database:
            tables = table_names(database)
            revision = _revision(database) if "alembic_version" in tables else ""
    except sqlite3.Error as error:
        busy = error.sqlite_errorcode & 0xFF in BUSY  # the lower byte is the kind of an extended code
        return Look(kind=LOCKED if busy else DAMAGED, reason=str(error))
    return Look(kind=_kind(tables, revision, installed()), revision=revision)


def is_current(file: Path) -> bool:
    """Whether MLflow would use the file as it is."""
    return look(file).kind in (CURRENT, UNKNOWN)


def refusal(file: Path, seen: Look) -> str:
    """Why a file cannot become a store of this MLflow, and the way out; '' where it can."""
    reasons = {
        NEWER: f"was made by a newer MLflow (its tables are at {seen.revision}, which the installed one does "
        "not know); install that MLflow again, or choose another file",
        FOREIGN: "holds the tables of another program; choose another file",
        DAMAGED: f"cannot be read as an SQLite database ({seen.reason}); restore a copy, or move it away: "
        "`bios-sweep sync` fills a new one from the journals",
    }
    return f"{file}: {reasons[seen.kind]}" if seen.kind in reasons else ""


def ready_store(
    uri: str, *, ours: bool = False, start_over: Callable[[], None] | None = None
) -> tuple[bool, Path | None]:
    """Make the store of an SQLite address usable by this MLflow; every other address is left alone.

    Of several processes that come at once one does it. ours: the store is upgraded wherever it is older;
    another one only where MLflow would do so itself. start_over: called before a half-migrated store is set
    aside (renamed, never deleted) for a new one; not given, such a store is refused.

    Returns:
        Whether the store is new and empty, and where the half-migrated one lies, if it was one.

    Raises:
        HalfMigratedError: MLflow was killed while it made or upgraded the tables.
        InputError: another program's database, a newer MLflow's, or no database at all.
        TrackingError: locked, changed by another process meanwhile, or not upgraded though it was whole.
        OSError, SQLAlchemyError: the disk is full, or the folder cannot be written.
    """
    if not uri.startswith("sqlite:///") or is_current(sqlite_file(uri)):
        return False, None
    from bios_sweep.mirror.mlflow.birth import make_ready  # seconds that a ready store need not wait

    return make_ready(sqlite_file(uri).resolve(), ours=ours, start_over=start_over)  # a link stays a link


def sqlite_file(uri: str) -> Path:
    """The file of an SQLite address, in which SQLAlchemy reads `%3F` as a question mark."""
    return Path(unquote(uri.removeprefix("sqlite:///").partition("?")[0]))


def sqlite_address(file: Path) -> str:
    """The address of an SQLite file: what would mean something in an address is escaped, the rest stays."""
    return "sqlite:///" + str(file).replace("%", "%25").replace("?", "%3F")


def connect(file: Path) -> sqlite3.Connection:
    """A connection that makes no file and begins no transaction by itself."""
    address = f"{file.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS, isolation_level=None)


def table_names(database: sqlite3.Connection) -> frozenset[str]:
    """The tables, SQLite's own left out."""
    rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return frozenset(name for (name,) in rows if not name.startswith("sqlite_"))


def unwritable(file: Path) -> str:
    """Why nothing can be written to a database now, in SQLite's words; '' where it can. Writes nothing."""
    try:
        with closing(connect(file)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        return str(error)
    return ""


def layout(database: sqlite3.Connection) -> Layout:
    """Every table and index with the words that made it; the book of the migrations itself left out.

    The words are sorted: a rewritten table's constraints come in another order each time.
    """
    rows = database.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name != 'alembic_version'")
    return frozenset((name, " ".join(sorted(re.findall(r"\w+", words or "")))) for name, words in rows)


@cache
def installed() -> tuple[frozenset[str], str] | None:
    """All migrations of the installed MLflow and the last, by its scripts; None where they are unexpected."""
    found = find_spec("mlflow")
    folders = found.submodule_search_locations if found is not None else None
    scripts = sorted((Path(folders[0]) / REVISIONS).glob("[0-9a-z]*.py")) if folders else []
    texts = [script.read_text(encoding="utf-8") for script in scripts]
    known = frozenset(name for text in texts for name in _names("revision", text))
    heads = known - {name for text in texts for name in _names("down_revision", text)}
    return (known, min(heads)) if len(heads) == 1 else None


def _names(what: str, text: str) -> list[str]:
    line = re.search(NAMED.format(what), text, re.MULTILINE)
    return re.findall(r"[\"'](\w+)[\"']", line[1]) if line is not None else []


def _revision(database: sqlite3.Connection) -> str:
    """Of several (a fork that MLflow never had) all, which is a revision unknown to everybody."""
    try:
        rows = database.execute("SELECT version_num FROM alembic_version ORDER BY version_num").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # that one says: no such column
            raise
        return "?"
    return "+".join(str(row[0]) for row in rows)


def _kind(tables: Set[str], revision: str, mlflow: tuple[frozenset[str], str] | None) -> str:
    if not tables - {"alembic_version"} and not revision:
        return EMPTY
    if mlflow is None:
        return UNKNOWN
    known, head = mlflow
    if revision in known:
        return CURRENT if revision == head else BEHIND
    if not tables & FIRST_TABLES:
        return FOREIGN
    return NEWER if revision else BEHIND
