"""A real `mlflow server` for tests, by the commands of docs/tracking.md: over PostgreSQL, or else SQLite."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.mirror import postgres
from tests.mirror.postgres import Postgres

START_SECONDS = 90.0
ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


@dataclass
class TrackingServer:
    """`url` stays the same over stops and starts. database: None where the store is an SQLite file."""

    folder: Path
    store: str
    port: int
    database: Postgres | None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> int:
        """The process that leads all of the server's."""
        assert self._process is not None
        return self._process.pid

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> None:
        """Returns when it answers."""
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--artifacts-destination", self.artifacts.as_uri()),
        ]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **ENVIRONMENT, "MLFLOW_BACKEND_STORE_URI": self.store},
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill it and what it started, without grace."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def dump(self) -> str:
        """Everything in its store, as text."""
        if self.database is not None:
            return self.database.dump()
        with contextlib.closing(sqlite3.connect(self.store.removeprefix("sqlite:///"))) as connection:
            return "\n".join(connection.iterdump())

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
            return bool(answer.read(16).strip() == b"OK")
        return False


@contextmanager
def serving(*, over_postgres: bool) -> Iterator[TrackingServer]:
    """A fresh server over a fresh store; both are gone at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlflow-")))
        database = stack.enter_context(postgres.running()) if over_postgres else None
        store = f"sqlite:///{folder}/mlflow.db" if database is None else database.uri
        server = TrackingServer(folder, store, postgres.free_port(), database)
        stack.callback(server.stop)
        server.start()
        yield server
