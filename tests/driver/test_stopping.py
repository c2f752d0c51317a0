from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.driver.stopping import Stop, Stopped
from bios_sweep.records.lock import DriverLock
from bios_sweep.records.workspace import Workspace

SWEEP = ["sweeps=demo", "model=planted", "seeds=[0,1]", "decision.looks=[2]", "tracking=none"]
PATIENCE_SECONDS = 150


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "runs").mkdir()
    return Workspace(tmp_path / "runs")


def hear(number):
    os.kill(os.getpid(), number)


def test_the_first_signal_asks_and_the_second_ends_at_once_with_its_number(workspace):
    with Stop(workspace) as stop:
        assert not stop.asked()
        hear(signal.SIGTERM)
        assert stop.asked()
        with pytest.raises(Stopped) as stopped:
            hear(signal.SIGINT)
        assert stopped.value.signal == signal.SIGINT
    assert isinstance(stopped.value, KeyboardInterrupt), "so that nothing takes it for a trial's failure"


def test_an_interrupt_that_lost_its_number_on_the_way_gets_it_back(workspace):
    def through_ray():
        hear(signal.SIGTERM)
        try:
            hear(signal.SIGTERM)
        except Stopped:
            raise KeyboardInterrupt from None

    with pytest.raises(Stopped) as stopped, Stop(workspace):
        through_ray()
    assert stopped.value.signal == signal.SIGTERM


def test_what_is_held_is_finished_before_the_run_ends(workspace):
    written = []

    def record(stop):
        hear(signal.SIGINT)
        with stop.deferred():
            hear(signal.SIGINT)
            written.append("result")
            written.append("its line in the journal")
        written.append("never")

    with Stop(workspace) as stop, pytest.raises(Stopped):
        record(stop)
    assert written == ["result", "its line in the journal"]


def test_stop_now_reaches_a_run_that_is_deep_in_a_step(workspace):
    with Stop(workspace) as stop:
        workspace.request_stop(now=True)
        with pytest.raises(Stopped) as stopped:
            time.sleep(PATIENCE_SECONDS)
    assert (stopped.value.signal, stop.signal) == (signal.SIGTERM, signal.SIGTERM)
    assert not workspace.stop_requested()


def test_stop_without_now_waits_for_the_step(workspace):
    with Stop(workspace) as stop:
        workspace.request_stop()
        assert not workspace.stop_requested(now=True)
        time.sleep(0.6)  # longer than the disk is not looked at
        assert stop.asked()
        assert stop.signal == signal.SIGTERM


def test_a_request_made_before_a_run_does_not_stop_it(workspace):
    workspace.request_stop(now=True)
    with Stop(workspace) as stop:
        time.sleep(0.6)  # longer than the disk is not looked at
        assert not stop.asked()


def test_a_request_made_while_a_run_starts_stops_it(workspace):
    with DriverLock(workspace, "demo"):
        workspace.request_stop()
        with Stop(workspace) as stop:
            assert stop.asked()


def test_a_request_meant_for_the_driver_before_does_not_stop_the_next_one(workspace):
    workspace.request_stop()
    long_ago = time.time() - 60
    os.utime(workspace.stop_file, (long_ago, long_ago))
    with DriverLock(workspace, "demo"), Stop(workspace) as stop:
        assert not stop.asked()


def started(root: Path, cluster: str, pause_seconds: float) -> subprocess.Popen[str]:
    """A driver in a process of its own that has begun its first trial."""
    command = [sys.executable, "-m", "bios_sweep", "run", *SWEEP, f"cluster={cluster}", f"workspace={root}"]
    driver = subprocess.Popen(
        [*command, f"model.planted.pause_seconds={pause_seconds}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list(root.glob("trials/*/checkpoint.jsonl")):
        assert time.monotonic() < deadline
        assert driver.poll() is None
        time.sleep(0.05)  # waiting for another process, not for luck
    return driver


@pytest.mark.parametrize("cluster", ["inline", pytest.param("ray", marks=pytest.mark.slow)])
def test_stop_now_leaves_a_long_step_and_the_same_command_goes_on(cluster, tmp_path, capsys):
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    driver = started(stopped, cluster, pause_seconds=60)
    began = time.monotonic()
    assert main(["stop", "--now", f"workspace={stopped}"]) == 0
    assert "stop at once" in capsys.readouterr().out
    _, said = driver.communicate(timeout=PATIENCE_SECONDS)
    assert driver.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - began < 30
    assert "the same command goes on from here" in said
    for root in (stopped, undisturbed):
        assert main(["run", *SWEEP, "cluster=inline", f"workspace={root}"]) == 0
    one, other = (
        {(trial["arm"], trial["seed"]): trial["value"] for trial in bios_sweep.open(root).trials}
        for root in (stopped, undisturbed)
    )
    assert one == other
