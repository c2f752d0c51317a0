"""The examples, each from its sweep file to a verdict: against stand-ins, slowly what needs none."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from bios_sweep.cli.main import main

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).with_name("stand_ins")
QUIET = ("cluster=inline", "tracking=none")
SMALL = ("seeds=[0,1,2]", "decision.confirmation_seeds=0")


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """A verb where the examples are started, with the tools on the path; its answer in JSON."""
    programs = {"axolotl": "axolotl.py", "llamafactory-cli": "llamafactory_cli.py"}
    for name, file in programs.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{STAND_INS / file}' \"$@\"\n")
        program.chmod(0o755)
    own = Path(sys.executable).parent  # no link: a virtual environment is found beside its python
    paths = (tmp_path / "bin", own, os.environ["PATH"])
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, paths)))
    monkeypatch.chdir(ROOT)

    def verb(name, *words, code=0):
        words = (f"workspace={tmp_path / 'runs'}", "--config-dir", "examples", *QUIET, *words, "--json")
        assert main([name, *words]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return verb


@pytest.mark.parametrize(
    "name, read",
    [
        ("axolotl", "eval_loss was read from the dicts that it prints"),
        ("llamafactory", "eval_loss was read from trainer_state.json, the state that a Trainer left"),
    ],
)
def test_a_configuration_is_swept_to_its_verdict(shell, name, read):
    answer = shell("run", f"sweeps={name}", "baseline.learning_rate=2e-4", *SMALL)
    assert [one["verdict"] for one in answer["verdicts"]] == ["confirm"]
    assert any(line.startswith(read) for line in answer["caveats"]), answer["caveats"]


def test_preferences_and_a_setting_of_ones_own_are_swept_to_their_verdicts(shell, monkeypatch):
    paths = (STAND_INS / "libraries", STAND_INS, *os.environ.get("PYTHONPATH", "").split(os.pathsep))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    answer = shell("run", "sweeps=trl_dpo", "baseline.learning_rate=1e-4", *SMALL)
    assert {one["factor"]: one["verdict"] for one in answer["verdicts"]} == {
        "learning_rate": "confirm",
        "beta": "confirm",
    }


def test_a_key_that_the_tool_does_not_know_ends_the_run_with_its_name(shell, tmp_path):
    text = (ROOT / "examples/llamafactory/config.yaml").read_text()
    (tmp_path / "c.yaml").write_text(text.replace("cutoff_len", "cutof_len"))
    answer = shell("run", "sweeps=llamafactory", f"method.settings_template={tmp_path / 'c.yaml'}", code=3)
    assert "ValueError: Some keys are not used by the HfArgumentParser: ['cutof_len']" in answer["broken"]


@pytest.mark.slow
def test_a_script_that_scores_is_swept_to_its_verdict(shell):
    answer = shell("run", "sweeps=scorer", "budget.max_steps=4", "seeds=[0,1]")
    assert answer["metric"]["name"] == "accuracy"
    assert answer["counts"]["completed"] == answer["counts"]["planned"]
    assert len(answer["verdicts"]) == 1
