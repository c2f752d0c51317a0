"""Processes that begin with MLflow loaded, so that a kill hits the making of a store, not the imports."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from mlflow.store.db import utils
from sqlalchemy import Engine, event

CONTEXT = multiprocessing.get_context("forkserver")
LOADED = (
    *("cli.run", "driver.session", "config.compose", "mirror.mlflow.mirror", "mirror.mlflow.birth"),
    *("report.text.publish", "report.text.terminal", "engines.simulation.engine"),
)
CONTEXT.set_forkserver_preload(["tests.mirror.births", *(f"bios_sweep.{name}" for name in LOADED)])
PATIENCE_SECONDS = 120


def begin(work: Callable[..., Any], *arguments: Any) -> ForkServerProcess:
    """Start it in a process of its own."""
    process = CONTEXT.Process(target=work, args=arguments)
    process.start()
    return process


def end(process: ForkServerProcess) -> int:
    """Its exit code; a signal's number is negative."""
    process.join(PATIENCE_SECONDS)
    assert process.exitcode is not None
    return process.exitcode


def killed_after(words: str) -> None:
    """Kill this process when one of its databases has done a statement that begins so."""

    @event.listens_for(Engine, "after_cursor_execute")
    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.strip().startswith(words):
            os.kill(os.getpid(), signal.SIGKILL)


def migrated_by_mlflow(file: Path, last_words: str) -> None:
    """What MLflow does to a file by itself, killed on the way."""
    killed_after(last_words)
    utils._initialize_tables(utils.create_sqlalchemy_engine(f"sqlite:///{file}"))


def made_ready(file: Path, last_words: str = "", most_bytes: int = 0) -> None:
    """What we do with a file, killed on the way or on a disk that holds no more than that."""
    from bios_sweep.mirror.mlflow.birth import make_ready

    if last_words:
        killed_after(last_words)
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    make_ready(file, ours=True, start_over=None)


def commanded(words: list[str], log: Path) -> None:
    """A command line, what it says in a file."""
    from bios_sweep.cli.main import main

    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    raise SystemExit(main(words))
