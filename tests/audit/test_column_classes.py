"""Which column is a setting, a context, an outcome: by its name, by how it behaves, by what the user says."""

from __future__ import annotations

import itertools

import pytest

from tests.audit.conftest import BETTER, WORSE, csv_of, flaw, kinds, renamed, runs_of, words

LR = ("--baseline", "lr=2e-4")


def test_an_unknown_name_that_crosses_is_a_setting_by_how_it_behaves(audited):
    rows = [
        {**run, "gate": gate}
        for gate in (0.1, 0.4)
        for run in runs_of({"16": 0.02, "32": 0.0, "64": 0.02}, "batch_size", number=int(10 * gate))
    ]
    answer = audited(csv_of(rows), "--baseline", "batch_size=32,gate=0.1")
    assert answer["columns"]["behaved"] == ["gate"]
    assert words(answer)["batch_size"] == "confirm"
    assert "gate" in words(answer)


def test_two_unknown_names_and_no_known_one_are_settings_too(audited):
    draw = itertools.count(1)
    rows = [
        {"Name": f"w{w}a{a}", "State": "finished", "weight_bits": w, "act_bits": a, "seed": s,
         "ratio": 32 / w if w != 2 else "",
         "test_loss": "" if w == 2 else 1 / w + 1 / a + next(draw) % 7 / 1000}
        for w, a, s in [*itertools.product((4, 8), (4, 8), (41, 42, 43)), (2, 4, 41)]
    ]  # fmt: skip
    rows[-1]["State"] = "crashed"
    answer = audited(csv_of(rows), "--baseline", "weight_bits=8,act_bits=8")
    assert answer["columns"]["behaved"] == ["weight_bits", "act_bits"]
    assert "ratio" in answer["columns"]["outcomes"]  # empty exactly where the run has no outcome
    assert answer["counts"] == {"planned": 13, "completed": 12, "diverged": 0, "failed": 1}


@pytest.mark.parametrize("name", ["use_rslora", "lrate", "tilt", "config.packing"])
def test_what_moves_with_the_factor_confounds_it(audited, name):
    rows = [{**run, name: 3 if run["lr"] == "4e-4" else 1} for run in runs_of(BETTER)]
    if name == "lrate":  # a second learning rate by another of its names
        rows = renamed(rows, lr="batch_size")
    flags = ("--baseline", "lrate=1,batch_size=2e-4") if name == "lrate" else LR
    answer = audited(csv_of(rows), *flags)
    assert set(words(answer).values()) == {"inconclusive"}
    told = " ".join(verdict["sentence"] for verdict in answer["verdicts"])
    assert "confounded with" in told
    assert answer["audit"]["settle"].startswith("change one setting at a time")
    for verdict in answer["verdicts"]:  # no gain of settings that moved together is told as one value's
        now = verdict["now"]
        assert now["value"] == now["default"]
        assert now["ground"] == "nothing is known of the others"
        assert now["most"] is None


def test_a_setting_that_is_none_is_taken_back_by_a_flag(audited):
    rows = [{**run, "tilt": 3 if run["lr"] == "4e-4" else 1} for run in runs_of(BETTER)]
    answer = audited(csv_of(rows), *LR)
    assert "say --outcome tilt" in flaw(answer, "setting_by_behaviour")
    assert words(audited(csv_of(rows), *LR, "--outcome", "tilt")) == {"learning_rate": "refine (unconfirmed)"}


def test_a_continuous_setting_of_a_search_is_named_by_a_flag(audited, refused):
    rows = [{"trial": n, "tilt": 0.1 + n * n / 7, "loss": 2 + n % 3} for n in range(8)]
    assert "--setting COL (such as tilt)" in refused(csv_of(rows))
    answer = audited(csv_of(rows), "--setting", "tilt", "--baseline", "tilt=0.1")
    assert words(answer) == {"tilt": "screening only"}


def test_a_default_is_named_by_what_is_none_and_by_lists(audited, refused):
    rows = [
        {**run, "modules": '"[q, v]"' if run["lr"] == "2e-4" else '"[q, k, v, o]"', "packing": "none"}
        for run in runs_of({"2e-4": 0.0, "4e-4": 0.03})
    ]
    for row in rows[:5]:
        row["packing"] = "on"
    text = csv_of([{k: v for k, v in row.items() if k != "lr"} for row in rows])
    answer = audited(text, "--setting", "packing", "--baseline", "packing=none,modules=[q, k, v, o]")
    assert answer["baseline"]["settings"] == {"modules": "[q, k, v, o]", "packing": None}
    asked = refused(csv_of(runs_of(WORSE, peak="7")), "--baseline", "lr=2e-4,trial=7")
    assert "'trial' is no setting of this table" in asked
    rows = [{**run, "trial": n} for n, run in enumerate(runs_of(WORSE))]
    told = refused(csv_of(rows), "--baseline", "lr=2e-4,trial=7")
    assert "column 'trial' is taken for no setting here" in told


