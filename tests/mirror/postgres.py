"""A PostgreSQL of our own, started for tests on 127.0.0.1 in a temporary folder, and killed there."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER = "mlflow"
PASSWORD = "pg-S3cret/w0rd"  # with a / so that it must be percent-encoded
ROOT_SWITCHES_TO = ("postgres", "nobody")  # PostgreSQL refuses to run as root


def missing() -> str:
    """Why no PostgreSQL can be started here, in one sentence; empty where it can."""
    if _binaries() is None:
        return "no PostgreSQL on this machine; install it with `apt-get install postgresql`"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and there is no setpriv to become another user"
    return ""


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A cluster in `folder`; `start` and `stop` may alternate."""

    binaries: Path
    folder: Path
    port: int
    as_user: tuple[str, ...]

    @property
    def uri(self) -> str:
        """The address for MLflow's `--backend-store-uri`."""
        return f"postgresql+pg8000://{USER}:{PASSWORD.replace('/', '%2F')}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Returns when it answers. Without fsync: a killed process loses nothing, only a power cut would."""
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off"
        log = self.folder / "server.log"
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", str(log), "-o", options, "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` kills every backend at once, as a crash does; the next start recovers from the log."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")

    def restart(self) -> None:
        """A crash and the start after it."""
        self.stop()
        self.start()

    def dump(self) -> str:
        """Everything it holds, as text."""
        place = ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER)
        command = [str(self.binaries / "pg_dump"), *place, "postgres"]
        known = {**os.environ, "PGPASSWORD": PASSWORD}
        done = subprocess.run(command, capture_output=True, check=True, env=known)
        return done.stdout.decode(errors="replace")

    def init(self) -> None:
        """An empty cluster that wants a password."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self.as_user:
            shutil.chown(self.folder, _other_user())
            shutil.chown(password, _other_user())
        auth = ("-A", "scram-sha-256", "--pwfile", str(password))
        self._run("initdb", "-D", str(self.folder / "data"), "-U", USER, *auth, "--no-sync", "-E", "UTF8")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.as_user, str(self.binaries / program), *arguments]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/"
        )
        assert done.returncode == 0, done.stderr.decode()


@contextmanager
def running() -> Iterator[Postgres]:
    """A fresh PostgreSQL; killed and removed at the end.

    Not in pytest's folders: they are for their owner alone, and too long for a socket's name (107 bytes).
    """
    binaries = _binaries()
    assert binaries is not None
    with tempfile.TemporaryDirectory(prefix="pg-") as home:
        server = Postgres(binaries=binaries, folder=Path(home), port=free_port(), as_user=_as_user())
        server.init()
        server.start()
        try:
            yield server
        finally:
            if (server.folder / "data" / "postmaster.pid").exists():  # a test may have left it stopped
                server.stop()


def _binaries() -> Path | None:
    found = shutil.which("postgres")
    if found is not None and (Path(found).resolve().parent / "initdb").exists():
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return debian[-1].parent if debian else None


def _as_user() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    user = _other_user()
    return ("setpriv", f"--reuid={user}", f"--regid={_group_of(user)}", "--clear-groups")


def _other_user() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in ROOT_SWITCHES_TO if user in known)


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
