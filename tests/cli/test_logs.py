"""`bios-sweep logs`: which trial is meant, what is shown of it, and how following ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bios_sweep.cli.main import main
from bios_sweep.records.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import json, os, sys, time
lr, seed, out = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
print("hello from", lr, seed, "\\x1b[31mred\\x1b[0m")
print("token is", os.environ.get("MY_TOKEN"), file=sys.stderr)
EXTRA
print(json.dumps({"step": 10, "eval_loss": 2.0 + seed / 100}))
"""
RUN = (
    *("sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[2]", "seeds=[0,1]", "cluster=inline"),
    *("tracking=none", "method=command", "baseline.learning_rate=1e-3", "decision.confirmation_seeds=0"),
)


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """Verbs in a folder of the user's; what they printed, and their exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_TOKEN", "a-secret-that-nobody-sees")

    def verb(*words, code=0):
        assert main([*words]) == code
        out, err = capsys.readouterr()
        return out if code == 0 else err

    return verb


def command(extra=""):
    Path("train.py").write_text(SCRIPT.replace("EXTRA", extra))
    return f"method.command={sys.executable} -S train.py {{learning_rate}} {{seed}} {{trial_dir}}"


def test_a_trial_is_found_by_its_key_in_any_sweep_and_by_arm_and_seed_in_the_latest(shell):
    shell("run", *RUN, command())
    told = json.loads(shell("logs", "--json"))
    assert [(one["arm"], one["seed"], one["stage"]) for one in told["trials"]] == [
        ("baseline", 0, "screening"), ("baseline again", 0, "control"), ("learning_rate x2", 0, "screening"),
        ("baseline", 1, "screening"), ("learning_rate x2", 1, "screening"),
    ]  # fmt: skip
    key = told["trials"][2]["key"]
    ways = (
        [key],
        [key[:6]],
        ["learning_rate x2", "seed", "0"],
        ["learning_rate x2/0"],
        ["LEARNING_RATE x2:0"],
    )
    shown = {shell("logs", *words) for words in ways}
    assert len(shown) == 1
    [text] = shown
    assert text.startswith("==> stdout.txt, attempt 1 <==\nhello from 0.002 0 red\n")
    assert "==> stderr.txt, attempt 1 <==\ntoken is ***\n" in text
    assert key in shell("logs")
    assert "is one of 2 trials, name it by its key: " in shell("logs", "baseline", code=2)
    assert "(did you mean 'baseline seed 1'?); there are " in shell("logs", "baselin seed 1", code=2)


def test_every_attempt_of_a_failed_trial_is_there_and_the_run_names_the_command(shell):
    broken = "if not os.path.exists('fixed'): raise KeyError('labels: row 37 has none')"
    error = shell("run", *RUN, command(broken), code=3)
    assert "KeyError: 'labels: row 37 has none'; its log: `bios-sweep logs " in error
    key = error.partition("bios-sweep logs ")[2].partition("`")[0]
    Path("fixed").touch()
    shell("run", *RUN, command(broken))
    told = json.loads(shell("logs", key, "--json"))
    assert (told["status"], told["cause"]) == ("completed", "")
    assert [(log["attempt"], log["name"]) for log in told["logs"]] == [
        (1, "stdout.txt"), (1, "stderr.txt"), (2, "stdout.txt"), (2, "stderr.txt"),
    ]  # fmt: skip
    assert "row 37 has none" in told["logs"][1]["text"]
    assert "row 37 has none" not in told["logs"][3]["text"]
    last = json.loads(shell("logs", key, "--json", "--lines", "1"))
    assert last["logs"][1]["text"] == "KeyError: 'labels: row 37 has none'\n"
    followed = shell("logs", key, "--follow", "--lines", "1")
    assert "==> stderr.txt, attempt 1 <==\nKeyError: 'labels: row 37 has none'\n==>" in followed
    assert "--lines: 0 is not" in shell("logs", key, "--follow", "--lines", "0", code=2)

    old = json.loads(shell("logs", "--json"))["trials"][0]
    first = json.loads(shell("status", "--json"))
    shell("run", *RUN, command("print('another script')"))
    assert "another script" in shell("logs", "baseline seed 0")
    assert "another script" not in shell("logs", old["key"][:8])
    assert "another script" not in shell("logs", "baseline seed 0", "--sweep", first["sweep_id"])


def test_what_cannot_be_shown_says_why(shell):
    assert "no sweep yet" in shell("logs", "baseline seed 0", code=2)
    shell("run", *RUN, command("sys.exit(1)"), code=3)
    assert "has not started" in shell("logs", "learning_rate x2 seed 1", code=2)
    assert "of which trial?" in shell("logs", "--follow", code=2)
    assert "leave one of the two out" in shell("logs", "baseline seed 0", "--follow", "--json", code=2)
    assert "--lines: 0 is not allowed" in shell("logs", "baseline seed 0", "--lines", "0", code=2)
    assert "nothing runs that would write one" in shell("logs", "learning_rate x2 seed 1", "--follow", code=2)


def test_following_a_trial_that_runs_ends_when_it_ends(shell, tmp_path):
    os.mkfifo("go")
    writer = os.open("go", os.O_RDWR)  # opened by both sides, nobody waits for the other
    waits = "print('waiting')\nif seed == 0 and lr < 2e-3 and os.path.exists('go'): open('go').read(1)"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    start = [sys.executable, "-m", "bios_sweep"]
    words = [*start, "run", *RUN, command(waits)]
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert any("stage screening" in line for line in driver.stdout)
        key = json.loads(shell("logs", "--json"))["trials"][0]["key"]
        follow = [*start, "logs", key[:10], "--follow"]
        with subprocess.Popen(follow, env=environ, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            assert "waiting\n" in iter(follower.stdout.readline, "")
            Path("go").unlink()
            os.write(writer, b"x")
            rest = follower.stdout.read()
            assert follower.wait(60) == 0
        driver.kill()
    assert '"eval_loss": 2.0' in rest
    assert Workspace(tmp_path / "bios_runs").read_result(key) is not None
