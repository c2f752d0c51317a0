"""A real sweep on the embedded model, judged by its loss and by a score of its answers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bios_sweep.cli.main import main
from bios_sweep.records.workspace import Workspace

LIKENESS = """
import difflib

def likeness(prompt, completion, reference):
    return difflib.SequenceMatcher(None, completion, reference).ratio()
"""
BOTH = (
    "decision.metrics=[{name: eval_loss, role: decides}, "
    "{name: likeness, role: must not lose, direction: maximize, margin_points: 3}]"
)
TURNED = (
    "decision.metrics=[{name: eval_loss, role: must not lose, margin_percent: 3}, "
    "{name: likeness, role: decides, direction: maximize, margin_points: 3}]"
)
SCORE = ("data.score=own.py:likeness", "data.score_tokens=16")
SMALL = ("baseline.batch_size=16", "budget.measurements=1", "sweeps.factors.learning_rate.multiply=[0.01,2]")


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(LIKENESS)

    def call(verb, *words, code=0):
        found = main([verb, "sweeps=learning_rate", "cluster=inline", "workspace=ws", *words, "--json"])
        out, err = capsys.readouterr()
        assert found == code, err
        return json.loads(out)

    return call


def both_words(shell, *size):
    """The sweep by its loss with the score beside it, then the same trials the other way round."""
    by_loss = shell("run", BOTH, *SCORE, *SMALL, *size)
    by_score = shell("run", TURNED, *SCORE, *SMALL, *size)
    return by_loss, by_score


def test_one_set_of_trials_is_judged_by_its_loss_and_by_the_score_of_its_answers(shell, tmp_path):
    size = ("data.eval_examples=24", "budget.max_steps=4", "decision.looks=[2]", "tracking=none")
    size += ("decision.confirmation_seeds=0", "decision.undecidable=run")
    by_loss, by_score = both_words(shell, *size)
    assert by_loss["counts"]["completed"] == by_score["counts"]["completed"] == 6
    assert by_loss["judged_on"] == "eval_loss, smaller is better"
    assert by_score["judged_on"] == "likeness, larger is better"
    assert by_score["margin"]["absolute"] == pytest.approx(0.03)
    assert {row["metric"] for row in by_loss["beside"]} == {"likeness"}
    assert {row["metric"] for row in by_score["beside"]} == {"eval_loss"}
    assert {row["clusters"] for row in by_score["beside"]} == {row["clusters"] for row in by_loss["beside"]}
    assert len(list(Workspace(tmp_path / "ws").trials.glob("*/score.npz"))) == 6


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_rate_that_learns_nothing_is_told_by_the_loss_and_by_the_answers(shell, tmp_path):
    """At a hundredth of the rate nothing is learnt in 50 steps: worse in both metrics, at every seed."""
    size = ("data.eval_examples=150", "budget.max_steps=50", "decision.looks=[3]", "tracking=sqlite")
    size += ("decision.confirmation_seeds=2", "decision.undecidable=run")
    by_loss, by_score = both_words(shell, *size)
    for answer in (by_loss, by_score):
        (verdict,) = answer["verdicts"]
        assert answer["counts"]["failed"] == 0
        slow = next(row for row in verdict["levels"] if row["label"] == "x0.01")
        assert slow["upper"] < 0
    first, *_ = by_loss["beside"]
    assert (first["metric"], first["arm"], first["kept"]) == ("likeness", "learning_rate x0.01", False)
    assert first["upper"] < -3
    values = [np.load(path)["score"] for path in Workspace(tmp_path / "ws").trials.glob("*/score.npz")]
    assert {len(one) for one in values} == {150}
