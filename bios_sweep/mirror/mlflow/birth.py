"""How an SQLite store of MLflow's comes to be: beside its place, and by one rename.

MLflow makes and upgrades its tables in hundreds of steps, each of which stays when the process is killed
after it, and it cannot go on from there. So nothing but a temporary file is ever half-made here: a new
store is made in it, an older one is copied into it and upgraded there, and the rename comes last.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Set
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from filelock import FileLock, Timeout
from mlflow.entities import Experiment, LifecycleStage
from mlflow.store.db import utils
from mlflow.store.db.base_sql_model import Base
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from mlflow.store.tracking.dbmodels.models import SqlExperiment
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from bios_sweep.atomic import sync
from bios_sweep.errors import TrackingError
from bios_sweep.mirror.mlflow.holder import holders_of
from bios_sweep.mirror.mlflow.schema import (
    ABSENT,
    EMPTY,
    LOCKED,
    Layout,
    Look,
    connect,
    is_current,
    layout,
    look,
    sqlite_address,
    sqlite_file,
    table_names,
)
from bios_sweep.mirror.mlflow.store import prepare_environment
from bios_sweep.mirror.mlflow.troubles import half_migrated, locked, of_file, older
from bios_sweep.paths import resolved
from bios_sweep.secrecy import first_line
from bios_sweep.trouble import TroubleError

LOCK_SECONDS = 60.0  # chosen: making a store takes 1-4 s here, on two busy cores
SIDE_FILES = ("-journal", "-wal", "-shm")  # https://www.sqlite.org/tempfiles.html

_one_migration = threading.Lock()  # alembic keeps the migration it is at in its module


def make_ready(file: Path, *, ours: bool, start_over: Callable[[], None] | None) -> tuple[bool, Path | None]:
    """What `ready_store` does for a file that is not ready; its words hold here."""
    prepare_environment()
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file.with_name(f".{file.name}.lock"))  # the kernel frees that of a dead process
    try:
        with _one_migration, lock.acquire(timeout=LOCK_SECONDS):
            done = _make_ready(file, ours=ours, start_over=start_over)
    except Timeout:
        raise TrackingError(
            f"{file}: another process has been making it for {LOCK_SECONDS:g} s; try again when it has ended"
        ) from None
    _forget_connections(file)
    return done


def _make_ready(file: Path, *, ours: bool, start_over: Callable[[], None] | None) -> tuple[bool, Path | None]:
    if is_current(file):
        return False, None
    seen, new = look(file), file.with_name(f".{file.name}.new")
    if seen.kind == LOCKED:
        raise TrackingError(locked(file, holders_of(file)).sentence)
    if trouble := of_file(file, seen):
        raise TroubleError(trouble)
    _discard(new)  # a killed process's
    try:
        if seen.kind == ABSENT:
            _make(new, file)
            _move_in(new, file)
            return True, None
        with closing(connect(file)) as old:
            aside = _replace(file, old, new, seen, ours=ours, start_over=start_over)
            return seen.kind == EMPTY or aside is not None, aside
    except sqlite3.Error as error:
        raise TrackingError(f"{file}: {error}; try again") from error
    finally:
        _discard(new)


def _replace(
    file: Path,
    old: sqlite3.Connection,
    new: Path,
    seen: Look,
    *,
    ours: bool,
    start_over: Callable[[], None] | None,
) -> Path | None:
    """Put the upgraded copy in the place of the old store, or a new store where that one is half-migrated."""
    mode, version = _pragma(old, "journal_mode"), _pragma(old, "data_version")
    before, strangers = layout(old), _strangers(table_names(old))
    _copy(old, new)
    try:
        complete = _migrate(new, seen)
    except Exception as error:  # alembic raises what each step raises
        if seen.kind == EMPTY:
            raise
        if before == _layout_of(seen.revision, new):  # it is whole: no kill, but the disk or MLflow
            raise TrackingError(
                f"{file}: MLflow did not upgrade it ({first_line(error)}); it is as it was, so try again, or "
                "install the MLflow that made it"
            ) from error
        if start_over is None or strangers:
            half = half_migrated(file, first_line(error), ours=ours, strangers=", ".join(strangers))
            raise TroubleError(half) from error
        _discard(new)
        _make(new, file)
        with _still(file, old, version):
            start_over()
            aside = _set_aside(file)
            _move_in(new, file)
        return aside
    if complete and not ours:
        raise TroubleError(older(file, seen.revision, sqlite_address(file)))
    _dress(new, file, mode)
    with _still(file, old, version):
        _move_in(new, file)
    return None


def _dress(new: Path, file: Path, mode: str) -> None:
    """What the old file had: how it is written, who may read it, whose it is."""
    with closing(connect(new)) as made:
        made.execute(f"PRAGMA journal_mode = {mode}")
    shutil.copymode(file, new)
    with suppress(PermissionError):  # only root may give a file to its owner
        os.chown(new, file.stat().st_uid, file.stat().st_gid)


@contextmanager
def _still(file: Path, old: sqlite3.Connection, version: str) -> Iterator[None]:
    """Nobody else writes the file in here, and nobody did since it was copied; no log lies beside it."""
    old.execute("PRAGMA journal_mode = DELETE")  # a log beside the file would be taken for the new one's
    old.execute("BEGIN EXCLUSIVE")
    if _pragma(old, "data_version") != version:
        raise TrackingError(f"{file}: another process is writing it; try again when that has ended")
    for end in SIDE_FILES:  # of a writer that was killed before it changed anything
        file.with_name(file.name + end).unlink(missing_ok=True)
    yield


def _make(new: Path, file: Path) -> None:
    """A store with the experiment that MLflow puts into every one at its first use.

    It writes its statement as text, with the current folder in it in Python's quotes: `it's mine/` is a
    syntax error there. One that is there it leaves alone.
    """
    with _engine(new) as engine:
        utils._initialize_tables(engine)
        now = int(datetime.now(UTC).timestamp() * 1000)
        with Session(engine) as session:
            session.add(
                SqlExperiment(
                    experiment_id=int(SqlAlchemyStore.DEFAULT_EXPERIMENT_ID),
                    name=Experiment.DEFAULT_EXPERIMENT_NAME,
                    artifact_location=f"{(file.parent / 'mlartifacts').as_uri()}/0",
                    lifecycle_stage=LifecycleStage.ACTIVE,
                    creation_time=now,
                    last_update_time=now,
                )
            )
            session.commit()


def _migrate(new: Path, seen: Look) -> bool:
    """Upgrade a copy; whether all tables of this MLflow had been there: then it would have refused.

    Only a store that notes no migration yet can lack the very first tables; elsewhere a table that a
    killed upgrade had in its hands would come back empty.
    """
    with _engine(new) as engine:
        complete = bool(utils._all_tables_exist(engine))
        bring: Callable[[Engine], None] = utils._upgrade_db if seen.revision else utils._initialize_tables
        bring(engine)
        if not utils._all_tables_exist(engine):
            raise TrackingError("tables are missing that its own record says are there")
    return complete


def _layout_of(revision: str, new: Path) -> Layout:
    """What a store that is whole looks like at that migration; nothing where none is noted."""
    if not revision:
        return frozenset()
    _discard(new)
    with _engine(new) as engine:
        InitialBase.metadata.create_all(engine)
        config = utils._get_alembic_config(str(engine.url))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    with closing(connect(new)) as whole:
        return layout(whole)


@contextmanager
def _engine(new: Path) -> Iterator[Engine]:
    """Connections that wait for no disk: what is half-done is thrown away, what is done is flushed once."""
    engine = utils.create_sqlalchemy_engine(sqlite_address(new))
    event.listen(engine, "connect", lambda raw, _record: raw.execute("PRAGMA synchronous = OFF"))
    try:
        yield engine
    finally:
        engine.dispose()


def _copy(old: sqlite3.Connection, new: Path) -> None:
    old.execute("BEGIN")
    old.execute("SELECT 1 FROM sqlite_master").fetchall()  # says if it is locked; copying would wait for ever
    with closing(sqlite3.connect(new)) as copy:
        old.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    old.execute("COMMIT")


def _move_in(new: Path, file: Path) -> None:
    """All of it on the disk, then the name; a log without a store would be played back into the new one."""
    if not file.exists():
        _set_aside(file)
    sync(new)
    new.replace(file)
    sync(file.parent)


def _set_aside(file: Path) -> Path:
    """Rename a store, and what lies beside it; the new place."""
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    aside = file.with_name(f"{file.stem}-set-aside-{time}{file.suffix}")
    for end in ("", *SIDE_FILES):
        with suppress(FileNotFoundError):
            file.with_name(file.name + end).rename(aside.with_name(aside.name + end))
    return aside


def _discard(new: Path) -> None:
    for end in ("", *SIDE_FILES):
        new.with_name(new.name + end).unlink(missing_ok=True)


def _forget_connections(file: Path) -> None:
    """MLflow keeps connections for the life of a process; those to the old file would go on with it."""
    for uri, engine in list(getattr(SqlAlchemyStore, "_engine_map", {}).items()):
        if resolved(sqlite_file(uri)) == file:
            engine.dispose()


def _strangers(tables: Set[str]) -> list[str]:
    """Tables that no MLflow makes."""
    own = {"alembic_version", *InitialBase.metadata.tables, *Base.metadata.tables}
    return sorted(name for name in tables if name.removeprefix("_alembic_tmp_") not in own)


def _pragma(database: sqlite3.Connection, name: str) -> str:
    return str(database.execute(f"PRAGMA {name}").fetchone()[0])
