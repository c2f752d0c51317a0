"""The written files, run for real: by bash with a `srun` that starts its words here, and by Ray's job server.

`ray symmetric-run` ends every Ray of this machine, so all of this happens in own namespaces of processes,
network and mounts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bios_sweep.cli.main import main

pytestmark = pytest.mark.slow

APART = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--mount"]
OWN = "mkdir -p /tmp/ray && mount -t tmpfs none /tmp/ray && mount -t tmpfs none /dev/shm && ip link set lo up"
STUDY = [
    "sweeps=learning_rate", "model=planted", "budget=demo", "tracking=none", "cluster.cpus_per_trial=1",
    "cluster.gpus_per_trial=0", "model.planted.pause_seconds=0.3",
]  # fmt: skip
SRUN = '#!/bin/bash\nwhile [[ "$1" == --* ]]; do shift; done\nexec "$@"\n'
SCONTROL = '#!/bin/bash\nif [ "$1" = show ]; then echo "$3"; else echo "$@" >> requeued; fi\n'
NOTICE = "{script} & job=$!; (until [ -e notice ]; do sleep 0.1; done; kill -TERM $job) & wait $job"
DEADLINE = 200.0  # seconds; a hang must fail and not hold up everything
JOB_SERVER = ("aiohttp_cors", "opencensus", "prometheus_client")  # of ray[default]


def can_be_apart() -> bool:
    return subprocess.run([*APART, "bash", "-c", OWN], capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not can_be_apart(), reason="needs the right to make namespaces (root)")


@pytest.fixture
def node(tmp_path, monkeypatch, capsys):
    """A folder that stands for a node: a Slurm of two small programs in front of the path."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "127.0.0.1",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_JOB_ID": "7",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",  # a token in the home directory would else decide it
        "RAY_AUTH_TOKEN": "t" * 32,
    }
    return Node(tmp_path, environment, capsys)


class Node:
    """Starts scripts apart, and reads what they left in the workspace."""

    def __init__(self, folder, environment, capsys):
        self.folder, self.workspace = folder, folder / "runs"
        self._environment, self._capsys = environment, capsys

    def submit(self, *words):
        place = f"workspace={self.workspace}"
        assert main(["submit", *words, *STUDY, place, "--json"]) == 0, self._capsys.readouterr().err
        return Path(json.loads(self._capsys.readouterr().out)["file"])

    def start(self, script):
        return subprocess.Popen(
            [*APART, "bash", "-c", f"({OWN}) || exit 1; {script}"],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self, job):
        """(status, output); a job that hangs is ended, with all that it started, and told apart by -9."""
        try:
            told, _ = job.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            job.kill()
            told, _ = job.communicate()
        return job.returncode, told

    def results(self):
        return len(list(self.workspace.glob("trials/*/result.json")))

    def verdicts(self, workspace):
        self._capsys.readouterr()
        assert main(["report", "--json", f"workspace={workspace}"]) == 0
        return json.loads(self._capsys.readouterr().out)["verdicts"]

    def verdicts_undisturbed(self):
        study = [
            *STUDY,
            "cluster=inline",
            "model.planted.pause_seconds=0",
            f"workspace={self.folder / 'calm'}",
        ]
        assert main(["run", *study]) == 0
        return self.verdicts(self.folder / "calm")


@needs_namespaces
def test_the_sbatch_file_stops_on_notice_is_queued_again_and_ends_with_the_same_verdicts(node):
    limits = ("submit.gpus_per_node=0", "submit.cpus_per_node=2", "submit.time='0:02:00'")
    file = node.submit("--to", "slurm", *limits)
    job = node.start(NOTICE.format(script=f"bash {shlex.quote(str(file))}"))
    wait_until(lambda: node.results() >= 2 or job.poll() is not None)
    (node.folder / "notice").touch()
    status, told = node.ended(job)
    assert status == 143, told
    stopped = node.results()
    assert 2 <= stopped < 15
    assert (node.folder / "requeued").read_text() == "requeue 7\n"
    (node.folder / "notice").unlink()

    again = node.start(f"bash {shlex.quote(str(file))}")
    status, told = node.ended(again)
    assert status == 0, told
    assert f"{15 - stopped} trials to run, {stopped} reused" in told
    assert node.verdicts(node.workspace) == node.verdicts_undisturbed()


@needs_namespaces
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in JOB_SERVER),
    reason="needs the extra [cluster]",
)
def test_the_printed_line_and_a_job_sent_at_once_both_reach_the_verdicts(node):
    address = "http://127.0.0.1:8265"
    options = ["--to", "rayjob", "submit.wait=true", f"submit.address={address}"]
    submit = shlex.join(["bios-sweep", "submit", *options, *STUDY])
    printed, sent = node.folder / "printed", node.folder / "sent"
    listening = f"until ray job list --address {address} > /dev/null 2>&1; do sleep 1; done"
    jobs = f"{submit} --dry-run workspace={printed} | sh && {submit} --send workspace={sent}"
    status, told = node.ended(node.start(f"ray start --head --num-cpus=2 && {listening} && {jobs}"))
    assert status == 0, told
    assert "the job ended well" in told
    assert node.verdicts(printed) == node.verdicts(sent) == node.verdicts_undisturbed()


def wait_until(happened):
    until = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < until, f"nothing happened in {DEADLINE:g} s"
        time.sleep(0.1)  # waiting for another process, not for luck
