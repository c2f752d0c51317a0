"""Fixtures shared by the whole suite. Heavy packages are imported inside the fixtures that need them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.mirror import postgres
from tests.mirror.tracking_server import TrackingServer, serving

os.environ["HF_HUB_OFFLINE"] = "1"  # the tests ask nobody outside this machine


@pytest.fixture(autouse=True)
def no_credentials_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run moves an address's user and password into these variables; no test passes them on to the next."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # so that whatever stands there at the end is taken back
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="module")
def only_the_figures_that_are_looked_at(request: pytest.FixtureRequest) -> Iterator[None]:
    """Figures are two thirds of a planted sweep's time: drawn in modules marked `figures` and by commands."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("figures") is None:
            patch.setattr("bios_sweep.report.text.publish.figures_of", lambda summary: ())
        yield


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One local Ray with two CPUs for all tests: starting it costs 4-9 s. Executors leave it running."""
    import ray

    from bios_sweep.execution.ray.cluster import open_cluster, quiet_environment
    from bios_sweep.request import Request

    quiet_environment()
    open_cluster(Request(num_cpus=2))
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def tracking_server() -> Iterator[TrackingServer]:
    """One real `mlflow server`, over PostgreSQL where there is one, else SQLite: starting it takes 10 s."""
    with serving(over_postgres=not postgres.missing()) as server:
        yield server
