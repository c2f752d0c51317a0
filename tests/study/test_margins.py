"""Which margin holds: the purpose's, that of a file that is older than purposes, or the one that is given."""

from __future__ import annotations

import pytest

from bios_sweep.config.compose import compose_config
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.margins import MARGINS, scale_of
from tests.scenarios import PUBLISH

WORLD = ("sweeps=learning_rate", "model=planted", "cluster=inline", "tracking=none", "workspace=ws")
ACCURACY = ("+model.planted.metrics.eval_accuracy={value: 80}", "+method.metric=eval_accuracy")
OLDER = """
alpha: 0.05
looks: [3]
confirmation_seeds: 5
margin_percent: null
margin_share: null
scope: auto
cost_ratio: 1.2
speed_loss_percent: 1.0
minimum_share: 0.8
refine: null
refine_trials: 20
refine_goal: quality
guardrails: null
target: null
deadline: null
gpu_hours: null
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rule(*words, **more):
    return prepare(Invocation(overrides=(*WORLD, *words), **more)).plan.study.decision


def margins(decision):
    return {name: getattr(decision, name) for name in MARGINS if getattr(decision, name) is not None}


def begin(folder, *words):
    """What `run` leaves before its first trial: the plan, in its folder."""
    plan = prepare(Invocation(overrides=(*WORLD, *words))).plan
    (folder / "ws" / "sweeps" / plan.sweep_id).mkdir(parents=True)
    (folder / "ws" / "sweeps" / plan.sweep_id / "plan.json").write_text("{}")
    return plan.sweep_id


def test_who_says_nothing_chooses_and_an_accuracy_is_told_in_points():
    assert margins(rule()) == {"margin_percent": 1.0, "margin_share": 0.1}
    assert margins(rule(*ACCURACY)) == {"margin_points": 2.0}
    assert margins(DecisionRule()) == margins(rule())


def test_publish_halves_it_and_a_given_margin_is_kept_for_every_metric():
    assert margins(rule("decision.purpose=publish")) == {"margin_percent": 0.5, "margin_share": 0.05}
    assert margins(rule("decision.purpose=publish", *ACCURACY)) == {"margin_points": 1.0}
    for given in ("margin_percent", "margin_share", "margin_absolute"):
        for metric in ((), ACCURACY):
            assert margins(rule(f"decision.{given}=0.3", *metric)) == {given: 0.3}


def test_a_users_own_file_without_a_purpose_means_what_it_meant(folder):
    (folder / "mine" / "decision").mkdir(parents=True)
    (folder / "mine" / "decision" / "ours.yaml").write_text(OLDER)
    words = ("decision=ours",)
    assert compose_config([*WORLD, *words], folder / "mine").values["decision"]["purpose"] == "publish"
    older = rule(*words, config_dir=folder / "mine")
    assert (older.purpose, margins(older)) == ("publish", {"margin_percent": 0.5, "margin_share": 0.05})


def test_a_plan_that_names_no_purpose_was_to_publish():
    kept = {"looks": [3], "margin_percent": 0.5, "margin_share": 0.05}
    assert DecisionRule.from_dict(kept) == DecisionRule(looks=(3,), version=1, **PUBLISH)


@pytest.mark.parametrize("metric", [(), ACCURACY])
def test_a_sweep_that_began_before_goes_on_with_its_margin_unless_another_is_named(folder, metric):
    began = begin(folder, "decision.purpose=publish", *metric)
    same = prepare(Invocation(overrides=(*WORLD, *metric))).plan
    assert (same.sweep_id, same.study.decision.purpose) == (began, "publish")
    assert margins(rule(*metric, "decision.purpose=choose")) != margins(same.study.decision)
    assert margins(rule(*metric, "decision.margin_percent=1.0")) == {"margin_percent": 1.0}
    assert rule(*metric, "seeds=[7,8,9]").purpose == "choose"  # another sweep


def test_gains_of_a_score_are_told_in_points():
    share, percent = scale_of("accuracy", 0.8, points=False), scale_of("accuracy", 80.0, points=False)
    assert f"{share.told(2.5):+.2f}" == f"{percent.told(2.5):+.2f}" == "+2.00 points"
    assert f"{share.told(1.25):g}" == "1 point"
    assert share.told(2.5) == 2.5  # code compares percent, whatever is told
    assert f"{scale_of('eval_loss', 0.8, points=False).told(2.5):+.2f}" == "+2.50 %"
    assert f"{scale_of('pass_of_mine', 0.8, points=True).told(2.5):.2f}" == "2.00 points"
