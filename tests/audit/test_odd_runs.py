"""Single runs that look wrong: what is said of them, and what the verdict is without them."""

from __future__ import annotations

import pytest

from tests.audit.conftest import BETTER, WORSE, csv_of, flaw, kinds, runs_of

LR = ("--baseline", "lr=2e-4")


def points(effects, **more):
    """Of an accuracy, larger is better."""
    flipped = {name: -effect for name, effect in effects.items()}
    return runs_of(flipped, metric="accuracy", level=0.8, noise=0.003, **more)


@pytest.mark.parametrize("arm", ["2e-4", "1e-4"])
def test_a_collapsed_run_is_told_with_the_verdict_without_it(audited, arm):
    rows = points(WORSE)
    hit = next(run for run in rows if run["lr"] == arm and run["seed"] == 3)
    hit["accuracy"] = f"{float(hit['accuracy']) - 0.1:.9f}"
    answer = audited(csv_of(rows), *LR)
    assert "1 run lies far below the others of the arm" in flaw(answer, "collapsed_runs")
    told = " ".join(answer["verdicts"][0]["reasons"]) + answer["verdicts"][0]["sentence"]
    assert "at seed 3" in told
    assert "without it: confirm" in told
    assert "seeds would decide" not in told
    assert answer["audit"]["settle"].startswith("see why single runs of")


def test_noise_collapses_nothing(audited):
    for number in range(20):
        assert "collapsed_runs" not in kinds(audited(csv_of(points(WORSE, number=number)), *LR))


def test_runs_that_agree_to_the_last_digit_are_copies_and_do_not_count(audited):
    rows = runs_of(WORSE, seeds=range(8))
    rows[1]["eval_loss"] = rows[0]["eval_loss"]
    answer = audited(csv_of(rows), *LR)
    assert "line 2 and line 3 (learning_rate=0.0001, seeds 0 and 1) tell the same in every digit" in flaw(
        answer, "copies"
    )
    assert answer["verdicts"][0]["seeds"] == [0, 2, 3, 4, 5, 6, 7]


def test_a_share_of_few_items_is_no_copy(audited):
    rows = [{**run, "accuracy": round(float(run["accuracy"]) * 300) / 300} for run in points(WORSE)]
    assert "copies" not in kinds(audited(csv_of(rows), *LR))


def test_the_same_value_at_every_seed_may_be_a_coarse_metric(audited):
    coarse = {"1e-4": [0.8] * 4, "2e-4": [0.82, 0.84, 0.82, 0.82], "4e-4": [0.78, 0.76, 0.78, 0.76]}
    rows = [{"lr": lr, "seed": s, "accuracy": v} for lr, own in coarse.items() for s, v in enumerate(own)]
    told = flaw(audited(csv_of(rows), *LR), "identical_over_seeds")
    assert "its values are coarse (0.8), or the seed changed nothing there" in told
    fine = [{**run, "accuracy": 0.812345678} if run["lr"] == "1e-4" else run for run in points(BETTER)]
    assert "coarse" not in flaw(audited(csv_of(fine), *LR), "identical_over_seeds")


def test_equal_values_among_many_are_an_accident(audited):
    """Of 840 runs at six decimals two agree in every third table."""
    rates = {f"{number}e-5": 0.001 * (number - 20) ** 2 for number in range(1, 41)}
    found = [
        kinds(
            audited(
                csv_of(shortened(runs_of(rates, seeds=range(21), number=number))), "--baseline", "lr=20e-5"
            )
        )
        for number in range(4)
    ]
    assert not any("copies" in one for one in found)


def shortened(rows):
    return [{**run, "eval_loss": f"{float(run['eval_loss']):.6f}"} for run in rows]
