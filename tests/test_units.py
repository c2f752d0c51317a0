"""A gain of a score is told in points wherever it is told, and numbers of JSON stay what they were."""

from __future__ import annotations

import json
import random
import shlex

import numpy as np
import pytest

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.decision.moderators import interaction
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.study.margins import scale_of
from bios_sweep.study.scenario import Metric
from bios_sweep.units import Own

ACCURACY = Metric(name="accuracy", direction="maximize", unit="")
RATES = {1e-4: 0.0, 5e-5: -0.03, 2e-4: 0.03, 4e-4: -0.02}  # what each gains
WORLD = (
    "sweeps=learning_rate", "model=planted", "cluster=inline", "workspace=ws", "decision.looks=[3]",
    "baseline.learning_rate=2e-4", "+method.metric=accuracy", "tracking=none",
)  # fmt: skip
AUDIT = ("report", "--full", "--from-csv", "t.csv", "--baseline", "learning_rate=0.0001")


def planted(noise, optimum, curvature):
    truth = f"truth: {{learning_rate: {{optimum: {optimum}, curvature: {curvature}}}}}"
    return f"+model.planted.metrics.accuracy={{value: 0.6, noise_percent: {noise}, {truth}}}"


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*words, code=0):
        found = main([*words])
        out, err = capsys.readouterr()
        assert found == code, err
        return out if code == 0 else err

    return call


def write(values, metric="accuracy"):
    """values: (model, rate, seed) -> its score."""
    rows = [f"{model},{rate},{seed},{value:.5f}" for (model, rate, seed), value in values.items()]
    with open("t.csv", "w") as file:  # noqa: PTH123
        file.write("\n".join([f"model,learning_rate,seed,{metric}", *rows]))


def runs(models, seeds=5):
    draw = random.Random(1)
    cells = ((m, r, s) for m in models for r in RATES for s in range(seeds))
    return {(m, r, s): models[m] + RATES[r] + draw.gauss(0, 0.002) for m, r, s in cells}


def table(gains, level):
    """An arm whose score is `gains` above that of a default at `level`, seed by seed."""
    values = {"baseline": [level] * len(gains), "x2": [level + gain for gain in gains]}
    outcomes = {
        (arm, seed): Outcome(status="completed", value=value)
        for arm, own in values.items()
        for seed, value in enumerate(own)
    }
    return ResultTable(
        arms=("baseline", "x2"), seeds=tuple(range(len(gains))), outcomes=outcomes, metric=ACCURACY
    )


def test_points_of_two_cells_compare_where_percents_of_them_do_not():
    """The same two points, over 0.5 and over 0.8: 4 % and 2.5 %."""
    noise = np.array([0.0, 0.0001, -0.0001])
    scales = tuple(scale_of("accuracy", level, points=True) for level in (0.5, 0.8))
    found = interaction(table(0.02 + noise, 0.5), table(0.02 - noise, 0.8), ("x2", "x2"), 0.05, scales=scales)
    assert found.gains == pytest.approx((2.0, 2.0))
    assert found.lower < 0 < found.upper


def test_a_score_of_a_sweep_is_told_in_points_up_to_its_tuned_file(shell, tmp_path):
    answer = json.loads(shell("run", *WORLD, planted(0.2, 4e-4, -4), "--json"))
    (verdict,) = answer["verdicts"]
    assert (verdict["verdict"], verdict["unit"]) == ("refine", "points")
    assert verdict["effect_percent"] * verdict["per_percent"] == pytest.approx(2.4, abs=0.2)
    report = (tmp_path / "ws" / "sweeps" / answer["sweep_id"] / "report.md").read_text()
    assert "gain, points" in report
    assert " %" not in report.replace("95 %", "")
    (file,) = tmp_path.glob("ws/sweeps/*/bios_defaults.json")
    item = json.loads(file.read_text())["evidence"]["learning_rate"]
    assert (item["unit"], item["per_percent"]) == (verdict["unit"], verdict["per_percent"])
    shown = shell("defaults", "diff", str(file))
    assert "gain points  bounds points" in shown
    assert "+2.4" in shown


