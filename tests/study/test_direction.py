"""Which way a metric is better: told by its name or the user, never guessed, and said where it counts."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from rich.console import Console

import bios_sweep
from bios_sweep import defaults
from bios_sweep.cli.main import main
from bios_sweep.defaults import vendored_loader
from bios_sweep.errors import DefaultsError, InputError, PlanError
from bios_sweep.mirror.mlflow.runs import StoredRun, metric_of_sweep
from bios_sweep.refit.collected import collect
from bios_sweep.report.text.progress import LiveView
from bios_sweep.study.metric_names import direction_of
from bios_sweep.study.scenario import Metric, guardrail_metric
from tests.defaults.entries import RANK, RATE, build, entry, rewritten, write

LARGER = """
    accuracy acc eval_accuracy eval/accuracy valAccuracy testacc Accuracy(test) eval_rougeL rougeLsum
    ROUGE-2 pass@1 pass^8 hits@10 recall@5 ndcg@10 MRR@10 P@1 maj@8 top1 top5_acc mAP50 mAP@0.5:0.95
    f1_macro macroF1 F1Score f-1 eval_mcc eval_em em r2 R2 R² r2_score mmlu MMLU-Pro gsm8k HumanEval
    humaneval+ arc_challenge hellaswag mbpp truthfulqa_mc2 winogrande ifeval MATH-500
    exact_match,strict-match acc_norm,none log_likelihood logLikelihood log_prob neg_mean_squared_error
    neg_log_loss neg_brier_score neg_root_mean_squared_error roc_auc AUROC mIoU dice pearsonr
    spearman_rank_correlation reward eval_rewards/accuracies win_rate bleu chrf explained_variance
    mean_reciprocal_rank true_negative_rate negative_predictive_value eval_samples_per_second
    helpfulness_score harmlessness_score exactmatch 5-shot_acc mt_bench human_eval live_code_bench
    truthful_qa eval/big_bench_hard pattern_match
"""
SMALLER = """
    loss eval_loss val/loss validLoss valloss nll NLL negative_log_likelihood negativeLogLikelihood
    log_loss logLoss error_rate errorRate val_err top1_error mmlu_loss arc_challenge_ppl val_bpb
    bits_per_byte wer WER cer TER perplexity ppl mape brier brier_score ece regret rmse
    mean_squared_error word_error_rate false_negative_rate cross_entropy fid_score toxicity_score
    train_runtime peak_memory time_to_first_token human_eval_loss
"""
SILENT = """
    accuracy_loss f1_loss quality value bitscore premium remap winter lossless window learning_rate epoch
    loss_std accuracy_std acc_stderr,none accuracy_drop loss_delta 1-accuracy inverse_perplexity
    neg_accuracy negative_loss eval_rewards/rejected entropy grad_norm -loss 100-wer attack_success_rate
    bias_score harmfulness_score self_bleu error_free_rate time_saved error_detection_rate refusal_rate
