"""MLflow's own server, started for one person on this machine: two processes instead of ten."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bios_sweep.errors import InputError, TrackingError
from bios_sweep.interpreter import APART, python
from bios_sweep.mirror.mlflow.moved import bring_home
from bios_sweep.mirror.mlflow.ready import ready_store
from bios_sweep.mirror.mlflow.schema import sqlite_file
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri, is_web
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked

HOST = "127.0.0.1"  # never the network: the server asks nobody for a password
START_SECONDS = 90.0  # chosen: it takes about 6 s here, longer on a busy disk
STOP_SECONDS = 5.0  # chosen; after that the process group is killed
LIGHT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else 10 processes and 2.4 GiB (measured on 3.17.2)
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}


@dataclass(frozen=True, kw_only=True)
class UiServer:
    """A running server; `process` leads a group of its own, so that stopping leaves nothing behind."""

    process: subprocess.Popen[bytes]
    url: str

    def __enter__(self) -> UiServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and what it started."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self.process.wait()

    def wait(self) -> int:
        """Until it ends by itself; its exit status."""
        return self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def serve_ui(workspace: Workspace, tracking_uri: str, port: int | None = None) -> UiServer:
    """Start MLflow over an SQLite store and wait until it answers. port: None takes a free one.

    What the server says goes to `ui.log` in the workspace. Leaving the `with` stops it.

    Raises:
        InputError: the address is a server already, the store is missing or cannot be used, or the port is
            taken.
        TrackingError: it ended or did not answer in time.
    """
    if is_web(tracking_uri):
        raise InputError(f"{masked(tracking_uri)} is a server already; open it in a browser")
    if not sqlite_file(tracking_uri).exists():
        raise InputError(f"{sqlite_file(tracking_uri)}: no tracking store yet; run a sweep first")
    port = _usable(port)
    ours = tracking_uri == default_tracking_uri(workspace)
    ready_store(tracking_uri, ours=ours)
    if ours:
        bring_home(workspace)
    log = workspace.root / "ui.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(tracking_uri, port),
            env={**os.environ, **LIGHT, **APART},
            cwd=workspace.root,  # uvicorn puts it before all libraries, whatever the interpreter was told
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = UiServer(process=process, url=f"http://{HOST}:{port}")
    try:
        _wait_until_healthy(server, log)
    except BaseException:
        server.stop()
        raise
    return server


def _command(tracking_uri: str, port: int) -> list[str]:
    artifacts = (sqlite_file(tracking_uri).parent / "mlartifacts").as_uri()
    return [
        *python("-m", "mlflow", "server"),
        *("--backend-store-uri", tracking_uri),
        *("--artifacts-destination", artifacts),
        *("--host", HOST, "--port", str(port), "--workers", "1"),
    ]


def _wait_until_healthy(server: UiServer, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise TrackingError(f"the MLflow server ended with status {server.process.returncode}; see {log}")
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{server.url}/health", timeout=2) as answer,
        ):
            if answer.read(16).strip() == b"OK":
                return
        time.sleep(0.1)
    raise TrackingError(f"the MLflow server did not answer within {START_SECONDS:g} s; see {log}")


def _usable(port: int | None) -> int:
    """The wanted port where nobody has it, else (None) a free one."""
    with socket.socket() as probe:
        if port is not None:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port or 0))
        except (OSError, OverflowError) as error:
            raise InputError(
                f"port {port} cannot be used ({error}); choose another, for example 5001"
            ) from error
        return int(probe.getsockname()[1])