def test_a_coarser_margin_of_a_score_is_a_command_that_takes_effect(shell):
    """Whether the margin stands in `decision`, or where several metrics are listed."""
    world = (*WORLD, planted(6.0, 2e-4, -0.5))
    listed = (
        "{accuracy: {role: decides, margin_points: 1}, eval_loss: {role: must not lose, margin_percent: 9}}"
    )
    for number, given in enumerate(["decision.margin_points=1", f"decision.metrics={listed}"]):
        first = json.loads(shell("run", *world, given, f"workspace=ws{number}", "--json"))
        step = first["verdicts"][0]["now"]["step"]
        assert step["kind"] == "a coarser margin"
        words = shlex.split(step["command"])
        assert any("margin_points" in word for word in words[-2:])
        answer = json.loads(shell(*words[1:], "--json"))
        (verdict,) = answer["verdicts"]
        assert verdict["margin"] * verdict["per_percent"] == pytest.approx(
            step["margin"] * first["verdicts"][0]["per_percent"], rel=0.02
        )


def test_points_of_a_loss_are_refused(shell):
    told = shell("plan", *WORLD[:-2], "decision.margin_points=2", code=2)
    assert "decision.margin_points: eval_loss is no share, so there are no points of it; give" in told


def test_scenarios_of_other_levels_are_averaged_in_points(shell):
    write(runs({"a": 0.5, "b": 0.8}))
    told = shell(*AUDIT)
    assert "mean gain, points" in told
    answer = json.loads(shell(*AUDIT, "--json"))
    row = next(row for row in answer["roll_up"] if row["factor"].endswith("0.0002"))
    assert (row["unit"], row["mean"]) == ("points", pytest.approx(3.0, abs=0.3))


def test_a_collapsed_run_of_a_score_lies_points_away(shell):
    values = runs({"a": 0.6}, seeds=6)
    write({cell: value - 0.2 * (cell == ("a", 2e-4, 3)) for cell, value in values.items()})
    told = " ".join(shell(*AUDIT).split())
    assert "learning_rate=0.0002 at seed 3 (-19" in told or "learning_rate=0.0002 at seed 3 (-20" in told
    assert "points from its arm's median; without it: refine (unconfirmed) (learning_rate=0.0002 +" in told


@pytest.mark.parametrize("whole", [1.0, 100.0])
def test_a_default_that_scores_nothing_is_judged_in_points(shell, whole):
    draw = random.Random(1)
    cells = ((rate, seed) for rate in (5e-5, 1e-4, 2e-4, 4e-4) for seed in range(5))
    write({("a", r, s): (r == 2e-4) * whole * (0.1 + draw.gauss(0, 0.01)) for r, s in cells}, "exact_match")
    answer = json.loads(shell(*AUDIT, "--json"))
    (verdict,) = answer["verdicts"]
    assert (verdict["verdict"], verdict["best_level"]) == ("refine (unconfirmed)", 2e-4)
    assert verdict["sentence"].startswith(("0.0002 looks better by 10.", "0.0002 looks better by 9."))
    assert "points (95 % lower bound" in verdict["sentence"]


REWARDS = {1e-4: 0.0, 5e-5: -0.3, 2e-4: 0.3, 4e-4: -0.2}
IN_ITS_OWN = ("decision.margin_absolute=0.1",)


def rewards(level, seeds=5, stage=""):
    """A reward whose default lies at `level`, of noise 0.02."""
    draw = random.Random(3)
    return [(r, s, level + REWARDS[r] + draw.gauss(0, 0.02)) for r in REWARDS for s in range(seeds)]


