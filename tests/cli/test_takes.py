"""A study of what learns says time and memory beside quality: in the verdict, the report and its JSON."""

from __future__ import annotations

import json

import pytest

from bios_sweep.cli.main import main

WORDS = (
    "sweeps=defaults", "~sweeps.factors", "+sweeps.factors={method:{values:[full]}}", "cluster=inline",
    "tracking=none", "baseline.batch_size=4", "budget.max_steps=2", "budget.measurements=1",
    "data.eval_examples=8", "method.max_length=48", "decision.looks=[2]", "decision.confirmation_seeds=0",
    "decision.undecidable=run",
)  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    assert main(["run", *WORDS, f"workspace={folder}"]) == 0
    return folder


def told(capsys, *words):
    capsys.readouterr()
    assert main(["report", "--full", *words]) == 0
    return capsys.readouterr().out


def test_time_and_memory_of_what_learns_are_told_beside_quality(workspace, capsys):
    found = json.loads(told(capsys, f"workspace={workspace}", "--json"))
    [verdict] = found["verdicts"]
    assert 0 < verdict["cost_lower"] <= verdict["cost_ratio"] <= verdict["cost_upper"]
    memory = verdict["memory"]
    assert memory["bytes"] > memory["default_bytes"] > 0
    assert memory["measured"] is False
    baseline, full = found["takes"]
    assert (baseline["arm"], baseline["cost_ratio"], baseline["bytes"]) == (
        "baseline", 1.0, memory["default_bytes"],
    )  # fmt: skip
    assert (full["arm"], full["bytes"]) == ("method=full", memory["bytes"])
    text = " ".join(told(capsys, f"workspace={workspace}").split())
    assert "Time and memory" in text
    assert "memory of a trial, reckoned: " in text
    assert "time of full: x" in text
