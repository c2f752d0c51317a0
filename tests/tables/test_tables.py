"""Tables as people have them: every format is recognised, every fault told in one sentence."""

from __future__ import annotations

import csv
import json
import random
import time
from pathlib import Path

import pytest

from bios_sweep.audit.run_columns import ColumnNames, to_runs
from bios_sweep.cli.main import main
from bios_sweep.tables.text_table import read_csv

HEADER = "arm,seed,value\n"
RIGHT = HEADER + "baseline,0,1.0\nbaseline,1,1.1\nb,0,1.2\nb,1,1.25\n"


@pytest.fixture
def report(tmp_path, capsys, monkeypatch):
    """Audit a table given as text (or bytes); returns the exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(content: str | bytes, *flags: str) -> tuple[int, str, str]:
        path = tmp_path / "t.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        code = main(["report", "--full", "--from-csv", str(path), *flags])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def answer(report):
    """The JSON answer for a table that can be read."""

    def run(content: str | bytes, *flags: str) -> dict:
        code, out, err = report(content, "--json", *flags)
        assert code == 0, err
        return json.loads(out)

    return run


@pytest.fixture
def refused(report):
    """The one sentence about a table that cannot be read."""

    def run(content: str | bytes, *flags: str) -> str:
        code, out, err = report(content, *flags)
        assert (code, out) == (2, "")
        assert len(err.strip().splitlines()) == 1, err
        return err.strip()

    return run


@pytest.mark.parametrize(
    "content, sentence",
    [
        ("", "the file is empty; it needs a header"),
        ("  \n\n", "the file is empty"),
        (HEADER, "a header but no row below it"),
        ("baseline,0,1.0\nb,0,1.2\n", "line 1 holds numbers, not the names of columns"),
        ("arm seed value\nbaseline 0 1.0\n", "is one single column; separate cells by a comma"),
        ("arm:seed:value\nbaseline:0:1.0\n", "no column 'value'"),
        ("arm,seed,value,arm\nbaseline,0,1.0,x\n", "column 'arm' is in the header twice"),
        (HEADER + "baseline,0\n", "line 2 has 2 cells but the header has 3 (cells are separated by commas)"),
        (HEADER + "baseline,0,1,0\n", "line 2 has 4 cells but the header has 3"),
        (b"PK\x03\x04rest", "is an Excel workbook or ZIP archive, not a text table; export it as CSV"),
        (b"arm,seed\0value", "is binary, not a text table"),
        (b"arm,seed,value\nbas\xe9line,0,1.0\n", "is no UTF-8 text (byte 19); save the table as"),
        (HEADER + "baseline,0,abc\n", "line 2: value 'abc' is not a number"),
        ("arm;seed;value\nbaseline;0;1,05\nbaseline;1;1.05\n", "value '1,05' has a decimal comma; write"),
        ("arm,seed,acc\nbaseline,0,71%\nbaseline,1,0.7\n", "no column 'value'"),
        ("arm,seed,value\nbaseline,0,71%\nbaseline,1,0.7\n", "value '71%' has a percent sign and others"),
        (HEADER + "baseline,x,1.0\n", "line 2: seed 'x' is not a whole number"),
        (HEADER + "baseline,0.5,1.0\n", "seed '0.5' is not a whole number"),
        (HEADER + "baseline,,1.0\nb,0,1.1\n", "line 2: the seed is empty; runs without a seed cannot be"),
        (HEADER + ",0,1.0\n", "line 2: the arm is empty"),
        (
            RIGHT + "b,1,1.3\n",
            "line 5 and line 6 are both arm 'b', seed 1; a repeated seed is not a replicate",
        ),
        (HEADER + "a,0,1\nb,0,2\n", "no arm is called 'baseline'; name the default's arm with --base"),
        ("seed,value\n0,1\n1,2\n", "no column 'arm' and none that is known as a setting"),
        ("arm,seed,vlaue\nbaseline,0,1\n", "no column 'value' (is it 'vlaue'?); name the metric's column"),
        (
            "arm,seed,value,stage\nbaseline,9,1,confirmation\nb,9,1,screening\n",
            "the baseline 'baseline' has no run in the screening stage",
        ),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_refused_in_one_sentence(refused, content, sentence):
    assert sentence in refused(content)


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (
            ["--arm", "amr"],
            "--arm: there is no column 'amr' (did you mean 'arm'?); the columns are arm, seed, v",
        ),
        (["--seed", "zz"], "--seed: there is no column 'zz'; the columns are arm, seed, value"),
        (["--value", "loss"], "--value: there is no column 'loss'"),
        (["--baseline", "basline"], "no arm is called 'basline' (did you mean 'baseline'?)"),
        (["budget=demo"], "'budget' is not used with --from-csv and --from-mlflow"),
        (["decision.alpha=x"], "decision.alpha: 'x' is not a number"),
        (["decision.margin_percent=-1"], "decision.margin_percent: -1.0 is not allowed"),
        (["--from-mlflow", "x"], "--from-csv and --from-mlflow: give one of them"),
    ],
)
def test_a_flag_that_does_not_fit_the_table_names_what_is_there(refused, flags, sentence):
    assert sentence in refused(RIGHT, *flags)


def test_a_path_that_is_no_file_is_refused(tmp_path, capsys):
    for path, sentence in ((tmp_path, "is a folder"), (tmp_path / "no.csv", "there is no such file")):
        assert main(["report", "--from-csv", str(path)]) == 2
        assert sentence in capsys.readouterr().err


def test_flags_of_tables_are_refused_without_a_table(capsys):
    assert main(["report", "--baseline", "b"]) == 2
    assert "--baseline: belongs to --from-csv FILE or --from-mlflow EXPERIMENT" in capsys.readouterr().err


def test_a_direction_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["report", "--from-csv", "x.csv", "--direction", "up"])
    assert exit_.value.code == 2


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + RIGHT,
        RIGHT.replace(",", ";"),
        RIGHT.replace(",", "\t"),
        RIGHT.replace(",", "|"),
        RIGHT.replace("\n", "\r\n"),
        RIGHT.replace("\n", "\n\n"),
        RIGHT.replace("arm", '"arm"').replace("baseline", '"baseline"'),
        RIGHT.encode("utf-16"),
        RIGHT.replace(",0,", ", 0 ,").replace(",1,", ",1.0,"),
    ],
)
def test_the_same_table_in_another_dress_gives_the_same_verdicts(answer, content):
    assert answer(content)["verdicts"] == answer(RIGHT)["verdicts"]


def test_huge_seeds_stay_exact(answer):
    large = 10**30
    text = RIGHT.replace(",0,", f",{large},").replace(",1,", f",{large + 1},")
    assert answer(text)["seeds"] == [large, large + 1]


def test_the_cells_of_a_table_cannot_move_the_cursor(report):
    code, out, _ = report(RIGHT.replace("b,", "b\x1b[2Jad,"))
    assert code == 0
    assert "\x1b[2J" not in out
    assert "b [2Jad" in out


def test_an_error_about_a_table_cannot_move_the_cursor_either(refused):
    assert "\x1b" not in refused("arm,seed,value\nbaseline,0,\x1b[2J\n")
    assert "\x1b" not in refused("arm,seed,\x1b[2Jv\nbaseline,0,1\n", "--value", "v")


def test_the_answer_has_every_key_of_the_contract(answer):
    verdict = answer(RIGHT)["verdicts"][0]
    keys = {
        "factor", "role", "claim", "verdict", "default", "best_level", "effect_percent", "lower", "upper",
        "margin", "seeds", "arms", "hold", "reasons", "sentence", "scope",
    }  # fmt: skip
    assert keys <= set(verdict)


@pytest.mark.parametrize(
    "column",
    [
        "lr",
        "learning_rate",
        "params.learning_rate",
        "config.lr",
        "params_lr",
        "config/learning_rate",
        "optimizer.lr",
    ],
)
def test_a_learning_rate_is_recognised_by_its_common_names(answer, column):
    text = f"{column},seed,eval_loss\n" + "".join(
        f"{rate},{seed},{1 + rate * 100 + seed / 10}\n" for rate in (1e-4, 2e-4) for seed in (0, 1)
    )
    found = answer(text, "--baseline", "learning_rate=1e-4")
    assert [(v["factor"], v["default"]) for v in found["verdicts"]] == [("learning_rate", 1e-4)]
    assert found["verdicts"][0]["levels"][0]["level"] == 2e-4


def test_the_batch_is_the_product_of_what_a_trainer_accumulates(answer):
    rows = "".join(f"8,{accumulated},4,{seed},{1 + seed / 7}\n" for accumulated in (2, 4) for seed in (0, 1))
    header = "per_device_train_batch_size,gradient_accumulation_steps,world_size,seed,eval_loss\n"
    found = answer(header + rows, "--baseline", "batch_size=64")
    assert found["verdicts"][0]["factor"] == "batch_size"
    assert found["verdicts"][0]["levels"][0]["level"] == 128
    assert "per_device_train_batch_size x gradient_accumulation_steps x world_size" in found["notes"][0]


def test_the_control_of_a_script_is_no_arm(answer):
    rows = "baseline,0,1.0,screening\nbaseline,1,1.1,screening\nb,0,1.2,screening\nb,1,1.25,screening\n"
    plain = answer("arm,seed,value,stage\n" + rows)
    assert answer("arm,seed,value,stage\n" + rows + "baseline again,0,1.0,control\n") == plain


def test_a_rank_column_named_r_is_the_rank(answer):
    rows = "".join(f"{r},{2 * r},{seed},{1 + seed / 7 + r / 1000}\n" for r in (8, 16) for seed in (0, 1))
    found = answer("lora_r,lora_alpha,seed,eval_loss\n" + rows, "--baseline", "lora_rank=8")
    assert found["verdicts"][0]["factor"] == "lora_rank"  # alpha keeps its ratio to the rank


def test_without_arms_the_candidates_for_the_default_are_named_ready_to_copy(refused, report):
    text = "lr,seed,eval_loss\n" + "".join(f"{lr},{s},1.{s}\n" for lr in (1e-4, 2e-4) for s in (0, 1))
    sentence = refused(text)
    assert '--baseline "learning_rate=0.0001" (2 runs) or "learning_rate=0.0002" (2 runs)' in sentence
    assert report(text, "--baseline", "learning_rate=0.0001")[0] == 0
    assert "no run has 'learning_rate=3e-4'" in refused(text, "--baseline", "learning_rate=3e-4")
    assert report(text, "--baseline", "lr=1e-4")[0] == 0
    assert "'learning' is no setting of this table" in refused(text, "--baseline", "learning=1e-4")
    assert "the default is named by its settings" in refused(text, "--baseline", "default")


def test_a_baseline_that_fits_several_settings_is_refused(refused):
    rows = "".join(f"{lr},{r},0,1.{r}\n" for lr in (1e-4, 2e-4) for r in (8, 16))
    sentence = refused("lr,lora_r,seed,eval_loss\n" + rows, "--baseline", "learning_rate=1e-4")
    assert "fits 2 combinations of settings" in sentence


def test_a_wandb_export_is_read(answer):
    header = "Name,State,Runtime,Created,learning_rate,seed,max_steps,eval/loss\n"
    rows = [
        f"run-{i},{state},{30 + i},2026-01-01,{lr},{seed},200,{loss}\n"
        for i, (lr, seed, state, loss) in enumerate(
            [(1e-4, 0, "finished", 1.2), (1e-4, 1, "finished", 1.3), (2e-4, 0, "crashed", ""),
             (2e-4, 0, "finished", 1.1), (2e-4, 1, "finished", 1.21)]
        )
    ]  # fmt: skip
    found = answer(header + "".join(rows), "--value", "eval/loss", "--baseline", "learning_rate=0.0001")
    assert found["compared"] == ["baseline", "learning_rate=0.0002"]
    assert found["counts"] == {"planned": 5, "completed": 4, "diverged": 0, "failed": 1}
    assert "retried" in {finding["kind"] for finding in found["audit"]["findings"]}


def test_an_optuna_export_is_one_seed(answer):
    header = "number,value,params_learning_rate,params_lora_r,state\n"
    rows = (
        "0,1.2,0.0001,8,COMPLETE\n1,1.1,0.0002,8,COMPLETE\n"
        "2,1.15,0.0003,8,TrialState.COMPLETE\n3,,0.1,8,PRUNED\n"
    )
    found = answer(header + rows, "--baseline", "learning_rate=0.0001", "--direction", "minimize")
    assert [v["verdict"] for v in found["verdicts"]] == ["screening only"]
    finding = next(f for f in found["audit"]["findings"] if f["kind"] == "winner_of_one_seed")
    assert finding["severity"] == "serious"
    assert "best of 4 arms" in finding["sentence"]
    assert "75 %" in finding["sentence"]


def test_an_mlflow_export_of_our_own_sweep_drops_the_sweeps_row_and_takes_our_status(answer):
    header = "run_id,status,tags.kind,tags.arm,tags.seed,tags.status,tags.stage,metrics.eval_loss\n"
    rows = (
        "p,FINISHED,sweep,,,done,,\n"
        "a,FINISHED,trial,baseline,0,completed,screening,1.0\nb,FINISHED,trial,baseline,1,completed,screening,1.1\n"
        "c,FINISHED,trial,x4,0,diverged,screening,9.0\nd,FINISHED,trial,x4,1,completed,screening,1.2\n"
    )
    found = answer(header + rows)
    assert found["counts"] == {"planned": 4, "completed": 3, "diverged": 1, "failed": 0}
    assert found["verdicts"][0]["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    "column, direction",
    [
        ("eval_loss", "minimize"),
        ("perplexity", "minimize"),
        ("eval_accuracy", "maximize"),
        ("f1", "maximize"),
    ],
)
def test_the_metrics_direction_is_told_by_its_name(answer, column, direction):
    assert answer(RIGHT.replace("value", column), "--value", column)["metric"]["direction"] == direction


def test_a_direction_that_had_to_be_assumed_is_said(answer):
    assert any("smaller is taken as better" in note for note in answer(RIGHT)["notes"])
    told = answer(RIGHT, "--direction", "maximize")
    assert told["notes"] == []
    assert told["verdicts"][0]["effect_percent"] == -answer(RIGHT)["verdicts"][0]["effect_percent"]


@pytest.mark.parametrize("column", ["accuracy", "valAccuracy", '"acc,none"', "eval-acc", "exact_match", "EM"])
def test_accuracy_has_a_margin_of_two_points_and_to_publish_of_one(answer, column):
    text = RIGHT.replace("value", column).replace("1.0", "0.8").replace("1.1", "0.8")
    name = ("--value", column.strip('"'))
    assert answer(text, *name)["margin"]["absolute"] == pytest.approx(0.02)
    assert answer(text, *name, "decision.purpose=publish")["margin"]["absolute"] == pytest.approx(0.01)
    assert answer(text, *name, "decision.margin_percent=2")["margin"]["percent"] == 2.0


def test_seeds_that_repeat_the_same_differences_are_said_to(report):
    rows = [
        f"{arm},{seed},{value}{seed}" for seed in (0, 1, 2) for arm, value in (("baseline", 1.7), ("b", 1.8))
    ]
    assert "compared: 2 arms at 1 seed, for the others repeat its differences" in " ".join(
        report("\n".join(["arm,seed,eval_loss", *rows, ""]))[1].split()
    )


def test_numbers_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("arm,seed,value,lora_rank,learning_rate,schedule\nbaseline,3.0,1e400,32.0,2e-4,cosine\n")
    runs = to_runs(read_csv(path), ColumnNames())
    assert runs.seeds == (3,)
    assert runs.settings["lora_rank"] == (32,)
    assert runs.settings["learning_rate"] == (0.0002,)
    assert runs.settings["schedule"] == ("cosine",)
    assert runs.statuses == ("diverged",)


def many_rows(path: Path, arms: int, seeds: int) -> None:
    noise = random.Random(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("arm", "seed", "value", "learning_rate"))
        for arm in range(arms):
            name = f"a{arm}" if arm else "baseline"
            writer.writerows((name, s, 1.2 + noise.gauss(0, 0.01), 1e-4 * (1 + arm)) for s in range(seeds))


@pytest.mark.slow  # 1 to 5 s each, and a clock that other work on the machine may disturb
@pytest.mark.parametrize("arms, seeds", [(2, 20_000), (20, 101), (20, 5000), (40, 1000), (40, 2000)])
def test_a_hundred_thousand_rows_are_judged_in_seconds(tmp_path, capsys, arms, seeds):
    path = tmp_path / "big.csv"
    many_rows(path, arms, seeds)
    start = time.process_time()
    assert main(["report", "--full", "--from-csv", str(path)]) == 0
    assert time.process_time() - start < 6


def test_reading_a_hundred_thousand_rows_is_linear(tmp_path):
    path = tmp_path / "big.csv"
    many_rows(path, 20, 5000)
    runs = to_runs(read_csv(path), ColumnNames())
    assert runs.rows == 100_000
    assert runs.values[-1] == pytest.approx(1.2, abs=0.1)