@pytest.mark.parametrize("level", [0.004, -0.01, -7.0, 250.0])
def test_a_reward_is_told_in_its_own_unit_whatever_its_sign(shell, level):
    write({("a", rate, seed): value for rate, seed, value in rewards(level)}, "eval_reward")
    (verdict,) = json.loads(shell(*AUDIT, *IN_ITS_OWN, "--json"))["verdicts"]
    assert (verdict["verdict"], verdict["best_level"], verdict["unit"]) == ("refine (unconfirmed)", 2e-4, "")
    assert verdict["effect_percent"] * verdict["per_percent"] == pytest.approx(0.3, abs=0.03)
    assert verdict["margin"] * verdict["per_percent"] == pytest.approx(0.1, rel=1e-3)
    told = " ".join(shell(*AUDIT, *IN_ITS_OWN).split())
    assert "better by 0." in told
    assert "smallest that matters: 0.1 learning_rate: refine (unconfirmed)" in told
    assert " %" not in told.replace("95 %", "")
    assert "points" not in told


def test_a_reward_whose_default_is_0_at_every_seed_is_judged(shell):
    write({("a", r, s): (r != 1e-4) * (REWARDS[r] + 0.01 * s) for r in REWARDS for s in range(5)}, "reward")
    (verdict,) = json.loads(shell(*AUDIT, *IN_ITS_OWN, "--json"))["verdicts"]
    assert (verdict["verdict"], verdict["per_percent"]) == ("refine (unconfirmed)", 1.0)
    assert verdict["effect_percent"] == pytest.approx(0.32)


def test_a_reward_that_crosses_0_is_refined_in_its_own_unit(tmp_path):
    """The default is about 0: above it on the shared seeds, below it on some fresh ones."""

    def train(settings, seed, report):
        draw = random.Random(seed)
        gained = {1e-4: 0.0, 2e-4: 0.3}.get(round(settings.learning_rate, 9), -0.4)
        report(step=settings.max_steps, eval_reward=0.1 * draw.gauss(0, 1) + gained + 0.01 * draw.random())

    sweep = bios_sweep.run(
        train, baseline={"learning_rate": 1e-4}, factors={"learning_rate": {"multiply": [0.5, 2, 4]}},
        metric="eval_reward", direction="maximize", seeds=[0, 1, 2], workspace=tmp_path,
        overrides=["cluster=inline", "tracking=none", *IN_ITS_OWN, "decision.looks=[3]"],
    )  # fmt: skip
    (verdict,) = sweep.verdicts
    assert (verdict.verdict, verdict.best_level, verdict.unit) == ("refine", 2e-4, "")
    assert "better by 0.3" in verdict.sentence
    report = next(tmp_path.glob("sweeps/*/report.md")).read_text()
    assert "| gain | margin |" in report
    assert " %" not in report.replace("95 %", "").split("Baseline:")[0]


def test_a_percent_that_is_given_of_a_reward_is_told_as_one(shell):
    write({("a", rate, seed): value for rate, seed, value in rewards(5.0)}, "eval_reward")
    (verdict,) = json.loads(shell(*AUDIT, "decision.margin_percent=1", "--json"))["verdicts"]
    assert "unit" not in verdict
    assert "%" in verdict["sentence"]


def test_numbers_of_an_own_unit_have_three_digits():
    told = [format(Own(value), "+.2f") for value in (0.0, 0.01234, -0.5, 12.345, 1234.5, -250.4)]
    assert told == ["+0", "+0.0123", "-0.5", "+12.3", "+1234", "-250"]


def test_a_loss_of_nothing_has_no_percent(shell):
    write({("a", r, s): 0.1 * (r == 2e-4) for r in (1e-4, 2e-4) for s in range(3)}, "eval_loss")
    (verdict,) = json.loads(shell(*AUDIT, "--json"))["verdicts"]
    assert verdict["verdict"] == "inconclusive"
    assert "its mean is 0 and has no percent" in verdict["sentence"]
