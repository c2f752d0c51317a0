"""What an audit says is what its bounds show: no more, and no less."""

from __future__ import annotations

import re

from tests.audit.conftest import csv_of, runs_of, words

LR = ("--baseline", "lr=2e-4", "decision.margin_percent=0.5")
EDGE = {"1e-4": 0.03, "2e-4": 0.0, "4e-4": -0.02, "8e-4": -0.5}


def test_a_better_level_at_the_edge_is_better_and_only_the_optimum_is_open(audited):
    answer = audited(csv_of(runs_of(EDGE)), *LR)
    assert words(answer) == {"learning_rate": "inconclusive"}
    assert "0.0008 is better than 0.0002" in answer["verdicts"][0]["sentence"]
    assert "only where the best lies is open" in answer["verdicts"][0]["sentence"]
    assert any(
        one.startswith("learning_rate: better than the default: ") for one in answer["audit"]["supports"]
    )
    assert not any("nor that another level is better" in one for one in answer["audit"]["does_not_support"])


def test_an_insensitive_study_still_shows_its_upper_bounds(audited):
    answer = audited(csv_of(runs_of(dict.fromkeys(EDGE, 0.0))), *LR)
    assert words(answer) == {"learning_rate": "inconclusive"}
    assert "no tested level gains 0.50 % or more" in answer["verdicts"][0]["sentence"]
    assert any("no tested level gains 0.50 %" in one for one in answer["audit"]["supports"])
    assert answer["audit"]["does_not_support"][0].startswith("learning_rate: that the default is right")


def test_a_candidate_below_the_margin_is_not_called_refine(audited):
    effects = {"1e-4": 0.03, "2e-4": 0.0, "4e-4": -0.0045, "8e-4": 0.03}
    answer = audited(csv_of(runs_of(effects, noise=0.0017, number=8)), *LR)
    (level,) = (row for row in answer["verdicts"][0]["levels"] if row["label"] == "0.0004")
    assert 0 < level["lower"] < level["gain"] < 0.5 < level["upper"]
    assert words(answer) == {"learning_rate": "inconclusive"}
    assert (
        "better than the default, but a gain of 0.50 %, which would matter, is not shown"
        in answer["verdicts"][0]["sentence"]
    )


def test_worse_is_said_corrected_for_all_that_were_tried(audited):
    many = {f"{n}e-5": 0.0 for n in range(1, 41) if n != 20} | {"2e-4": 0.0}
    told = 0
    for number in range(12):
        supports = audited(csv_of(runs_of(many, number=number, noise=0.01)), *LR)["audit"]["supports"]
        told += any("worse than the default, corrected for all that were tried" in one for one in supports)
    assert told <= 2  # uncorrected, one of 39 null levels is worse in nearly every table


def test_what_would_decide_names_all_open_levels_and_no_excluded_one(audited):
    effects = {"1e-4": 0.1, "2e-4": 0.0, "4e-4": -0.004, "8e-4": -0.003, "1.6e-3": 0.1}
    answer = audited(csv_of(runs_of(effects, noise=0.012, number=5)), *LR)
    found = re.search(r"run the default and learning_rate (.*) at about", answer["audit"]["settle"])
    assert found, answer["audit"]["settle"]
    assert found[1].split(", ") == ["0.0004", "0.0008"]


def test_of_values_that_moved_alone_no_more_is_denied_than_of_those_that_did_not(audited):
    """The batch sizes 16 and 128 moved alone, and 64 with a rate of its own."""
    rates = {"16": "1e-4", "32": "1e-4", "64": "4e-4", "128": "1e-4"}
    effects = {"16": 0.01, "32": 0.0, "64": -0.1, "128": 0.02}
    rows = [{"lrate": rates[str(run["bs"])], **run} for run in runs_of(effects, "bs", metric="test_loss")]
    answer = audited(csv_of(rows), "--baseline", "lrate=1e-4,bs=32")
    verdicts = {one["factor"]: one for one in answer["verdicts"]}
    assert verdicts["batch_size"]["sentence"].startswith("confounded with learning_rate")
    assert "learning_rate moved with some of its values" in verdicts["batch_size"]["advice"]
    assert "batch_size: worse than the default, corrected for all that were tried: 128" in " ".join(
        answer["audit"]["supports"]
    ).replace("16, 128", "128")
    denied = answer["audit"]["does_not_support"]
    assert not any(one.startswith("batch_size: anything about this setting alone") for one in denied)
    assert "learning_rate + batch_size: anything about one of these settings alone" in denied


def test_a_level_that_moved_alone_does_not_stand_for_one_that_did_not(audited):
    """64 gains nothing; 128 gained with a rate of its own, so that not all that was tested gains nothing."""
    rates = {"32": "1e-4", "64": "1e-4", "128": "4e-4"}
    effects = {"32": 0.0, "64": -0.001, "128": -0.1}
    rows = [{"lrate": rates[str(run["bs"])], **run} for run in runs_of(effects, "bs", metric="test_loss")]
    answer = audited(csv_of(rows), "--baseline", "lrate=1e-4,bs=32")
    told = [one["sentence"] for one in answer["verdicts"]] + answer["audit"]["supports"]
    assert not any("no tested level gains" in one for one in told)


def test_two_arms_at_one_level_are_refused_by_what_tells_them_apart(audited, refused):
    rows = [
        {"r": r, "lora_alpha": a, "eval_acc": 0.7 + r / 1000 + a / 10_000}
        for r, a in ((4, 4), (4, 8), (8, 8), (8, 16), (16, 16), (16, 32))
    ]
    flags = ("--baseline", "r=8,lora_alpha=16")
    sentence = refused(csv_of(rows), *flags)
    assert (
        "are both lora_rank 4 and differ in lora_alpha (" in sentence or "are both lora_rank 16" in sentence
    )
    assert "say --setting lora_alpha to ask about it for itself" in sentence
    assert set(words(audited(csv_of(rows), *flags, "--setting", "lora_alpha")).values()) == {"screening only"}


def test_names_that_one_setting_shares_are_refused(refused):
    rows = [{**run, "arm": f"{run['lr']}-{run['seed'] % 2}"} for run in runs_of(EDGE)]
    sentence = refused(csv_of(rows), "--baseline", "2e-4-0")
    assert "and no setting tells them apart; give the runs of one level one name" in sentence
