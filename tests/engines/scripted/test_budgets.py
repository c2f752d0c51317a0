"""What a script's arms were seen to spend, through the command line's own entry: real processes."""

from __future__ import annotations

import json
import sys

import pytest

from bios_sweep.cli.main import main

SCRIPT = """
import argparse, json, math, random
parser = argparse.ArgumentParser()
parser.add_argument("--bs", type=int)
parser.add_argument("--steps", type=int, default=0)
parser.add_argument("--epochs", type=float, default=3)
parser.add_argument("--seed", type=int)
a = parser.parse_args()
steps = LAST
loss = 2.0 + random.Random(a.seed).gauss(0, 0.02) + random.Random(f"{a.seed} {a.bs}").gauss(0, 0.001)
worse = 0.05 * abs(math.log2(a.bs / 128))
print(json.dumps({"step": 0, "eval_loss": 3.0}))
print(json.dumps({TOLD, "eval_loss": loss + worse}))
"""
EPOCHS = "math.ceil(2000 * a.epochs / a.bs)"
STEP = '"step": steps'


@pytest.fixture
def sweep(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(last, *words, told=STEP, handed="", verb="run", code=0):
        (tmp_path / "train.py").write_text(SCRIPT.replace("LAST", last).replace("TOLD", told))
        command = f"{sys.executable} -S train.py --bs {{batch_size}} --seed {{seed}} {handed}"
        (tmp_path / "sweeps").mkdir(exist_ok=True)
        (tmp_path / "sweeps" / "size.yaml").write_text(
            "question: q\nfactors:\n  batch_size: {values: [64, 256], claims: [optimum]}\n"
        )
        here = ("seeds=[0,1,2]", "cluster=inline", "tracking=none", "method=command")
        given = ("--config-dir", str(tmp_path), "sweeps=size", *here)
        chosen = [*given, f"method.command={command}", "workspace=runs", *words]
        assert main([verb, *chosen, "--json"]) == code
        out, err = capsys.readouterr()
        return json.loads(out) if out else err

    return run


def line(answer, begin):
    return next(one for one in answer["caveats"] if one.startswith(begin))


def test_arms_that_trained_other_steps_than_each_other_are_not_judged(sweep):
    answer = sweep(EPOCHS, "budget.hold=steps")
    [verdict] = answer["verdicts"]
    assert verdict["verdict"] == "inconclusive"
    for told in ("47 of 1,000 at baseline", "94 of 1,000 at batch_size=64", "24 of 1,000 at batch_size=256"):
        assert told in verdict["sentence"]
    assert "hand it {max_steps}" in verdict["sentence"]
    assert "steps held equal" not in verdict["scope"]
    assert line(answer, "asked to be equal: steps (1,000")
    assert line(answer, "seen to be equal: not so; steps told by the script, 47 of 1,000")
    [held] = answer["held"]
    assert (held["asked"], held["seen"], held["quantity"]) == ("steps", "different", "steps")
    assert answer["served"] == {}


@pytest.mark.parametrize(
    ("last", "told", "seen"),
    [
        ("a.steps", STEP, "equal"),
        pytest.param("a.steps - 1", STEP, "equal", marks=pytest.mark.slow),  # counted from 0
        pytest.param("a.steps", '"step": float(steps)', "equal", marks=pytest.mark.slow),
        pytest.param("a.steps", '"global_step": float(steps)', "equal", marks=pytest.mark.slow),
        ("a.steps // 10", STEP, "alike"),
        pytest.param("a.steps * 4", STEP, "alike", marks=pytest.mark.slow),  # micro-batches
        pytest.param("a.steps", '"epoch": 3', "equal", marks=pytest.mark.slow),
        ("a.steps", '"note": 1', "not seen"),
        ("a.steps // (2 if a.bs == 256 else 1)", STEP, "different"),
        pytest.param("min(a.steps, 900)", STEP, "different", marks=pytest.mark.slow),
        ("a.steps", '"step": steps, "examples": steps * 8', "different"),  # it has a batch size of its own
    ],
)
def test_what_was_seen_of_equal_examples(sweep, last, told, seen):
    answer = sweep(last, told=told, handed="--steps {max_steps}")
    [verdict], [held] = answer["verdicts"], answer["held"]
    assert held["seen"] == seen
    assert (verdict["verdict"] == "inconclusive") == (seen == "different")
    assert ("examples held equal" in verdict["scope"]) == (seen != "different")
    assert ("not seen" in verdict["scope"]) == (seen == "not seen")
    if seen == "alike":
        assert "by one ratio in every arm" in line(answer, "seen to be equal")


@pytest.mark.slow
def test_a_script_that_stops_early_at_one_seed_is_not_judged(sweep):
    answer = sweep("a.steps - 300 * (a.seed == 1 and a.bs == 64)", handed="--steps {max_steps}")
    assert answer["verdicts"][0]["verdict"] == "inconclusive"
    assert "without stopping early" in answer["verdicts"][0]["sentence"]


def test_epochs_are_held_equal_and_handed_to_the_script(sweep):
    words = ("budget.hold=epochs", "budget.epochs=3", "data.train_examples=2000")
    answer = sweep(EPOCHS, *words, handed="--epochs {epochs}")
    [verdict], [held] = answer["verdicts"], answer["held"]
    assert verdict["verdict"] == "confirm"
    assert verdict["scope"].endswith("epochs held equal")
    assert (held["seen"], [arm["asked"] for arm in held["arms"]]) == ("equal", [46.875, 93.75, 23.4375])
    assert line(answer, "asked to be equal: epochs (3 per arm")
    plan = sweep(EPOCHS, *words, handed="--epochs {epochs}", verb="plan")
    assert [arm["steps"] for arm in plan["arms"]] == [47, 94, 24]
    assert plan["baseline"]["epochs"] == 3


def test_epochs_of_unknown_data_are_seen_in_proportion(sweep):
    answer = sweep(EPOCHS, "budget.hold=epochs", "budget.epochs=2", handed="--epochs {epochs}")
    assert answer["held"][0]["seen"] == "equal"
    assert "data.train_examples would say" in line(answer, "asked to be equal")
    assert "in proportion" in line(answer, "seen to be equal")


@pytest.mark.slow
def test_a_script_that_ignores_its_epochs_is_not_judged(sweep):
    answer = sweep("500", "budget.hold=epochs", "budget.epochs=2", handed="--epochs {epochs}")
    assert answer["verdicts"][0]["verdict"] == "inconclusive"
    assert "print them as epoch" in answer["verdicts"][0]["sentence"]


@pytest.mark.parametrize(
    ("words", "handed", "told"),
    [
        (("budget.hold=epochs",), "--epochs {epochs}", "budget.epochs: missing"),
        (("budget.hold=epochs", "budget.epochs=3"), "", "has no {epochs}"),
        ((), "--epochs {epochs}", "add budget.hold=epochs and budget.epochs=3"),
        ((), "--epochs {num_train_epochs}", "({epochs} is one where they are held equal"),
        (("budget.hold=epochs", "budget.epochs=0"), "--epochs {epochs}", "a number above 0"),
        (("budget.epochs=3",), "--steps {max_steps}", "counts with budget.hold=epochs"),
        (("budget.hold=epochs", "budget.epochs=3"), "--epochs {epochs} --steps {max_steps}", "not known"),
    ],
)
def test_epochs_that_mean_nothing_are_refused(sweep, words, handed, told):
    assert told in sweep("a.steps", *words, handed=handed, verb="plan", code=2)


def test_the_epochs_follow_from_steps_batch_and_examples(sweep):
    words = ("budget.hold=epochs", "budget.max_steps=100", "baseline.batch_size=20")
    plan = sweep(EPOCHS, *words, "data.train_examples=1000", handed="--epochs {epochs}", verb="plan")
    assert plan["baseline"]["epochs"] == 2
    assert next(arm["steps"] for arm in plan["arms"] if arm["arm"] == "baseline") == 100
