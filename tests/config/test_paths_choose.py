"""A path that is given is read, or the command ends; a value without effect is said by every verb."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main
from bios_sweep.config.places import config_root

ONE_SET = "decision.scope=evaluation"  # the files here are too small to speak of others of their kind
HERE = ("sweeps=learning_rate", "seeds=[0,1]", "cluster=inline", "tracking=none", ONE_SET)
SWEEP = "sweeps: {question: Which, factors: {learning_rate: {multiply: [0.5]}}}\n"
DATA, MODEL = "data.path is given: data=file is chosen", "model.path is given: model=local is chosen"
COMMAND = ("method=command", "method.command=echo {learning_rate} {seed}")
RATE = "baseline.learning_rate=1e-3"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"What is {i}?", "completion": f" The number {i}."} for i in range(40)]
    (tmp_path / "my.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copytree(base_model_path(), tmp_path / "mine")
    return tmp_path


@pytest.fixture
def answer(folder, capsys):
    """The JSON of a verb that must go well."""

    def run(verb: str, *words: str) -> dict:
        assert main([verb, *words, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def refused(folder, capsys):
    """The one sentence of a verb that must refuse."""

    def run(*words: str) -> str:
        assert main(["plan", *words]) == 2
        out, err = capsys.readouterr()
        assert (out, len(err.strip().splitlines())) == ("", 1)
        return err.strip()

    return run


def own(folder: Path, name: str, text: str) -> tuple[str, str]:
    """A file of the user's own in DIR, and the flag that finds it."""
    file = folder / "own" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return "--config-dir", str(folder / "own")


def test_a_data_path_chooses_jsonl_and_is_what_is_trained_on(answer):
    given = ("data.path=my.jsonl", "data.eval_examples=8")
    asked, chosen = answer("plan", *HERE, *given), answer("plan", *HERE, *given, "data=file")
    assert asked["warnings"] == [DATA]
    assert chosen["warnings"] == []
    assert asked["scenario"] == "embedded | my | lora"
    assert asked["sweep_id"] == chosen["sweep_id"]


def test_a_model_path_chooses_local(answer):
    told = answer("plan", *HERE, "data.path=my.jsonl", "model.path=mine")
    assert told["warnings"] == [DATA, MODEL]
    assert told["scenario"] == "mine | my | lora"


def test_the_model_of_a_script_is_known_by_its_path_alone(answer):
    told = answer("plan", *HERE, *COMMAND, "model.path=mine")
    assert told["warnings"] == [MODEL]
    assert told["origins"]["learning_rate"]["recommended"]


def test_the_choice_is_printed_and_a_run_says_it_too(folder, capsys):
    assert main(["plan", *HERE, "data.path=my.jsonl"]) == 0
    assert f"- {DATA}\n" in capsys.readouterr().out
    words = ("data.path=my.jsonl", RATE, *COMMAND)
    assert main(["plan", *HERE, *words]) == 2
    assert "data.path: a script reads its own data" in capsys.readouterr().err
    ran = ("sweeps=aa", "seeds=[0,1]", "model=planted", "budget.keep_adapters=all", "workspace=runs")
    told = "budget.keep_adapters=all has no effect: only our own training leaves adapters"
    assert main(["run", *ran, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["warnings"] == [told]
    assert f"warning: {told}\n" in err


def test_a_path_in_a_sweeps_own_file_counts_the_same(folder, answer):
    flag = own(folder, "sweeps/mine", f"# @package _global_\n{SWEEP}data: {{path: my.jsonl}}\n")
    told = answer("plan", "sweeps=mine", *HERE[1:], *flag)
    assert (told["warnings"], told["scenario"]) == ([DATA], "embedded | my | lora")
    chosen = f"# @package _global_\ndefaults: [{{override /data: jsonl}}]\n{SWEEP}data: {{path: my.jsonl}}\n"
    told = answer("plan", "sweeps=mine", *HERE[1:], *own(folder, "sweeps/mine", chosen))
    assert (told["warnings"], told["scenario"]) == ([], "embedded | my | lora")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("data=embedded", "data.path=my.jsonl"), "data.path: data=embedded brings its own examples and"),
        (("data.eval_fraction=0.2",), "data.eval_fraction: data=embedded brings its own examples"),
        (("data.path=my.jsonl", "+data.train_examples=9"), "data.train_examples: our own training counts"),
        (("model=embedded", "model.path=mine"), "model.path: model=embedded is the model that comes with"),
        (("model=planted", "data.path=my.jsonl"), "data.path: model=planted trains on no data"),
        (("model=planted", "data=embedded"), "data: model=planted trains on no data"),
        (("+model.planted.loss=3",), "model.planted: only model=planted has planted curves"),
        ((*COMMAND, RATE, "data.path=my.jsonl"), "data.path: a script reads its own data"),
        ((*COMMAND, RATE, "model=named", "model.path=mine"), "model.path: model=named has no files that are"),
        ((*COMMAND, RATE, "method.dtype=bfloat16"), "method.dtype: method.command has no {dtype}, so the sc"),
        (("+method.metric=accuracy",), "method.metric: no trial measures 'accuracy'; choose from eval_loss"),
        (("cluster.address=auto",), "cluster.address: cluster=inline runs in one process"),
        (("tracking.uri=http://127.0.0.1:9",), "tracking.uri: is given but tracking is off; add tracking="),
    ],
)
def test_a_contradiction_is_refused_before_anything_is_read(refused, words, told):
    assert refused(*HERE, *words).startswith(f"bios-sweep: {told}")


