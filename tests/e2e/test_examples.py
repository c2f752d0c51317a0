"""The examples, swept as the documentation says: planned quickly, and run to a verdict (slow)."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bios_sweep.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ("hf_trainer", "trl_sft")
SMALL = ("cluster=inline", "tracking=none", "decision.confirmation_seeds=0")


@pytest.fixture
def sweep(tmp_path, capsys, monkeypatch):
    """A verb over an example, in the clone's root and with this Python in front, as after activation."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def verb(name: str, *words: str) -> dict[str, Any]:
        chosen = ["--config-dir", "examples", *words, *SMALL, f"workspace={tmp_path / 'runs'}", "--json"]
        assert main([name, *chosen]) == 0, capsys.readouterr().err
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return verb


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_can_be_planned_and_its_script_is_part_of_its_trials(sweep, name):
    answer = sweep("plan", f"sweeps={name}")
    assert answer["to_run"] == answer["trials"] == 7  # two arms, three seeds, and the baseline again
    assert answer["scenario"] == "embedded | embedded | command"
    assert set(answer["baseline"]) == {"learning_rate", "batch_size", "lora_rank", "max_steps"}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_reaches_its_verdict_and_honours_the_seed(sweep, name):
    if name == "trl_sft" and importlib.util.find_spec("trl") is None:
        pytest.skip("needs `pip install trl`")
    answer = sweep("run", f"sweeps={name}")
    counts = {"planned": 7, "completed": 7, "diverged": 0, "failed": 0, "waiting": 0}
    assert answer["counts"] == counts, answer["failures"]
    assert answer["verdicts"][0]["verdict"] in ("confirm", "inconclusive", "refine (unconfirmed)")
    assert any(line.startswith("the script honours the seed") for line in answer["caveats"])
    [curve, *_] = answer["curves"]["baseline"]
    assert [point["step"] for point in curve] == [0, 10]
    assert curve[0]["value"] > curve[1]["value"]
