"""A full disk ends a run once, with what has ended kept; the same command goes on when there is room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bios_sweep.cli.main import main
from bios_sweep.driver.room_left import RoomLeft
from bios_sweep.driver.view import open_sweep
from bios_sweep.errors import StorageError
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Failure, Status
from tests.driver.test_verify import PLANTED


def failed(cause: str, failure: str = Failure.STORAGE) -> TrialResult:
    return TrialResult(key="k", status=Status.FAILED, cause=cause, failure=failure)


def test_too_little_room_is_refused_before_anything_starts_with_path_sizes_and_the_way_out(tmp_path, capsys):
    root = tmp_path / "runs"
    assert main(["run", *PLANTED, f"workspace={root}", "budget.least_free_gb=1e9"]) == 4
    (told,) = capsys.readouterr().err.splitlines()[-1:]
    assert told.startswith(f"bios-sweep: workspace {root}: has ")
    assert "GB free, and at least 1e+09 GB are kept (budget.least_free_gb)" in told
    assert "`bios-sweep clean` shows what could go" in told
    assert not root.exists()
    assert main(["plan", *PLANTED, f"workspace={root}", "budget.least_free_gb=1e9", "--json"]) == 0
    assert any(told.endswith(warning) for warning in json.loads(capsys.readouterr().out)["warnings"])


@pytest.mark.parametrize("value", ["-1", "[]", "a lot", "null"])
def test_a_floor_that_is_no_number_is_refused_by_plan(value, tmp_path, capsys):
    assert main(["plan", *PLANTED, f"workspace={tmp_path}", f"budget.least_free_gb={value}"]) == 2
    assert "budget.least_free_gb: " in capsys.readouterr().err


def test_room_is_looked_at_every_few_seconds_while_trials_run():
    asked: list[Path] = []
    now = [0.0]

    def free(path: Path) -> int:
        asked.append(path)
        return 10 if now[0] < 60 else 1

    room = RoomLeft(root=Path("/ws"), least=5, free=free, clock=lambda: now[0])
    room.require()
    for _ in range(100):
        now[0] += 0.5
        room.watch(None)
    assert 15 < len(asked) < 40
    now[0] = 60.0
    with pytest.raises(StorageError, match="what has ended is kept"):
        room.watch(None)


def test_a_trial_that_failed_because_the_disk_is_full_ends_the_run_and_another_failure_does_not():
    room = RoomLeft(root=Path("/ws"), least=5, free=lambda _: 10)
    room.watch(failed("CodeError: bad", Failure.CODE))
    room.watch(failed("OSError: [Errno 5] Input/output error"))
    with pytest.raises(StorageError, match=r"a trial ended: OSError: .* No space left on device"):
        room.watch(failed("OSError: [Errno 28] No space left on device: '/ws/x'"))


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of its own, of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = (
        os.getuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
        ).returncode
    )
    if not made:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_in_the_middle_stops_once_and_the_same_command_goes_on(small_disk, capsys):
    """In a process of its own, as a run is."""
    root = small_disk / "runs"
    words = [*PLANTED, f"workspace={root}", "model.planted.examples_per_cluster=80", "budget.least_free_gb=0"]
    command = [sys.executable, "-m", "bios_sweep", "run", *words]
    stopped = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert stopped.returncode == 4, stopped.stderr
    assert "Traceback" not in stopped.stderr
    (told,) = [line for line in stopped.stderr.splitlines() if line.startswith("bios-sweep: ")]
    assert str(root) in told
    assert "No space left on device" in told or "GB free" in told
    counts = open_sweep(root).summary.counts
    assert counts.failed == 0
    assert 0 < counts.completed < 20
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert main(["run", "--json", *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["counts"]["completed"] == answer["counts"]["planned"]
    assert main(["verify", str(root)]) == 0
