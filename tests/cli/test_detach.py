"""A run that goes behind: refusals come first, and nothing but a stop ends it."""

from __future__ import annotations

import json
import os
import time

import pytest

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.launch.behind import Begun, Ended, ended, go_behind
from bios_sweep.records.lock import live_owner
from bios_sweep.records.workspace import Workspace

SMALL = (
    "sweeps=learning_rate",
    "sweeps.factors.learning_rate.multiply=[2]",
    "model=planted",
    "seeds=[0,1]",
    "decision.looks=[2]",
    "tracking=none",
    "cluster=inline",
)
PATIENCE_SECONDS = 120


def until_free(root) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while live_owner(Workspace(root)) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)  # waiting for another process, not for luck


def test_a_detached_run_says_how_to_watch_and_stop_it_and_ends_with_its_verdicts(tmp_path, capfd):
    root = tmp_path / "my runs"
    words = (*SMALL, f"workspace='{root}'", "model.planted.pause_seconds=0.05")
    assert main(["run", "--detach", "--json", *words]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["watch"] == f"bios-sweep status --watch 'workspace={root}'"
    assert live_owner(Workspace(root)).pid == told["pid"]
    assert os.getsid(told["pid"]) == told["pid"], "closing the terminal does not reach it"
    until_free(root)
    os.waitpid(told["pid"], 0)
    assert bios_sweep.open(root).state.stage == "done"
    log = (root / "logs").glob("run-*.log")
    assert "4 trials ended" in next(log).read_text() or bios_sweep.open(root).verdicts


def test_what_can_be_refused_is_refused_here(tmp_path, capfd):
    assert main(["run", "--detach", *SMALL, f"workspace={tmp_path}", "seeds=[0,0]"]) == 2
    said = capfd.readouterr()
    assert said.err.startswith("bios-sweep: ")
    assert len(said.err.splitlines()) == 1
    assert not list(tmp_path.glob("logs/*"))


def test_one_that_has_nothing_left_to_run_answers_in_json(tmp_path, capfd):
    words = (*SMALL, f"workspace={tmp_path}")
    assert main(["run", *words]) == 0
    capfd.readouterr()
    assert main(["run", "--detach", "--json", *words]) == 0
    assert json.loads(capfd.readouterr().out)["verdicts"]
    assert not list(tmp_path.glob("logs/*"))


def test_one_that_is_killed_before_it_begins_is_told_with_its_signal(tmp_path, capfd, monkeypatch):
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(killed))
    assert main(["run", "--detach", *SMALL, f"workspace={tmp_path}"]) == 137
    said = capfd.readouterr().err
    assert said.startswith("bios-sweep: the run was ended by SIGKILL before its trials began")
    assert len(said.splitlines()) == 1
    assert (ended(-15), ended(3)) == (Ended(code=143, killed="SIGTERM"), Ended(code=3))


@pytest.mark.slow
def test_a_log_that_cannot_be_written_ends_nothing(tmp_path):
    begun = go_behind(["run", *SMALL, f"workspace={tmp_path}"], type(tmp_path)("/dev/full"))
    assert isinstance(begun, Begun)
    os.waitpid(begun.pid, 0)
    assert bios_sweep.open(tmp_path).state.stage == "done"
