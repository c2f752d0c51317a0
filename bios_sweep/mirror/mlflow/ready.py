"""An SQLite store made usable by this MLflow, where it is not. Light as long as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bios_sweep.errors import TrackingError
from bios_sweep.mirror.mlflow.holder import holders_of
from bios_sweep.mirror.mlflow.schema import CURRENT, LOCKED, UNKNOWN, look, sqlite_file
from bios_sweep.mirror.mlflow.troubles import locked
from bios_sweep.paths import resolved


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
        TroubleError: half-migrated, another program's database, a newer MLflow's, or no database at all.
        TrackingError: locked, changed by another process meanwhile, or not upgraded though it was whole.
        OSError, SQLAlchemyError: the disk is full, or the folder cannot be written.
    """
    if not uri.startswith("sqlite:///"):
        return False, None
    file = sqlite_file(uri)
    seen = look(file)
    if seen.kind in (CURRENT, UNKNOWN):
        return False, None
    if seen.kind == LOCKED:
        raise TrackingError(locked(file, holders_of(file)).sentence)
    from bios_sweep.mirror.mlflow.birth import make_ready  # seconds that a ready store need not wait

    return make_ready(resolved(file), ours=ours, start_over=start_over)  # a link stays a link
