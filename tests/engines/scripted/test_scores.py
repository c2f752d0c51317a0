"""A script that tells a score of its own answers, to a refinement: real processes, counted in points."""

from __future__ import annotations

import json
import sys

import pytest

from bios_sweep.cli.main import main

# Every item is as hard as it is, and answers waver from seed to seed: the share that is right is the score.
SCRIPT = """
import argparse, json, math, random
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float); p.add_argument("--seed", type=int)
a = p.parse_args()
hard, waver = random.Random("items"), random.Random(f"{a.seed} {a.lr}")
skill = 0.6 - 0.05 * abs(math.log2(a.lr / 4e-4))
right = [hard.random() < skill + waver.gauss(0, 0.01) for _ in range(1500)]
print(json.dumps({"step": 0, "exact_match": 0.1}))
print(json.dumps({"step": 1000, "exact_match": sum(right) / len(right)}))
"""
SCORED = "decision.metrics=[{{name: exact_match, role: decides, margin_points: {}, items: 1500}}]"


@pytest.fixture
def sweep(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)
    command = f"{sys.executable} -S train.py --lr {{learning_rate}} --seed {{seed}}"
    chosen = (
        "sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.5,2,4]", "seeds=[0,1,2]",
        "decision.looks=[3]", "decision.confirmation_seeds=3", "baseline.learning_rate=2e-4",
        "cluster=inline", "tracking=none", "workspace=ws", "method=command", f"method.command={command}",
    )  # fmt: skip

    def call(verb, *words, code=0):
        assert main([verb, *chosen, *words, "--json"]) == code
        out, err = capsys.readouterr()
        return json.loads(out) if out else err

    return call


def test_a_script_s_score_is_refined_in_points_and_a_margin_below_its_items_starts_nothing(
    sweep,
):
    assert "CANNOT BE DECIDED: exact_match (decides) by a margin of 0.5 points on 1,500 items" in sweep(
        "run", SCORED.format(0.5), code=2
    )
    answer = sweep("run", SCORED.format(4))
    [verdict] = answer["verdicts"]
    assert answer["judged_on"] == "exact_match, larger is better"
    assert (verdict["verdict"], verdict["best_level"], verdict["unit"]) == ("refine", 4e-4, "points")
    assert verdict["sentence"].startswith("use 0.0004 instead of 0.0002: better by ")
    assert "points" in verdict["sentence"]
    assert "on 3 fresh seeds" in verdict["sentence"]
    told = verdict["effect_percent"] * verdict["per_percent"]
    assert 4.0 <= told <= 6.5  # the items were drawn for 5
    assert answer["counts"]["planned"] == 4 * 3 + 2 * 3 + 1  # and the twin that checks the seed
