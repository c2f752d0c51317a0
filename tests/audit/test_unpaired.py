"""Seeds that are not shared, not named, or lacking: judged by their own spread, or by no word at all."""

from __future__ import annotations

import pytest
from scipy import stats

from tests.audit.conftest import BETTER, WORSE, csv_of, flaw, kinds, renamed, runs_of, words

LR = ("--baseline", "lr=2e-4", "decision.margin_percent=0.5")


def with_own_seeds(effects, **more):
    return [{**run, "seed": 1000 + 37 * n} for n, run in enumerate(runs_of(effects, shift=0.0, **more))]


def test_arms_without_a_common_seed_are_judged_by_their_own_spread(audited):
    answer = audited(csv_of(with_own_seeds(WORSE)), *LR)
    assert words(answer) == {"learning_rate": "confirm"}
    assert "unpaired seeds" in answer["verdicts"][0]["sentence"]
    assert "diverged" not in str(answer["verdicts"])
    assert kinds(answer) >= {"unpaired_seeds"}


def test_the_bounds_of_unpaired_arms_are_welchs(audited):
    rows = with_own_seeds({"2e-4": 0.0, "4e-4": -0.03}, noise=0.01)
    level = audited(csv_of(rows), *LR)["verdicts"][0]["levels"][0]
    base, own = ([float(r["eval_loss"]) for r in rows if r["lr"] == lr] for lr in ("2e-4", "4e-4"))
    found = stats.ttest_ind(base, own, equal_var=False)
    scale = 100 / (sum(base) / len(base))
    assert level["gain"] == pytest.approx((sum(base) - sum(own)) / len(base) * scale, rel=1e-4)
    assert level["gain"] / level["standard_error"] == pytest.approx(found.statistic, rel=1e-4)


def test_a_better_unpaired_level_is_worth_a_test_and_no_more(audited):
    answer = audited(csv_of(with_own_seeds(BETTER)), *LR)
    assert words(answer) == {"learning_rate": "refine (unconfirmed)"}


def test_repeats_without_seeds_are_screening_with_the_noise_that_they_show(audited):
    rows = [{k: v for k, v in run.items() if k != "seed"} for run in runs_of(BETTER, shift=0.0)]
    answer = audited(csv_of(rows), *LR)
    assert words(answer) == {"learning_rate": "screening only"}
    assert "up to 5 runs of one setting and no seeds to pair them by" in flaw(answer, "repeats_without_seeds")
    assert "standard deviation within a setting is 0.1" in flaw(answer, "repeats_without_seeds")


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_winner_that_lacks_seeds_is_never_confirmed_against(audited, seeds):
    rows = [run for run in runs_of(WORSE | {"3e-4": -0.1}) if run["lr"] != "3e-4" or run["seed"] < seeds]
    answer = audited(csv_of(rows), *LR)
    assert words(answer) == {"learning_rate": "inconclusive"}
    assert (
        f"0.0003 ran at {seeds} of 5 shared seeds, and a gain of 0.50 % is not excluded"
        in answer["verdicts"][0]["sentence"]
    )
    assert "run learning_rate=0.0003 at the default's seeds that it lacks" in answer["audit"]["settle"]


def test_a_rival_that_its_own_seeds_exclude_stops_nothing(audited):
    rows = [run for run in runs_of(WORSE | {"3e-4": 0.4}) if run["lr"] != "3e-4" or run["seed"] < 3]
    answer = audited(csv_of(rows), *LR)
    assert words(answer) == {"learning_rate": "confirm"}
    assert any(
        "0.0003: not compared (ran at 3 of 5 shared seeds)" in r for r in answer["verdicts"][0]["reasons"]
    )
    assert "0.0003" not in answer["verdicts"][0]["sentence"]
    assert answer["verdicts"][0]["advice"].startswith("keep 0.0002; all else that was compared is worse")


def test_numbers_of_rows_are_not_paired_without_a_word(audited):
    rows = renamed(runs_of(WORSE), seed="trial")
    answer = audited(csv_of(rows), *LR, "--seed", "trial")
    assert "paired by 'trial', whose name is no seed's" in flaw(answer, "rows_for_seeds")


def test_one_seed_behind_is_not_ahead(audited):
    answer = audited(csv_of(runs_of(WORSE, seeds=[0])), *LR)
    assert answer["verdicts"][0]["sentence"].startswith("one seed: the default is ahead, of ")


def test_unpaired_arms_share_alpha_among_the_planned_looks(audited):
    rows = renamed(with_own_seeds({"2e-4": 0.0, "4e-4": -0.03}, noise=0.01), eval_loss="value")
    one, three = (
        audited(
            csv_of([{**row, "metric": "loss", "direction": "minimize", "looks": looks} for row in rows]), *LR
        )
        for looks in (1, 3)
    )
    widths = [
        answer["verdicts"][0]["upper"] - answer["verdicts"][0]["effect_percent"] for answer in (one, three)
    ]
    errors = [answer["verdicts"][0]["levels"][0]["standard_error"] for answer in (one, three)]
    nu = 6  # Welch's freedom of these runs, rounded down
    assert errors[0] == errors[1]
    assert widths[0] / errors[0] == pytest.approx(stats.t.isf(0.05, nu), rel=1e-4)
    assert widths[1] / errors[1] == pytest.approx(stats.t.isf(0.05 / 3, nu), rel=1e-4)
