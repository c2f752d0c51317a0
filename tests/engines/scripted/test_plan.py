"""What `plan` says of a script of one's own, before anything runs."""

from __future__ import annotations

import json

import pytest

from bios_sweep.cli.main import main

WORDS = (
    "plan", "sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.5]", "seeds=[0,1]",
    "cluster=inline", "tracking=none", "baseline.learning_rate=1e-3",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train.py", "data.jsonl", "helpers.py", "unused.py"):
        (tmp_path / name).write_text("def trial(settings, seed, report): ...\n")
    return tmp_path


@pytest.mark.parametrize(
    "words, files",
    [
        (
            (
                "method=command",
                "method.inputs=[helpers.py]",
                "method.command=python3 train.py --data=data.jsonl {learning_rate} {seed}",
            ),
            ["data.jsonl", "helpers.py", "train.py"],
        ),
        (("method=python", "method.callable=train:trial"), ["train:trial"]),
        (("method=command", "method.command=echo {learning_rate} {seed}"), []),
    ],
)
def test_the_files_that_are_part_of_a_trial_are_listed(folder, capsys, words, files):
    assert main([*WORDS, *words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == files
    told = f"part of what a trial is: {', '.join(files) or 'no file'}; whatever else decides belongs in"
    assert any(line.startswith(told) for line in answer["caveats"])
    assert main([*WORDS, *words]) == 0
    assert told[:40] in capsys.readouterr().out


def test_training_of_our_own_lists_none(folder, capsys):
    assert main([*WORDS, "model=planted", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == []
    assert not any("part of what a trial is" in line for line in answer["caveats"])


def test_a_mistyped_script_is_refused_before_anything_starts(folder, capsys):
    command = "method.command=python3 trian.py {learning_rate} {seed}"
    assert main([*WORDS, "method=command", command]) == 2
    told = f"bios-sweep: method.command: there is no file 'trian.py' in {folder}; did you mean train.py?\n"
    assert capsys.readouterr().err == told