def test_a_text_that_only_writes_out_the_level_confounds_nothing(audited):
    rows = [{**run, "recipe": f"lr_{run['lr']}"} for run in runs_of(WORSE)]
    assert words(audited(csv_of(rows), *LR)) == {"learning_rate": "confirm"}
    rows = [{**run, "recipe": "old" if run["lr"] == "2e-4" else "new"} for run in runs_of(WORSE)]
    assert "confirm" not in words(audited(csv_of(rows), *LR)).values()


def test_a_column_cannot_be_two_things(refused):
    sentence = refused(csv_of(runs_of(WORSE, tilt=1)), *LR, "--setting", "tilt", "--outcome", "tilt")
    assert "column 'tilt' is named as setting and as outcome" in sentence


def test_forty_outcomes_change_no_word(audited):
    rows = runs_of(BETTER)
    wide = [
        {**run, **{f"m{n}": (n * 7919 + place * 104729) % 9973 / 7 for n in range(40)}}
        for place, run in enumerate(rows)
    ]
    assert audited(csv_of(wide), *LR)["verdicts"] == audited(csv_of(rows), *LR)["verdicts"]


def test_the_names_of_runs_are_no_settings(audited):
    rows = [{**run, "params.trial_number": n} for n, run in enumerate(runs_of(BETTER))]
    answer = audited(csv_of(rows), *LR)
    assert words(answer) == {"learning_rate": "refine (unconfirmed)"}


@pytest.mark.parametrize("name", ["rep", "replicate", "repetition", "cv_fold", "run_idx"])
def test_a_number_of_the_repetition_is_no_setting(audited, name):
    answer = audited(csv_of(renamed(runs_of(BETTER), seed=name)), *LR)
    assert answer["columns"]["settings"] == {"learning_rate": "lr"}
    assert words(answer) == {"learning_rate": "screening only"}


def test_a_setting_goes_by_the_end_of_its_path(audited):
    rows = [{**run, "config.peft.lora.r": 16} for run in renamed(runs_of(BETTER), lr="config.optim.lr")]
    columns = audited(csv_of(rows), "--baseline", "lr=2e-4")["columns"]
    assert columns["settings"] == {"learning_rate": "config.optim.lr", "lora_rank": "config.peft.lora.r"}


def test_truth_values_are_named_in_any_case(audited):
    rows = runs_of({"TRUE": 0.03, "FALSE": 0.0}, "use_rslora")
    answer = audited(csv_of(rows), "--baseline", "use_rslora=false")
    assert answer["verdicts"][0]["default"] == "FALSE"


def test_the_one_metric_of_a_table_is_taken_and_two_are_asked_for(audited, refused):
    rows = runs_of(WORSE, metric="rougeL")
    answer = audited(csv_of(rows), *LR)
    assert answer["judged_on"] == "rougeL, larger is better"
    assert "judged on rougeL, the one column whose name is a metric's" in answer["notes"]
    both = refused(csv_of([{**run, "rouge2": 1, "baseline_rouge2": 1} for run in rows]), *LR)
    assert "name it with --value COL: rougeL, rouge2" in both


def test_what_the_columns_are_is_printed_with_the_flags_that_change_it(printed):
    _, out, _ = printed(csv_of(runs_of(WORSE, peak=1)), *LR)
    assert "columns: metric eval_loss; seeds seed; settings lr (as learning_rate)" in out
    assert "taken otherwise with --setting COL, --outcome COL, --context COL" in out


def test_what_is_judged_on_is_called_by_its_name(audited):
    rows = runs_of({"16": -0.02, "32": 0.0, "64": -0.02}, "batch_size", metric="accuracy", level=0.8)
    answer = audited(csv_of(rows), "--baseline", "batch_size=32")
    assert words(answer) == {"batch_size": "confirm"}
    assert any(
        "judged on accuracy, whether at equal budgets is not recorded" in r
        for r in answer["verdicts"][0]["reasons"]
    )


def test_levels_stand_in_the_order_of_their_numbers(audited):
    effects = {"1e-3": 0.05, "2e-4": 0.0, "1e-4": 0.03, "2e-3": 0.06}
    answer = audited(csv_of(runs_of(effects)), *LR)
    assert [row["level"] for row in answer["verdicts"][0]["levels"]] == [1e-4, 1e-3, 2e-3]


def test_nothing_is_weakened_where_nothing_is_unclear(audited):
    assert kinds(audited(csv_of(runs_of(WORSE)), *LR)) == {"budget_unknown"}


@pytest.mark.parametrize("name", ["second_stage_lr", "lr_second", "second"])
def test_what_is_of_a_second_stage_is_a_setting_and_a_speed_per_second_is_none(audited, refused, name):
    rows = [
        {**row, "tok_per_second": 90 - 9 * n, "steps/sec": n} for n, row in enumerate(runs_of(WORSE, name))
    ]
    answer = audited(csv_of(rows), "--baseline", f"{name}=2e-4")
    assert [verdict["factor"] for verdict in answer["verdicts"]] == [name]
    speeds = [{key: cell for key, cell in row.items() if key != name} for row in rows]
    assert "or what the runs were told with --setting COL; the columns are seed" in refused(csv_of(speeds))
