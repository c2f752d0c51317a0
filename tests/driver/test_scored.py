"""`data.score` through the driver: planned, tried, priced, and part of what a trial is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bios_sweep.cli.main import main
from bios_sweep.records.reading import read_state
from bios_sweep.records.workspace import Workspace

OWN = "def likeness(prompt, completion, reference):\n    return len(set(completion) & set(reference)) / 50\n"
BOTH = (
    "decision.metrics=[{name: eval_loss, role: decides}, "
    "{name: likeness, role: must not lose, direction: maximize, margin_points: 2}]"
)


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    rows = [
        {"prompt": f"What is {i} and {i}?", "completion": f" It is {2 * i}.", "cluster": f"c{i % 7}"}
        for i in range(60)
    ]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def call(verb, *words, code=0, data=("data.path=own.jsonl", "data.eval_examples=20")):
        common = ["sweeps=learning_rate", "cluster=inline", "tracking=none", "workspace=ws", *data]
        found = main([verb, *common, *words])
        out, err = capsys.readouterr()
        assert found == code, err
        return json.loads(out) if code == 0 and "--json" in words else out if code == 0 else err

    return call


def keys(shell, tmp_path, *words):
    """What the trials are, as the plan alone shows it."""
    return shell("plan", *words, "--json")["sweep_id"]


def test_a_plan_says_what_is_scored_when_and_what_it_costs(shell):
    plan = shell("plan", "data.score=own.py:likeness", "data.score_items=12", "data.score_tokens=8", "--json")
    assert plan["scoring"] == {
        "metric": "likeness", "asked": "own.py:likeness", "items": 12, "clusters": 5, "new_tokens": 8,
        "most_tokens": plan["to_run"] * 12 * 8, "trial_seconds": None, "from_trials": 0,
    }  # fmt: skip
    told = " ".join(shell("plan", "data.score=exact_match").split())
    assert "scoring: exact_match of 20 answers, from 7 clusters, of at most 64 tokens each" in told
    assert "after the last step of every trial and once of the untouched model" in told
    assert "scoring" not in shell("plan", "--json")


def test_what_decides_a_score_is_part_of_a_trial_and_where_it_lies_is_not(shell, tmp_path):
    def sweep(*words):
        return keys(shell, tmp_path, *words)

    scored = sweep("data.score=own.py:likeness")
    assert len({sweep(), scored, sweep("data.score=exact_match")}) == 3
    for other in ("data.score_items=10", "data.score_tokens=8", "data.score_stop=[x]"):
        assert sweep("data.score=own.py:likeness", other) != scored
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "own.py").write_text(OWN)
    assert sweep("data.score=folder/own.py:likeness") == scored
    (tmp_path / "own.py").write_text(OWN.replace("50", "51"))
    assert sweep("data.score=own.py:likeness") != scored


def test_a_module_that_the_function_imports_is_part_of_it(shell, tmp_path):
    (tmp_path / "helper.py").write_text("SHARE = 50\n")
    (tmp_path / "own.py").write_text(f"from helper import SHARE\n{OWN}")
    before = keys(shell, tmp_path, "data.score=own.py:likeness")
    (tmp_path / "helper.py").write_text("SHARE = 60\n")
    assert keys(shell, tmp_path, "data.score=own.py:likeness") != before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("data.score=own.py:nothing",), "own.py:nothing: there is no function 'nothing'"),
        (("data.score=gone.py:likeness",), "data.score: there is no file 'gone.py'"),
        (("data.score=gone:likeness",), "data.score: there is no module 'gone'"),
        (("data.score=bleu",), "data.score: 'bleu' is not allowed; exact_match, pattern, FILE.py:function"),
        (("data.score=3",), "data.score: '3' is not allowed"),
        (
            ("data.score=bad.py:two",),
            "bad.py:two takes (a, b); a scorer is score(prompt, completion, reference)",
        ),
        (("data.score=bad.py:text",), "bad.py:text returned 'good', not a finite number"),
        (("data.score=bad.py:eval_loss",), "a trial has a number called 'eval_loss' already"),
        (("data.score=secret.py:f",), "holds"),
        (("data.score=pattern",), "data.score_pattern: None is not allowed; a regular expression"),
        (("data.score=pattern", "data.score_pattern='('"), "is no regular expression"),
        (("data.score=pattern", "data.score_pattern='(a)(b)'"), "has 2 groups; one says what is compared"),
        (
            ("data.score=exact_match", "data.score_items=21"),
            "data.score_items: 21, but there are 20 evaluation",
        ),
        (("data.score=exact_match", "data.score_tokens=0"), "data.score_tokens: 0 is not allowed"),
        (("data.score=exact_match", "data.score_tokens=9999"), "leave no room for a prompt"),
        (("data.score=exact_match", "data.score_stop=[1]"), "data.score_stop: [1] is not allowed"),
    ],
)
def test_what_cannot_score_is_refused_in_the_plan(shell, tmp_path, words, sentence):
    (tmp_path / "bad.py").write_text(
        "def two(a, b): ...\ndef text(a, b, c): return 'good'\ndef eval_loss(a, b, c): return 1\n"
    )
    (tmp_path / "secret.py").write_text("KEY = 'hf_" + "A1b2" * 9 + "'\ndef f(a, b, c): return 1\n")
    assert sentence in shell("plan", *words, code=2)
    assert not (tmp_path / "ws").exists()


def test_a_plain_text_has_nothing_to_answer(shell, tmp_path):
    (tmp_path / "text.jsonl").write_text("".join(f'{{"text": "line {i} of many"}}\n' for i in range(30)))
    data = ("data.path=text.jsonl", "data.eval_examples=9")
    assert "has no prompt, so there is nothing to answer" in shell(
        "plan", "data.score=exact_match", code=2, data=data
    )


def test_a_script_scores_itself(shell):
    words = ("method=command", "method.command=python3 own.py {seed}", "data.score=exact_match")
    assert "data.score" in shell("plan", *words, code=2, data=())


def test_a_sweep_keeps_the_score_beside_the_loss_with_the_error_of_its_clusters(shell, tmp_path):
    words = (
        BOTH, "data.score=own.py:likeness", "data.score_tokens=6", "budget.max_steps=3",
        "baseline.batch_size=4", "decision.looks=[2]", "decision.confirmation_seeds=0",
        "sweeps.factors.learning_rate.multiply=[0.5,2]", "budget.measurements=1",
    )  # fmt: skip
    answer = shell("run", *words, "--json")
    rows = answer["beside"]
    assert [row["arm"] for row in rows] == ["learning_rate x0.5", "learning_rate x2"]
    assert {(row["metric"], row["clusters"], row["unit"]) for row in rows} == {("likeness", 7, "points")}
    workspace = Workspace(tmp_path / "ws")
    kept = [np.load(path)["score"] for path in workspace.trials.glob("*/score.npz")]
    assert [len(values) for values in kept] == [20] * 6
    plan = shell("plan", *words, "--json")
    assert (plan["to_run"], plan["scoring"]["from_trials"]) == (0, 6)
    assert plan["scoring"]["trial_seconds"] > 0
    judged = [word for word in words if word != BOTH]
    decides = "decision.metrics={{likeness: {{role: decides, direction: maximize{}}}}}"
    assert "likeness: no margin given; only the function knows its scale" in shell(
        "plan", *judged, decides.format(""), code=2
    )
    decides = decides.format(", margin_points: 2")
    taken, (seen,) = answer["sweep_id"], shell("plan", *judged, decides, "--json")["decidable"]
    own = {path.parent.name: np.load(path)["score"] for path in workspace.trials.glob("*/score.npz")}
    trials = read_state(workspace.journal_file(taken)).trials.values()
    arms = {(one.spec.arm, one.spec.seed): own[one.spec.key] for one in trials}
    others = {arm for arm, _ in arms} - {"baseline"}
    gains = [[arms[arm, s] - arms["baseline", s] for s in (0, 1)] for arm in others]
    left = [one - np.mean(one, axis=1, keepdims=True) for one in gains]
    assert (seen["seen"], seen["differing"]) == (taken, pytest.approx(np.mean(np.square(left)), abs=1e-4))
    assert seen["decided"]  # three steps change little; who says otherwise is believed
    said = decides.replace("margin_points", "differing: 0.2, margin_points")
    assert "CANNOT BE DECIDED: likeness (decides)" in shell("run", *judged, said, code=2)
    other = shell("run", *judged, said, "decision.undecidable=run", "--json")
    assert other["judged_on"].startswith("likeness, larger is better")
    assert "20 examples of own in 7 clusters" in other["verdicts"][0]["scope"]
    assert other["counts"]["planned"] == 6
    assert len(list(workspace.trials.glob("*/score.npz"))) == 6  # the same trials, judged on another metric
