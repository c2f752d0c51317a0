"""A real `mlflow server` over a real PostgreSQL: crashes of the database and of the server during a sweep."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from bios_sweep.cli.main import main
from bios_sweep.errors import InputError
from bios_sweep.mirror.mlflow.tracker import check_tracking
from tests.mirror import postgres
from tests.mirror.tracking_server import TrackingServer, serving
from tests.mirror.whole import check_whole

pytestmark = [
    pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing() or "there is one"),
]


def sweep(workspace: Path, url: str, *more: str, pause: float = 0.02) -> int:
    """A planted sweep of 9 trials and 10 to confirm; `pause` seconds before each of 114 measurements."""
    return main(
        [
            "run",
            *("sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[2,4]", "model=planted"),
            *("budget=demo", "tracking=sqlite"),
            *(f"workspace={workspace}", f"tracking.uri={url}", f"model.planted.pause_seconds={pause}"),
            *more,
        ]
    )


@contextmanager
def meanwhile(workspace: Path, *steps: tuple[int, Callable[[], None]]) -> Iterator[None]:
    """Each step (journal lines to wait for, what to do then), in order, beside a running sweep."""
    threads = threading.Thread(target=_take, args=(workspace, steps))
    threads.start()
    yield
    threads.join(120)
    assert not threads.is_alive(), "the sweep was over before all that was to happen had happened"


def _take(workspace: Path, steps: tuple[tuple[int, Callable[[], None]], ...]) -> None:
    deadline = time.monotonic() + 100
    for lines, act in steps:
        while (
            sum(file.read_bytes().count(b"\n") for file in workspace.glob("sweeps/*/journal.jsonl")) < lines
        ):
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        act()


def _lines_written(workspace: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in workspace.glob("sweeps/*/journal.jsonl"))


def test_a_database_that_crashes_during_a_sweep_loses_and_doubles_nothing(tracking_server, tmp_path, caplog):
    database, runs = tracking_server.database, tmp_path / "runs"
    with (
        caplog.at_level(logging.WARNING),
        meanwhile(
            runs,
            (10, database.restart),
            (25, database.restart),
            (40, database.stop),
            (80, database.start),
        ),
    ):
        assert sweep(runs, tracking_server.url) == 0
    assert "does not follow, tried again" in caplog.text, "the crashes did not reach the mirror"
    assert check_whole(runs, tracking_server.url) == 19
    database.stop()
    try:
        with pytest.raises(InputError, match="is its database up"):
            check_tracking(tracking_server.url)
    finally:
        database.start()


def away(server: TrackingServer, seconds: float) -> None:
    """The server is killed, away for a while, and back."""
    server.stop()
    threading.Event().wait(seconds)
    server.start()


@pytest.mark.slow  # the outages themselves, and Ray
@pytest.mark.parametrize("seconds, over_postgres", [(20, True), (60, True), (20, False)])
def test_a_server_away_during_a_sweep_on_many_workers_misses_and_doubles_nothing(
    seconds, over_postgres, tracking_server, tmp_path, caplog
):
    runs = tmp_path / "runs"
    with (
        caplog.at_level(logging.WARNING),
        nullcontext(tracking_server) if over_postgres else serving(over_postgres=False) as server,
        meanwhile(runs, (20, lambda: away(server, seconds))),
    ):
        options = ("cluster=ray", "cluster.num_cpus=4", "tracking.flush_seconds=90")
        assert sweep(runs, server.url, *options, pause=seconds / 30) == 0
        assert "does not follow, tried again" in caplog.text
        assert check_whole(runs, server.url) == 19


@pytest.mark.slow  # the server starts twice
def test_a_server_away_beyond_the_end_is_brought_up_by_sync(tracking_server, tmp_path, capsys):
    runs, url = tmp_path / "runs", tracking_server.url
    with meanwhile(runs, (20, tracking_server.stop)):
        assert sweep(runs, url, "tracking.flush_seconds=1") == 4
    said = capsys.readouterr().err
    place = [f"workspace={runs}", "tracking=sqlite", f"tracking.uri={url}"]
    assert "; nothing is lost, run `bios-sweep sync --sweep learning_rate-" in said
    assert f"{url} cannot be reached (" in said
    assert all(word in said for word in place)
    assert main(["sync", *place]) == 2, "the server is still away"
    tracking_server.start()
    assert main(["sync", *place]) == 0
    assert check_whole(runs, url) == 19
