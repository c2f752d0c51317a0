"""The store of an SQLite address, made ready before MLflow sees it: it never migrates one in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bios_sweep.mirror.mlflow.addresses import sqlite_file
from bios_sweep.mirror.mlflow.schema import is_current


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
