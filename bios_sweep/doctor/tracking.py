"""The tracking store that a run would record to: asked as the run asks it, and nothing is written there."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from bios_sweep.doctor.line import Line, ok, red, warning
from bios_sweep.driver.tracking import Tracking
from bios_sweep.errors import InputError
from bios_sweep.mirror.mlflow.asked import locked_now
from bios_sweep.mirror.mlflow.schema import (
    ABSENT,
    BEHIND,
    EMPTY,
    look,
    sqlite_file,
)
from bios_sweep.mirror.mlflow.server import HOST
from bios_sweep.mirror.mlflow.tracker import MlflowTracker, check_tracking, is_web
from bios_sweep.mirror.mlflow.web import ServerFacts, server_facts
from bios_sweep.mounts import mount_of
from bios_sweep.records.workspace import Workspace
from bios_sweep.trouble import TroubleError

UI_PORT = 5000
WAY_OUT = "or run with tracking=none: the journal has everything, `bios-sweep sync` brings it over later"
ON_NETWORK = (
    "start `mlflow server` and give tracking.uri=http://HOST:5000, or a file on a disk of this machine"
)


def tracking_lines(tracking: Tracking, workspace: Workspace) -> tuple[tuple[Line, ...], ServerFacts | None]:
    """Lines on the tracker, and what a server tells of itself."""
    tracker = tracking.tracker
    if tracker is None:
        return (ok("tracking", "off"),), None
    try:
        if isinstance(tracker, MlflowTracker):
            check_tracking(tracker.uri, workspace)  # the tracker's own check would upgrade an older store
        else:
            tracker.check()
    except TroubleError as error:
        trouble = error.trouble
        return (red("tracking", f"{trouble.where} {trouble.what}", f"{trouble.mend}; {WAY_OUT}"),), None
    except (InputError, OSError) as error:  # OSError: a folder that we may not look into
        found = str(error).removeprefix("tracking.uri: ")
        return (red("tracking", found, f"give another tracking.uri, {WAY_OUT}"),), None
    if not isinstance(tracker, MlflowTracker):
        return (ok("tracking", f"{tracking.shown}, can be written"),), None
    if is_web(tracker.uri):
        facts = server_facts(tracker.uri)
        version = f"MLflow {facts.version}" if facts.version else "MLflow of a version it does not tell"
        return (ok("tracking", f"{tracking.shown}: {version}, answers and lets us read"),), facts
    return (*_sqlite(tracker.uri), _port()), None


def _sqlite(uri: str) -> Iterator[Line]:
    file = sqlite_file(uri)
    mount = mount_of(file)
    if mount is not None and mount.network:
        found = f"SQLite file {file} on {mount.kind} ({mount.source} at {mount.point}), a network file system"
        yield red("tracking", f"{found}: its locks are not to be relied on", ON_NETWORK)
        return
    seen = look(file)
    if seen.kind in (ABSENT, EMPTY):
        yield ok("tracking", f"{file}, to be made")
    elif trouble := locked_now(file):
        state = warning if trouble.passes else red  # a run waits for what passes
        yield state("tracking", f"{trouble.where} {trouble.what}", f"{trouble.mend}; {WAY_OUT}")
    elif seen.kind == BEHIND:
        found = f"{file} has the tables of an older MLflow (at {seen.revision or 'the first'})"
        yield warning(
            "tracking",
            f"{found}, or of one that was killed while it upgraded them",
            "a run upgrades them; copy the file first if the older MLflow is to read it",
        )
    else:
        yield ok("tracking", f"{file}, tables at {seen.revision}, can be written")


def _port() -> Line:
    """`bios-sweep ui` takes it; on macOS the system itself does (AirPlay)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, UI_PORT))
        except OSError as error:
            found = f"{HOST}:{UI_PORT} is taken ({error.strerror})"
            return warning("port of `ui`", found, "bios-sweep ui --port 5001")
    return ok("port of `ui`", f"{HOST}:{UI_PORT} is free")
