"""Guardrails through the command line: a better loss that costs too much elsewhere is not served."""

from __future__ import annotations

import json

import pytest

from bios_sweep.cli.main import main
from bios_sweep.study.metric_names import direction_of

SCORE = "+model.planted.metrics.score"


@pytest.fixture
def run(tmp_path, capsys):
    def answer(*words, code=0):
        command = ["run", "sweeps=learning_rate", "model=planted", "cluster=inline", "--json"]
        command += ["decision.looks=[3]", f"workspace={tmp_path}"]
        found = main([*command, *words])
        out, err = capsys.readouterr()
        assert found == code, err
        return json.loads(out)["verdicts"][0] if code == 0 else err

    return answer


def metric(lost_per_doubling, noise=0.1):
    """A score of 50, larger is better, that falls for every doubling of the learning rate beyond 4e-4."""
    truth = f"{{learning_rate: {{critical: 0.0004, cost: {-lost_per_doubling}}}}}"
    return f"{SCORE}={{value: 50, noise_percent: {noise}, truth: {truth}}}"


def test_a_level_that_loses_too_much_in_the_guardrail_is_not_served(run):
    verdict = run(metric(3.0), "+decision.guardrails.score=1")
    assert (verdict["verdict"], verdict["served"]) == ("inconclusive", None)
    (reason,) = verdict["reasons"]
    assert reason.startswith("guardrail score: -")
    assert reason.endswith("a loss of 1 % is not excluded")


def test_a_level_that_keeps_the_guardrail_is_refined(run):
    verdict = run(metric(0.2), "+decision.guardrails.score=1")
    assert verdict["verdict"] == "refine"
    assert verdict["served"] == verdict["best_level"]


def test_without_the_guardrail_the_same_world_is_refined(run):
    assert run(metric(3.0))["verdict"] == "refine"


def test_a_metric_with_loss_in_its_name_is_better_when_smaller(run):
    rising = metric(-3.0).replace("score", "general_loss")
    assert run(rising, "+decision.guardrails.general_loss=1")["verdict"] == "inconclusive"
    falling = metric(3.0).replace("score", "general_loss")
    assert run(falling, "+decision.guardrails.general_loss=1")["verdict"] == "refine"


def test_a_guardrail_that_noise_leaves_open_is_not_kept(run):
    verdict = run(metric(0.0, noise=5.0), "+decision.guardrails.score=1")
    assert verdict["verdict"] == "inconclusive"


def test_a_metric_that_no_trial_measures_is_refused_before_the_first(run, tmp_path):
    told = run(metric(0.0), "+decision.guardrails.scores=1", code=2)
    assert "decision.guardrails.scores: no trial measures it" in told
    assert "choose from eval_loss, eval_bits_per_byte, score" in told
    assert not (tmp_path / "trials").exists()


def test_the_trainer_s_own_metrics_are_named_where_it_trains(tmp_path, capsys):
    words = ["plan", "sweeps=demo", f"workspace={tmp_path}", "+decision.guardrails.forgetting=1"]
    assert main(words) == 2
    assert "choose from eval_loss, eval_bits_per_byte, train_loss" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("recall", "maximize"),
        ("BLEU", "maximize"),
        ("pass@1", "maximize"),
        ("general_loss", "minimize"),
        ("peak_memory", "minimize"),
        ("mismatch_rate", "minimize"),
        ("accuracy_loss", None),
        ("quality", None),
    ],
)
def test_a_metric_says_which_way_is_better_by_whole_words_or_not_at_all(name, direction):
    assert direction_of(name) == direction
