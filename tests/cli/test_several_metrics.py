"""Several metrics through the command line: one decides, the others must not lose, all are shown."""

from __future__ import annotations

import json

import pytest

from bios_sweep.cli.main import main
from bios_sweep.records.workspace import Workspace

TRUTH = "truth: {{learning_rate: {{critical: 0.0004, cost: {}}}}}"  # lost per doubling beyond
PLANTED = "+model.planted.metrics.{}={{value: 0.5, noise_percent: {}, " + TRUTH + "}}"
WORLD = (PLANTED.format("accuracy", 0.2, -3),)
KEEPS = "decision.metrics={{eval_loss: {{role: decides}}, accuracy: {{role: must not lose, {}}}}}"
SCRIPT = """
import argparse, json, math, random
p = argparse.ArgumentParser(); p.add_argument("--lr", type=float); p.add_argument("--seed", type=int)
a = p.parse_args(); off = math.log2(a.lr / 4e-4); r = random.Random(a.seed)
print(json.dumps({"step": 1000, "eval_loss": 2 + .02 * off**2 + r.gauss(0, .001),
                  "val/acc": .6 - .05 * max(0, off + 1) + r.gauss(0, .002)}))
"""


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(verb, *words, code=0, world=WORLD):
        common = ["sweeps=learning_rate", "cluster=inline", "decision.looks=[3]", "workspace=ws"]
        common += ["decision.purpose=publish"]  # the truth is made for a margin of 0.5 %
        planted = ["model=planted", *world] if world else []
        found = main([verb, *common, *planted, *words])
        out, err = capsys.readouterr()
        assert found == code, err
        return out if code == 0 else err

    return call


def test_a_level_with_a_better_loss_that_loses_in_another_metric_is_not_served(shell, tmp_path):
    answer = json.loads(shell("run", KEEPS.format("margin_points: 1"), "--json"))
    (verdict,) = answer["verdicts"]
    assert (verdict["verdict"], verdict["served"]) == ("inconclusive", None)
    assert verdict["reasons"][0].startswith("guardrail accuracy: -1.")
    assert verdict["reasons"][0].endswith(" points), and a loss of 1 point is not excluded")
    fresh = [row for row in answer["beside"] if row["stage"] == "confirmation"]
    assert [(row["arm"], row["kept"], row["unit"]) for row in fresh] == [
        ("learning_rate x2", False, "points")
    ]
    assert fresh[0]["lower"] < fresh[0]["gain"] < -1
    report = (tmp_path / "ws" / "sweeps" / answer["sweep_id"] / "report.md").read_text()
    assert "accuracy, in points: must not lose" in report
    told = "eval_loss decides; another level is served only if it does not lose in accuracy, larger is better"
    assert told in shell("plan", KEEPS.format("margin_points: 1"), "--json")


def test_a_metric_that_is_kept_lets_the_level_be_served_and_the_tuned_file_shows_it(shell, tmp_path):
    answer = json.loads(shell("run", KEEPS.format("margin_points: 3"), "--json"))
    (verdict,) = answer["verdicts"]
    assert verdict["verdict"] == "refine"
    file = tmp_path / "ws" / "sweeps" / answer["sweep_id"] / "bios_defaults.json"
    rows = json.loads(file.read_text())["metric"]["beside"]
    assert rows == answer["beside"]
    assert {row["kept"] for row in rows if row["stage"] == "confirmation"} == {True}
    assert main(["defaults", "show", "workspace=ws", "--family", "llama", "--hidden-size", "2048"]) == 0


def test_a_confirmation_is_about_the_metric_that_decides_alone(shell):
    right = ("model.planted.truth.learning_rate.optimum=0.0005",)
    answer = json.loads(shell("run", KEEPS.format("margin_points: 0.01"), *right, "--json"))
    assert answer["verdicts"][0]["verdict"] == "confirm"
    assert any(not row["kept"] for row in answer["beside"])


def test_another_metric_may_decide_and_the_loss_must_not_lose(shell, tmp_path):
    """The accuracy falls at rates above the default's and rises for none: the default stays."""
    asked = (
        "decision.metrics=[{name: accuracy, role: decides, margin_points: 1}, "
        "{name: eval_loss, role: must not lose, margin_percent: 1}]"
    )
    answer = json.loads(shell("run", asked, "--json"))
    assert (answer["judged_on"], answer["verdicts"][0]["verdict"]) == (
        "accuracy, larger is better",
        "confirm",
    )
    assert answer["margin"]["absolute"] == pytest.approx(0.01)
    assert {row["metric"] for row in answer["beside"]} == {"eval_loss"}


def test_a_sweep_of_one_metric_has_no_such_part_and_keeps_its_id(shell):
    alone, asked = (
        json.loads(shell("plan", *words, "--json"))["sweep_id"]
        for words in ((), ("decision.metrics={eval_loss: {role: decides}}",))
    )
    assert alone == asked
    assert "beside" not in json.loads(shell("run", "--json"))


def test_a_metric_that_no_trial_measures_is_refused_before_the_first(shell, tmp_path):
    err = shell("run", KEEPS.replace("accuracy", "accuracies").format("margin_points: 1"), code=2)
    assert "decision.metrics accuracies: no trial measures it; choose from eval_loss" in err
    assert not (tmp_path / "ws").exists()


def test_a_script_s_metrics_are_watched_by_their_names_and_in_the_journal(shell, tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    words = (
        "method=command", "method.command=python3 train.py --lr {learning_rate} --seed {seed}",
        "baseline.learning_rate=2e-4", "tracking=none",
        "decision.metrics=[{name: eval_loss, role: decides}, "
        "{name: val/acc, role: must not lose, margin_points: 2}]",
    )  # fmt: skip
    answer = json.loads(shell("run", *words, "--json", world=()))
    (verdict,) = answer["verdicts"]
    assert (verdict["verdict"], verdict["best_level"]) == ("inconclusive", 4e-4)
    assert verdict["reasons"][0].startswith("guardrail val/acc: -5")
    facts = json.loads(
        Workspace(tmp_path / "ws").journal_file(answer["sweep_id"]).read_text().splitlines()[0]
    )
    assert "margin_points" in json.dumps(facts)