@pytest.mark.parametrize("word", ["data.path=", "data.path=[]", "data.path=''", "model.path="])
def test_an_empty_path_is_refused_and_trains_on_nothing_else(refused, word):
    assert f"{word.partition('=')[0]}: missing; give a" in refused(*HERE, word)
    told = refused(*HERE, "data.path=my.jsonl", "data.eval_path=")
    assert told.startswith("bios-sweep: data.eval_path: is empty; give a file")


@pytest.mark.slow
def test_a_contradiction_in_a_file_of_the_users_own_is_refused_too(folder, refused):
    shipped = (config_root() / "conf/data/embedded.yaml").read_text()
    flag = own(folder, "data/mine", shipped.replace("path: null", "path: my.jsonl", 1))
    assert "data.path: data=embedded brings its own examples" in refused(*HERE, "data=mine", *flag)
    over = f"# @package _global_\ndefaults: [{{override /data: embedded}}]\n{SWEEP}data: {{path: my.jsonl}}\n"
    flag = own(folder, "sweeps/mine", over)
    assert "data.path: data=embedded brings" in refused("sweeps=mine", *HERE[1:], *flag)


def test_values_without_effect_are_named(answer):
    named = {
        "method.micro_batch_size=4": "planted curves have no batches to cut",
        "method.weight_decay=0.1": "the planted curves do not depend on it",
        "cluster.num_cpus=2": "cluster=inline trains in this process",
        "cluster.max_concurrent=4": "cluster=inline runs one trial at a time",
        "tracking.flush_seconds=9": "tracking is off",
        "decision.refine_trials=9": "there is no joint search; add decision.refine=optuna",
        "decision.cost_ratio=1.5": "no claim of this sweep weighs its cost by it",
        "decision.speed_loss_percent=2.0": "no level of this sweep claims speed",
        "decision.minimum_share=0.7": "this sweep does not test the minimum of 100 steps",
        "decision.gpu_hours=20": "it counts for `bios-sweep rehearse` only",
        "decision.looks=[3]": "the seeds that are given decide the last look",
        "budget.keep_adapters=none": "only our own training leaves adapters",
        "budget.max_hours=2": "no trial of this model was timed in this workspace",
        "+data.name=mine": "only data=named and data=hub take a name",
        "submit=slurm": "it counts for `bios-sweep submit --to slurm|kuberay|rayjob` only",
    }
    said = answer("plan", *HERE, "model=planted", *named)["warnings"]
    for word, why in named.items():
        start = word.lstrip("+") + (" has no effect" if "max_hours" not in word else " has no effect yet")
        assert any(line.startswith(start) and why in line for line in said), word
    assert len(said) == len(named)


def test_one_seed_and_no_fresh_seeds_leave_values_without_effect(answer):
    fresh = ("decision.guardrails={eval_bits_per_byte: 1}", "decision.confirmation_seeds=0")
    [said] = answer("plan", *HERE, "model=planted", *fresh)["warnings"]
    assert "without fresh seeds (decision.confirmation_seeds=0) no value is refined" in said
    one = answer("plan", *HERE, "model=planted", "seeds=[0]", "decision.alpha=0.1")["warnings"]
    assert one == ["decision.alpha=0.1 has no effect: one seed decides nothing, and names no candidate"]


def test_a_value_that_is_the_default_needs_no_word(folder, answer):
    same = ("method.dtype=float32", "cluster.num_cpus=null", "decision.refine_trials=20", "seeds=[0,1,2]")
    told = answer("plan", *HERE, "model=planted", "budget=demo", "method.lora_alpha=32", *same)
    assert told["warnings"] == []
    rank = ("baseline.lora_rank=32", "method.lora_alpha=32.0", "baseline.batch_size=128")
    assert answer("plan", *HERE, *COMMAND, RATE, *rank)["warnings"] == []


@pytest.mark.slow
def test_a_group_of_the_users_own_and_an_exported_baseline_count_as_stated(folder, answer, refused):
    tuned = "# @package _global_\nbaseline: {learning_rate: 1.0e-3, batch_size: 64, lora_rank: 32}\n"
    flag = own(folder, "baseline/tuned", tuned + "method: {trains: lora, max_length: 256, dtype: float32}\n")
    [said] = answer("plan", *HERE, "model=planted", "baseline=tuned", *flag)["warnings"]
    assert said == "method.max_length=256 has no effect: the planted curves do not depend on it"
    assert "method.max_length: method.command has no {max_length}" in refused(
        *HERE, *COMMAND, "baseline=tuned", *flag
    )
    shipped = (config_root() / "conf/cluster/inline.yaml").read_text()
    flag = own(folder, "cluster/mine", shipped + "num_cpus: 3\n")
    [said] = answer("plan", *HERE, "model=planted", "cluster=mine", *flag)["warnings"]
    assert said.startswith("cluster.num_cpus=3 has no effect")


@pytest.mark.slow
def test_a_rehearsal_uses_the_hours_and_says_what_they_replace(answer):
    words = ("model=planted", "decision.gpu_hours=5", "decision.confirmation_seeds=3", "--noise", "0.2")
    told = answer("rehearse", *HERE, *words, "--sweeps", "2", "--seconds-per-trial", "10")
    assert "decision.confirmation_seeds=3 has no effect: decision.gpu_hours has it chosen" in told["warnings"]
    assert not any(said.startswith("decision.gpu_hours") for said in told["warnings"])


def test_a_job_has_a_ray_of_its_own(answer, folder):
    words = ("cluster.address=elsewhere:6379", "submit.requeue=false", "submit.max_requeues=3")
    told = answer("submit", "--to", "slurm", "--dry-run", "sweeps=aa", "data.path=my.jsonl", *words, ONE_SET)
    assert [said.partition(" has no effect")[0] for said in told["warnings"]] == [
        DATA,
        "submit.max_requeues=3",
        "cluster.address=elsewhere:6379",
    ]