"""


@pytest.mark.parametrize(("names", "way"), [(LARGER, "maximize"), (SMALLER, "minimize"), (SILENT, None)])
def test_a_name_is_read_as_people_write_it_or_says_nothing(names, way):
    assert {name: direction_of(name) for name in names.split()} == dict.fromkeys(names.split(), way)


# best at twice the default's rate where it is bent downwards, worst there where upwards
SCORE = "+model.planted.metrics.{}={{value: 80, noise_percent: 0.1, truth: {{learning_rate: {}}}}}"
BENT = "{{optimum: 0.001, curvature: {}}}"


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    """A verb on a planted world that is judged on another metric than its loss."""
    monkeypatch.chdir(tmp_path)

    def call(verb, *words, metric="eval_accuracy", bent=-4, code=0):
        command = [
            verb,
            "sweeps=learning_rate",
            "model=planted",
            "cluster=inline",
            "tracking=none",
            "workspace=ws",
        ]
        command += ["decision.looks=[3]", SCORE.format(metric, BENT.format(bent)), f"+method.metric={metric}"]
        found = main([*command, *words])
        out, err = capsys.readouterr()
        assert found == code, err
        return out if code == 0 else err

    return call


def test_a_metric_that_rises_is_maximised_by_its_name_and_every_form_of_the_answer_says_so(
    shell, tmp_path, capsys
):
    words = "eval_accuracy, larger is better"
    plan = json.loads(shell("plan", "--json"))
    assert (plan["metric"]["direction"], plan["judged_on"]) == ("maximize", words)
    assert f"judged on {words}" in shell("plan")
    told = json.loads(shell("run", "--json"))
    (verdict,) = told["verdicts"]
    assert (told["metric"]["direction"], told["judged_on"]) == ("maximize", words)
    assert (verdict["verdict"], verdict["best_level"]) == ("refine", 2 * verdict["default"])
    folder = tmp_path / "ws" / "sweeps" / told["sweep_id"]
    for name in ("report.md", "report.html", "report.json"):
        assert words in (folder / name).read_text(), name
    for verb in ("report", "status", "suggest"):
        assert main([verb, "workspace=ws"]) == 0
        assert words in capsys.readouterr().out
    tuned = json.loads((folder / "bios_defaults.json").read_text())
    assert tuned["metric"] == {"name": "eval_accuracy", "direction": "maximize", "words": words, "doubt": ""}
    assert bios_sweep.open(tmp_path / "ws").tuned_defaults.judged_on == words
    rewritten(folder / "bios_defaults.json", lambda content: content.pop("metric"))  # as an older version
    trials = sorted((tmp_path / "ws" / "trials").iterdir())
    shell("run")  # writes it anew and repeats no trial
    assert bios_sweep.open(tmp_path / "ws").tuned_defaults.judged_on == words
    assert sorted((tmp_path / "ws" / "trials").iterdir()) == trials


@pytest.mark.parametrize(("metric", "way"), [("eval_accuracy", "maximize"), ("eval_loss_2", "minimize")])
def test_what_a_name_tells_and_what_is_said_make_the_same_sweep(shell, metric, way):
    by_name, said = (
        json.loads(shell("plan", "--json", *more, metric=metric))
        for more in ((), (f"+method.direction={way}",))
    )
    assert by_name["sweep_id"] == said["sweep_id"]


def test_an_unknown_name_asks_for_the_direction_and_starts_nothing(shell, tmp_path):
    for verb in ("plan", "run", "rehearse"):
        err = shell(verb, metric="quality", code=2)
        assert "method.direction: the name 'quality' does not say which way is better" in err
        assert "method.direction=maximize (larger is better) or method.direction=minimize" in err
    assert not (tmp_path / "ws").exists()
    assert "judged on quality, larger is better" in shell(
        "plan", "+method.direction=maximize", metric="quality"
    )


def test_a_metric_that_no_trial_of_ours_measures_is_refused(shell):
    err = shell("plan", "method.metric=accuracy", code=2)
    assert "method.metric: no trial measures 'accuracy'; choose from eval_loss" in err


def test_a_direction_against_the_name_is_a_warning_in_plan_report_and_tuned_file(shell, tmp_path, capsys):
    against = "eval_accuracy is judged as smaller is better, but its name says that larger is better"
    said = ("--json", "+method.direction=minimize")
    assert against in json.loads(shell("plan", *said))["caveats"][0]
    answer = json.loads(shell("run", *said, bent=2))
    assert against in answer["caveats"][0]
    folder = tmp_path / "ws" / "sweeps" / answer["sweep_id"]
    assert against in (folder / "report.md").read_text()
    assert main(["report", "--from-csv", str(folder / "results.csv"), "--json"]) == 0
    assert against in json.loads(capsys.readouterr().out)["notes"]
    with pytest.warns(UserWarning, match=against):
        assert bios_sweep.open(tmp_path / "ws").tuned_defaults.warnings == (against,)


def test_a_guardrail_is_turned_by_the_same_table_and_the_judged_metric_keeps_its_own():
    judged = Metric(name="quality", direction="maximize", unit="")
    assert guardrail_metric("quality", judged) is judged
    assert guardrail_metric("eval_rougeL", judged).direction == "maximize"
    assert guardrail_metric("neg_log_loss", judged).direction == "maximize"
    with pytest.raises(PlanError, match=r"decision\.guardrails\.drop: the name does not say"):
        guardrail_metric("drop", judged)


def table(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return path


def rows(header, better="0.80", worse="0.74"):
    lines = [
        f"{arm},{seed},{value}{seed}"
        for seed in (0, 1, 2)
        for arm, value in (("baseline", better), ("b", worse))
    ]
    return "\n".join([header, *lines]) + "\n"


@pytest.mark.parametrize(
    "column", ["eval_rougeL", "metrics.eval/mAP50", "summary.gsm8k", "user_attrs_valAccuracy"]
)
def test_an_audit_reads_the_same_names(column, tmp_path, capsys):
    file = table(tmp_path, rows(f"arm,seed,{column}"))
    assert main(["report", "--from-csv", str(file), "--value", column, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdicts"][0]["effect_percent"] < 0
    assert answer["judged_on"] == f"{column}, larger is better"


@pytest.mark.parametrize(
    ("header", "flags"),
    [("arm,seed,my_thing", ("--value", "my_thing")), ("params_lr,params_seed,value", ("--baseline", "lr=1"))],
)
def test_an_audit_asks_for_the_direction_of_an_unknown_name(header, flags, tmp_path, capsys):
    file = table(tmp_path, rows(header).replace("baseline", "1").replace("b,", "2,"))
    assert main(["report", "--from-csv", str(file), *flags]) == 2
    assert "give --direction maximize (larger is better) or --direction minimize" in capsys.readouterr().err


def test_value_beside_arm_and_seed_is_the_loss_and_the_output_says_so(tmp_path, capsys):
    file = table(tmp_path, rows("arm,seed,value", "1.80", "1.74"))
    assert main(["report", "--full", "--from-csv", str(file)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "metric value, smaller is better" in out
    assert "value: the held-out loss, as such a table has it, so smaller is taken as better" in out


def test_negated_values_with_the_other_direction_give_the_same_gains(tmp_path, capsys):
    """Percent is meant in |y0|: a log-likelihood is below 0, and its sign must not turn a verdict."""
    verdicts = []
    for sign, column in (("", "nll"), ("-", "log_likelihood")):
        file = table(tmp_path, rows(f"arm,seed,{column}", f"{sign}1.80", f"{sign}1.74"))
        assert (
            main(
                [
                    "report",
                    "--from-csv",
                    str(file),
                    "--value",
                    column,
                    "decision.margin_percent=0.5",
                    "--json",
                ]
            )
            == 0
        )
        verdicts.append(json.loads(capsys.readouterr().out)["verdicts"])
    assert verdicts[0][0]["effect_percent"] > 0
    keys = ("verdict", "effect_percent", "lower", "upper", "margin")
    assert [verdicts[0][0][key] for key in keys] == [verdicts[1][0][key] for key in keys]


def test_a_metric_that_may_be_0_or_less_needs_a_margin_of_its_own(tmp_path, capsys):
    file = table(tmp_path, rows("arm,seed,eval_reward", "1.80", "1.90"))
    assert main(["report", "--from-csv", str(file), "--value", "eval_reward"]) == 2
    assert "decision.margin_absolute: missing; eval_reward may be 0 or less" in capsys.readouterr().err
    given = ["--value", "eval_reward", "decision.margin_absolute=0.05", "--json"]
    assert main(["report", "--from-csv", str(file), *given]) == 0
    assert json.loads(capsys.readouterr().out)["margin"]["absolute"] == pytest.approx(0.05)


def test_an_older_sweep_in_mlflow_is_read_by_what_it_recorded():
    def sweep(**params):
        return StoredRun(run_id="r", name="s", status="", started=0, params=params, tags={"sweep_id": "s-1"})

    assert metric_of_sweep("x", sweep()).direction == "minimize"  # had our loss
    assert metric_of_sweep("x", sweep(metric="quality", direction="maximize")).direction == "maximize"
    assert metric_of_sweep("x", sweep(metric="eval_accuracy", direction="minimize")).direction == "minimize"
    assert metric_of_sweep("x", sweep(metric="eval_accuracy")).direction == "maximize"
    assert metric_of_sweep("x", sweep(metric="quality"), direction="maximize").direction == "maximize"
    with pytest.raises(InputError, match="x, sweep s-1: the name 'quality' does not say"):
        metric_of_sweep("x", sweep(metric="quality"))


def test_a_flag_for_all_tables_of_a_refit_turns_no_table_that_says_its_own_direction(tmp_path):
    head = "model,family,hidden_size,learning_rate,seed,value"
    lines = [f"m,llama,128,{rate},{seed},{1 + miss}{seed}" for rate, miss in
             ((1e-4, 0.3), (2e-4, 0.0), (4e-4, 0.4)) for seed in (0, 1, 2)]  # fmt: skip
    plain = "\n".join([head, *lines])
    said = "\n".join([f"{head},metric", *(f"{line},eval_loss" for line in lines)])
    found = {}
    for text in (plain, said):
        for flag in (None, "maximize"):
            (ladder,) = collect([table(tmp_path, text + "\n")], flag).studies
            found[text == said, flag] = max(zip(ladder.gains, ladder.rates, strict=True))[1]
    assert found == {
        (False, None): 2e-4,
        (True, None): 2e-4,
        (True, "maximize"): 2e-4,
        (False, "maximize"): 4e-4,
    }


def older(tmp_path):
    """A tuned file as versions wrote it that did not say what was judged."""
    path = defaults.write_tuned(tmp_path / "bios_defaults.json", build(RATE, RANK))
    return rewritten(path, lambda content: content.pop("metric"))


def test_a_tuned_file_without_a_direction_is_served_with_a_warning(tmp_path, capsys):
    path = older(tmp_path)
    found = defaults.serve(family="llama", hidden_size=128, path=path)
    assert found.learning_rate == 1e-4
    assert any("do not say which metric they were judged on" in text for text in found.warnings)
    with pytest.warns(UserWarning, match="do not say which metric they were judged on"):
        copied = vendored_loader.tuned("llama", 128, path=path)
    assert copied["values"]["learning_rate"] == 1e-4
    assert "do not say which metric" in copied["warnings"][0]
    for words in (["diff", str(path)], ["export", str(path), "--to", "trl"]):
        assert main(["defaults", *words]) == 0
        assert "do not say which metric" in capsys.readouterr().out
    assert main(["defaults", "merge", str(path), "-o", str(tmp_path / "all.json")]) == 0
    assert "to bear in mind: llama, hidden size 128" in capsys.readouterr().out


def test_a_tuned_file_that_says_it_is_served_without_one(tmp_path, recwarn, capsys):
    accuracy = defaults.TunedMetric(name="em", direction="maximize", words="em, larger is better")
    path = defaults.write_tuned(tmp_path / "bios_defaults.json", build(RATE, RANK, metric=accuracy))
    found = defaults.serve(family="llama", hidden_size=128, path=path)
    assert (found.judged_on, defaults.read_tuned(path).metric) == ("em, larger is better", accuracy)
    assert not any("judged" in text for text in found.warnings)
    assert vendored_loader.tuned("llama", 128, path=path)["metric"]["direction"] == "maximize"
    assert not recwarn.list
    assert (
        main(["defaults", "show", "x", "--family", "llama", "--hidden-size", "128", "--defaults", str(path)])
        == 0
    )
    assert "tuned values judged on: em, larger is better" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": "up"}, "metric: direction 'up' is none of minimize, maximize"),
        ({"words": "em, smaller is better"}, "do not say that larger is better"),
        ({"name": ""}, "metric: name is ''"),
    ],
)
def test_a_tuned_file_whose_words_and_direction_differ_is_refused(change, message, tmp_path):
    accuracy = defaults.TunedMetric(name="em", direction="maximize", words="em, larger is better")
    path = defaults.write_tuned(tmp_path / "bios_defaults.json", build(RATE, RANK, metric=accuracy))
    rewritten(path, lambda content: content["metric"].update(change))
    with pytest.raises(DefaultsError, match=message):
        defaults.read_tuned(path)


def test_files_of_one_metric_in_two_directions_are_not_merged_silently(tmp_path, capsys):
    up, down = (
        defaults.TunedMetric(name="em", direction=way, words=f"em, {better} is better")
        for way, better in (("maximize", "larger"), ("minimize", "smaller"))
    )
    with pytest.raises(
        DefaultsError, match=r"different metrics \(em, larger is better; em, smaller is better\)"
    ):
        defaults.merge([("a", build(RATE, metric=up)), ("b", build(RANK, metric=down))])
    first = dataclasses.replace(entry(sweep="one-1"), metric=up)
    other = dataclasses.replace(entry(sweep="two-2", hidden_size=256), metric=down)
    path = write(tmp_path / "both.json", first, other)
    assert main(["defaults", "merge", str(path), "-o", str(tmp_path / "all.json")]) == 0
    told = "em is judged in two ways: larger is better (one-1), smaller is better (two-2)"
    assert told in capsys.readouterr().out
    (mixed,) = defaults.merge(
        [("a", build(RATE, metric=up)), ("b", dataclasses.replace(build(RANK), metric=None))]
    )
    assert mixed.metric is None  # half of it nobody knows


def test_the_live_table_says_which_way_is_better():
    for interactive in (True, False):
        console = Console(file=io.StringIO(), force_interactive=interactive, width=100)
        with LiveView(
            console, planned=3, workers="here", title="s", judged_on="em, larger is better"
        ) as view:
            console.print(view)
        assert "judged on em, larger is better" in console.file.getvalue()
