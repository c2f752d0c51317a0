"""What an SQLite file holds for MLflow: it may be used as it is, be made ready, or not be used at all.

Light on purpose: a store that cannot be used must be refused before seconds are spent importing MLflow.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Set
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


def experiment_in_file(file: Path, name: str) -> tuple[str, str, str] | None:
    """Id, lifecycle and place of the files of an experiment; None where there is none, or it is not told."""
    asked = "SELECT experiment_id, lifecycle_stage, artifact_location FROM experiments WHERE name = ?"
    try:
        with closing(connect(file)) as database:
            found = database.execute(asked, (name,)).fetchone()
    except sqlite3.Error:
        return None
    return None if found is None else (str(found[0]), str(found[1]), str(found[2] or ""))


def refused_write(file: Path) -> sqlite3.Error | None:
    """Why nothing can be written to a database now; None where it can. Writes nothing."""
    try:
        with closing(connect(file)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        return error
    return None


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
