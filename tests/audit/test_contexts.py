"""Several models, data sets or machines in a table: one judgement each, then the roll-up."""

from __future__ import annotations

from tests.audit.conftest import BETTER, WORSE, csv_of, flaw, kinds, runs_of, words

LR = ("--baseline", "lr=2e-4", "decision.purpose=publish")


def of_models(*effects, column="model_name"):
    return [
        {column: f"m{place}", **run}
        for place, own in enumerate(effects)
        for run in runs_of(own, level=1.2 + place, number=place)
    ]


def test_every_model_is_judged_by_itself(audited):
    answer = audited(csv_of(of_models(WORSE, WORSE, BETTER)), *LR)
    assert words(answer) == {
        "learning_rate, model_name=m0": "confirm",
        "learning_rate, model_name=m1": "confirm",
        "learning_rate, model_name=m2": "refine (unconfirmed)",
    }
    assert answer["contexts"] == ["model_name=m0", "model_name=m1", "model_name=m2"]
    assert (answer["roll_up"][0]["within"], answer["roll_up"][0]["scenarios"]) == (2, 3)


def test_thirty_five_models_have_a_roll_up_that_is_read(printed):
    code, out, _ = printed(csv_of(of_models(*[WORSE] * 35)), *LR)
    assert code == 0
    assert "learning_rate: the default is within the margin in 35 of 35 scenarios" in " ".join(out.split())
    assert len(out.splitlines()) < 300


def test_a_context_without_the_default_is_named_and_not_judged(audited):
    rows = of_models(WORSE, {"4e-4": 0.0, "8e-4": 0.1})
    answer = audited(csv_of(rows), *LR)
    assert words(answer) == {"learning_rate, model_name=m0": "confirm"}
    assert (
        flaw(answer, "context_without_default")
        == "the default did not run in model_name=m1: not judged there"
    )


def test_a_level_that_ran_without_the_default_alone_is_named(audited):
    rows = [{**run, "gpu": "B" if run["lr"] == "8e-4" else "A"} for run in runs_of(WORSE)]
    answer = audited(csv_of(rows), *LR)
    assert words(answer) == {"learning_rate, gpu=A": "confirm"}
    assert flaw(answer, "context_without_default") == (
        "the default did not run in gpu=B: not judged there, and learning_rate=0.0008 ran nowhere else: "
        "better or not, nobody knows"
    )


def test_a_context_of_the_default_alone_is_no_context_without_it(audited):
    rows = [*of_models(WORSE), *({**run, "model_name": "m9"} for run in runs_of({"2e-4": 0.0}))]
    answer = audited(csv_of(rows), *LR)
    assert flaw(answer, "default_alone") == "nothing but the default ran in model_name=m9"
    assert "context_without_default" not in kinds(answer)


def test_any_column_becomes_a_context_by_a_flag(audited):
    rows = of_models(WORSE, BETTER, column="corpus")
    assert len(words(audited(csv_of(rows), *LR, "--context", "corpus"))) == 2


def test_models_are_compared_where_that_is_asked(audited, refused):
    rows = [
        {"model": f"m{m}", "seed": s, "eval_loss": 1 + m / 10 + s * (m + 1) / 100}
        for m in range(3)
        for s in range(4)
    ]
    assert "to compare the values of model, say --setting model" in refused(csv_of(rows))
    answer = audited(csv_of(rows), "--setting", "model", "--baseline", "model=m0")
    assert words(answer) == {"model": "confirm"}
    named = refused(csv_of(of_models(WORSE, WORSE)), "--baseline", "model_name=m0,lr=2e-4")
    assert "'model_name' is a context here" in named


def test_a_model_for_each_arm_is_no_comparison(audited):
    rows = [{**run, "model": f"for {run['lr']}"} for run in runs_of(BETTER)]
    answer = audited(csv_of(rows), *LR)
    assert words(answer) == {"learning_rate": "inconclusive"}
    assert "differences between arms may be that" in flaw(answer, "mixed_scenario")


def test_the_cells_of_our_own_crossed_study_are_contexts(audited):
    rows = [
        {
            "arm": f"{'baseline' if run['lr'] == '2e-4' else 'x' + str(run['lr'])} @ lora_rank={rank}",
            "factor": "" if run["lr"] == "2e-4" else "learning_rate",
            "level": "" if run["lr"] == "2e-4" else run["lr"],
            "stage": "screening",
            "trial_key": f"{rank}{n}",
            "learning_rate": run["lr"],
            "lora_rank": rank,
            "seed": run["seed"],
            "value": run["eval_loss"],
        }
        for rank in (16, 64)
        for n, run in enumerate(runs_of(WORSE, number=rank))
    ]
    answer = audited(csv_of(rows))
    assert words(answer) == {
        "learning_rate, lora_rank=16": "confirm",
        "learning_rate, lora_rank=64": "confirm",
    }
    assert answer["verdicts"][0]["levels"][0]["arm"] == "x1e-4"
