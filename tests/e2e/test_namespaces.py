"""Across real network borders, with the very commands of docs/cluster.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.nodes import bare_environment

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "cluster.md"
SMALL = ("sweeps.factors.learning_rate.multiply=[2]", "seeds=[0,1]", "budget.max_steps=4", "tracking=none")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are made by root"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="there is no `ip`; install iproute2"),
]


def blocks() -> list[str]:
    """The shell blocks of the section on namespaces: start, run, end."""
    section = DOCUMENT.read_text().partition("## A cluster of two network namespaces")[2]
    return re.findall(r"```bash\n(.*?)```", section, re.DOTALL)


def environment(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {"DIR": str(folder), "TMPDIR": str(folder / "tmp")}  # else examples of an earlier run lie in /tmp
    behind_a_token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 32}
    return {**bare_environment(), "PATH": path, **own, **behind_a_token, "COLUMNS": "120"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A head and a worker in namespaces of their own."""
    place = Path(tempfile.mkdtemp(prefix="ns-", dir="/tmp"))  # Ray's sockets: at most 107 characters
    (place / "tmp").mkdir()
    start, _, end = blocks()
    values = environment(place)
    try:
        subprocess.run(["bash", "-euc", start], env=values, check=True, timeout=150)
        yield place
    finally:
        subprocess.run(["bash", "-c", end], env=values, check=False, timeout=60)
        shutil.rmtree(place, ignore_errors=True)


def sweep(
    folder: Path, *overrides: str, without: str = "", token: str = "t" * 32
) -> subprocess.CompletedProcess[str]:
    command = blocks()[1].strip()
    if without:
        command = re.sub(rf" {re.escape(without)}=\S+", "", command)
    return subprocess.run(
        ["bash", "-euc", f"{command} {' '.join(map(repr, (*SMALL, *overrides)))} --json"],
        env={**environment(folder), "RAY_AUTH_TOKEN": token},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_worker_that_does_not_see_the_workspace_is_found_before_the_first_trial(folder):
    done = sweep(folder, without="cluster.storage")
    assert done.returncode == 2, done.stderr
    red = {line["check"]: line for line in json.loads(done.stdout)["preflight"] if line["red"]}
    assert set(red) == {"trial files", "data"}
    assert red["trial files"]["found"] == "not what the driver sees there"
    assert red["trial files"]["node"] == "10.77.0.2"


def test_whoever_has_no_token_is_refused_before_the_first_trial(folder):
    done = sweep(folder, token="x" * 32)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "10.77.0.1:6379" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sweep_across_the_border_brings_results_and_adapters_home(folder):
    done = sweep(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    counts = answer["counts"]
    assert counts["planned"] == counts["completed"] == 4
    assert not [line for line in answer["preflight"] if line["red"]]
    trials = list((folder / "runs" / "trials").iterdir())
    assert len([trial for trial in trials if (trial / "result.json").is_file()]) == 4
    assert all((trial / "eval.npz").is_file() for trial in trials)
    left = [path for path in (folder / "shared").rglob("*") if path.is_file() and "data-" not in str(path)]
    assert left == []
