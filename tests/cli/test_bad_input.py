"""Bad input ends with exit code 2 and one sentence, before anything is started or written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main

PLANTED = ("sweeps=learning_rate", "model=planted", "cluster=inline")
SHORT = ("baseline.batch_size=2", "budget.max_steps=1", "seeds=[0,1]")  # should one be accepted wrongly
TRAINED = ("sweeps=learning_rate", "cluster=inline", "tracking=none", "data=jsonl", *SHORT)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    """Relative paths, the digest cache and the Hugging Face cache all end in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def refused(tmp_path, capsys):
    """Run a verb that must refuse; returns its one sentence."""

    def run(*arguments: str, verb: str = "run") -> str:
        workspace = tmp_path / "runs"
        assert main([verb, *arguments, f"workspace={workspace}"]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        lines = output.err.strip().splitlines()
        assert len(lines) == 1, output.err
        assert lines[0].startswith("bios-sweep: ")
        assert not list(workspace.rglob("*"))
        return lines[0]

    return run


@pytest.mark.parametrize("verb", ["plan", "run"])
@pytest.mark.parametrize(
    "overrides, sentence",
    [
        (
            ["baseline.learning_rat=1"],
            "unknown key 'baseline.learning_rat' (did you mean 'baseline.learning_",
        ),
        (["+baseline.learning_rat=1"], "(did you mean 'baseline.learning_rate'?); baseline has batch_size,"),
        (["learning_rate=1e-4"], "unknown key 'learning_rate' (did you mean 'baseline.learning_rate'?)"),
        (["bugdet=demo"], "unknown key 'bugdet' (did you mean 'budget'?)"),
        (["+ranks=3"], "unknown key 'ranks'"),
        (["budget=dmo"], "there is no such budget (did you mean 'demo'?); choose from default, demo"),
        (["~budget"], "budget.hold: is missing"),
        (["~baseline.learning_rate"], "baseline.learning_rate: is missing"),
        (["budget=null"], "budget=null: there is no such budget; choose from default, demo"),
        (["~seeds"], "'seeds' does not exist"),
        (["a=b=c"], "unknown key 'a'"),
        (["hydra.run.dir=x"], "'hydra.run.dir=x' is not allowed"),
    ],
)
def test_a_key_that_nothing_reads_is_refused_with_the_nearest_known_one(refused, verb, overrides, sentence):
    assert sentence in refused(*PLANTED, *overrides, verb=verb)


def test_an_unknown_sweep_is_refused_with_the_known_ones(refused):
    sentence = refused("sweeps=learning_rat", "model=planted", "cluster=inline")
    assert "there is no such sweep (did you mean 'learning_rate'?)" in sentence
    assert (
        "choose from aa, alpha, batch_size, batch_size_retuned, capacity, capacity_by_data, defaults"
        in sentence
    )


def test_no_sweep_at_all_is_refused_with_the_known_ones(refused):
    assert "no sweep is chosen; add sweeps=NAME, NAME being one of aa, alpha, batch_size" in refused(
        "model=planted"
    )


@pytest.mark.parametrize("value", ["0", "-1e-4", "nan", "inf", "fast", "true", "[1]"])
def test_a_learning_rate_that_is_no_finite_number_above_0_is_refused(refused, value):
    sentence = refused(*PLANTED, f"baseline.learning_rate={value}")
    assert sentence.startswith("bios-sweep: learning_rate: ")
    assert "it must be a finite number above 0" in sentence


@pytest.mark.parametrize(
    "key, setting",
    [
        ("baseline.batch_size", "batch_size"),
        ("baseline.lora_rank", "lora_rank"),
        ("budget.max_steps", "max_steps"),
        ("method.max_length", "max_length"),
    ],
)
@pytest.mark.parametrize("value", ["0", "-4", "1.5", "many"])
def test_a_count_below_1_or_not_whole_is_refused(refused, key, setting, value):
    sentence = refused(*PLANTED, f"{key}={value}")
    assert f"{setting}: " in sentence
    assert "it must be a whole number of at least 1" in sentence


@pytest.mark.parametrize(
    "override, sentence",
    [
        ("seeds=[0,0]", "seeds: 0 is given twice; a repeated seed is not a replicate"),
        ("seeds=[]", "seeds: [] is not allowed; give a list such as seeds=[0,1,2]"),
        ("seeds=3", "seeds: 3 is not allowed; give a list such as seeds=[0,1,2]"),
        ("seeds=[a]", "seeds: 'a' is not allowed; whole numbers from 0 on"),
        ("budget.max_trials=3", "the plan has 40 trials (5 arms x 8 seeds) and up to 10 more"),
        ("budget.max_trials=null", "budget.max_trials: None is not allowed; a whole number"),
        ("budget.max_hours=long", "budget.max_hours: 'long' is not allowed; a finite number"),
        *(
            (f"budget.max_hours={n}", f"budget.max_hours: {n} is not allowed; a number above 0")
            for n in (0, -1)
        ),
        (
            "budget.max_hours=1e30",
            "budget.max_hours: 1e+30 is not allowed; a number above 0, of a size between",
        ),
        ("decision.target=1e30", "decision.target: 1e+30 is not allowed; a number of a size between"),
        ("budget.measurements=2.5", "budget.measurements: 2.5 is not allowed; a whole number"),
        ("budget.hold=time", "budget.hold: 'time' is not allowed; choose from examples, steps"),
        ("budget.keep_adapters=some", "choose from recommended, all, none"),
        ("decision.alpha=x", "decision.alpha: 'x' is not allowed; a finite number"),
        ("decision.looks=3", "decision.looks: 3 is not allowed; give a list such as [3, 5, 8]"),
        ("decision.confirmation_seeds=1", "0 for none, else at least 2"),
        ("method.name=full", "method.name=full: contradicts method.trains=lora"),
        ("method=ia3", "method=ia3: there is no such method; choose from command, dora, dpo, full, lora"),
        ("method.name=ia3", "choose from lora, dora, qlora, full, dpo, command, python"),
        ("method.dtype=half", "method.dtype: 'half' is not allowed; choose from auto, float32, bfloat16"),
        ("cluster.executor=slurm", "cluster.executor: 'slurm' is not allowed; choose from ray, inline"),
        ("cluster.cpus_per_trial=x", "cluster.cpus_per_trial: 'x' is not allowed; a whole number"),
        ("cluster.max_concurrent=0", "cluster.max_concurrent: 0 is not allowed; a whole number"),
        ("cluster.device=tpu", "cluster.device: 'tpu' is not allowed; choose from auto, cpu, cuda"),
        ("tracking.flush_seconds=x", "tracking.flush_seconds: 'x' is not allowed; a number of at least 0"),
        ("tracking.enabled=maybe", "tracking.enabled: 'maybe' is not allowed; true or false"),
        ("data.eval_examples=0", "data.eval_examples: 0 is not allowed; a whole number of at least 1"),
        ("+model.planted.truht=1", "unknown option 'truht' of the planted engine; allowed: truth, loss"),
        ("model.planted.loss=x", "model.planted.loss: 'x' is not allowed; a number"),
        ("~model.planted", "model.planted.family: is missing"),
        ("model.kind=foo", "model.kind: 'foo' is not allowed; choose from embedded, local, planted"),
    ],
)
def test_a_value_out_of_range_names_its_key_and_what_is_allowed(refused, override, sentence):
    assert sentence in refused(*PLANTED, override)


@pytest.mark.parametrize(
    "override, sentence",
    [
        ("sweeps.factors.learning_rate.multiply=[1]", "no variation is left beside the baseline"),
        ("sweeps.factors.learning_rate.multiply=[]", "give either multiply or values"),
        ("sweeps.factors.learning_rate.multiply=[0]", "multiply 0 is not a finite number above 0"),
        ("sweeps.factors.learning_rate=0", "give {multiply: [...]} or {values: [...]}"),
        ("sweeps.factors.learning_rate.multiply=2", "learning_rate.multiply: 2 is not a list"),
        ("+sweeps.factors.learning_rate.add=[2]", "allowed are multiply, values, claims, nuisance"),
        (
            "+sweeps.factors.rank.values=[8]",
            "factor 'rank' is no setting (did you mean lora_rank?); choose from learning_rate,",
        ),
        ("+sweeps.factors.lora_rank.values=[0]", "lora_rank: 0 is not allowed"),
        ("~sweeps.factors", "sweeps.factors: no variation is given"),
        ("+sweeps.levels=3", "sweeps.levels: unknown key; a sweep has question, factors and cross"),
    ],
)
def test_a_sweep_that_cannot_be_expanded_is_refused(refused, override, sentence):
    assert sentence in refused(*PLANTED, override)


@pytest.mark.parametrize(
    "override", ["model._target_=os.system", "+budget._target_=x", "+sweeps.factors._target_=x"]
)
def test_a_key_that_names_code_is_refused_in_an_override(refused, override):
    assert "is not allowed: configs name values, never code" in refused(*PLANTED, override)


@pytest.mark.parametrize("inside", ["_target_: os.system", "nested: [{_partial_: true}]"])
def test_a_key_that_names_code_is_refused_in_a_users_own_file(refused, tmp_path, inside):
    (tmp_path / "own/sweeps").mkdir(parents=True)
    (tmp_path / "own/sweeps/mine.yaml").write_text(f"question: Which?\n{inside}\n")
    sentence = refused("sweeps=mine", "model=planted", "--config-dir", str(tmp_path / "own"))
    assert "is not allowed: configs name values, never code" in sentence


def test_a_users_own_file_that_is_no_yaml_is_refused_by_name(refused, tmp_path):
    (tmp_path / "own/sweeps").mkdir(parents=True)
    (tmp_path / "own/sweeps/mine.yaml").write_text("question: [\n")
    sentence = refused("sweeps=mine", "model=planted", "--config-dir", str(tmp_path / "own"))
    assert "cannot be read as YAML" in sentence
    assert "mine.yaml" in sentence


@pytest.mark.parametrize("value", ["null", ""])
def test_a_workspace_without_a_name_is_refused(tmp_path, capsys, value):
    assert main(["run", *PLANTED, f"workspace={value}"]) == 2
    assert "workspace: missing; give a folder" in capsys.readouterr().err
    assert not list(tmp_path.rglob("driver.lock"))


def test_a_config_folder_that_is_none_is_refused(refused):
    assert "--config-dir: nowhere is not a folder" in refused(*PLANTED, "--config-dir", "nowhere")


def _line(number: int, **more: str) -> str:
    return json.dumps({"prompt": f"What is {number}?", "completion": f" The number {number}."} | more) + "\n"


DATA = {
    "empty.jsonl": "",
    "blank.jsonl": "\n\n",
    "cut.jsonl": _line(1) + _line(2) + '{"prompt": "What is 3?", "comp',
    "silent.jsonl": _line(1) + _line(2, completion="  "),
    "code.jsonl": _line(1) + _line(2) + _line(3, _target_="os.system"),
    "good.jsonl": "".join(_line(number) for number in range(20)),
    "part.jsonl": "".join(_line(number) for number in range(18, 25)),
}


@pytest.mark.parametrize(
    "overrides, sentence",
    [
        ([], "data.path: missing; give a file such as data.path=train.jsonl"),
        (
            ["data.path=none.jsonl"],
            "none.jsonl: no such file; data.path takes a file, a folder or a pattern",
        ),
        (
            ["data.path=."],
            ".: has several files (blank.jsonl, code.jsonl, cut.jsonl and 4 more), none",
        ),
        (["data.path=empty.jsonl"], "empty.jsonl: the file is empty; write one JSON object per line"),
        (["data.path=blank.jsonl"], "blank.jsonl: the file is empty"),
        (["data.path=cut.jsonl"], "cut.jsonl:3: not valid JSON"),
        (["data.path=silent.jsonl"], "silent.jsonl:2: the completion is empty; there is nothing to learn"),
        (["data.path=code.jsonl"], "code.jsonl:3: the key '_target_' is not allowed in data"),
        (
            ["data.path=good.jsonl", "data.eval_path=part.jsonl"],
            "good.jsonl:19 and part.jsonl:1 are the same example (2 of 7 evaluation examples",
        ),
        (["data.path=good.jsonl", "data.eval_examples=20"], "leaves none for training; choose at most 19"),
        (["data.path=good.jsonl", "data.eval_fraction=2"], "must be above 0 and below 1"),
        (["data.path=good.jsonl", "data.eval_fraction=x"], "data.eval_fraction: 'x' is not allowed"),
        (["data=planted"], "data=planted has no examples; it goes with model=planted only"),
        (["data.kind=csv"], "data.kind: 'csv' is not allowed; choose from embedded, file, hub, jsonl"),
        (
            ["data.path=good.jsonl", "data.eval_examples=2", "method.micro_batch_size=0"],
            "method.micro_batch_size: 0 is not allowed",
        ),
    ],
)
def test_data_that_cannot_be_used_are_refused_with_file_and_line(refused, tmp_path, overrides, sentence):
    for name, content in DATA.items():
        (tmp_path / name).write_text(content)
    assert sentence in refused(*TRAINED, *overrides)


def test_an_example_without_a_token_to_predict_is_refused_with_its_line(refused, tmp_path):
    (tmp_path / "good.jsonl").write_text(DATA["good.jsonl"])
    sentence = refused(*TRAINED, "data.path=good.jsonl", "data.eval_examples=1", "method.max_length=1")
    assert ": the completion has no token that can be predicted within max_length=1" in sentence
    assert sentence.startswith("bios-sweep: good.jsonl:")


@pytest.mark.parametrize(
    "path, sentence",
    [
        ("", "model.path: missing; give a folder with config.json, or a Hugging Face id"),
        ("./nothing", "no such folder; give a folder with config.json"),
        ("someone/absent", "neither a folder nor in the Hugging Face cache"),
        ("bare", "no config.json; a Hugging Face model folder has one"),
        ("pickled", "no model.safetensors (found pytorch_model.bin, and pickle files can run code)"),
        ("cut", "model.safetensors has 5000 bytes where its header needs"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(refused, tmp_path, path, sentence):
    (tmp_path / "good.jsonl").write_text(DATA["good.jsonl"])
    (tmp_path / "bare").mkdir()
    _copy_model(tmp_path / "pickled", lambda weights: weights.rename(weights.with_name("pytorch_model.bin")))
    _copy_model(tmp_path / "cut", lambda weights: weights.write_bytes(weights.read_bytes()[:5000]))
    given = [f"model.path={path}"] if path else []
    assert sentence in refused(*TRAINED, "data.path=good.jsonl", "model=local", *given)


def _copy_model(folder: Path, damage) -> None:
    shutil.copytree(base_model_path(), folder)
    damage(folder / "model.safetensors")


@pytest.mark.parametrize(
    "uri, sentence",
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9 cannot be reached"),
        ("http://me:secret@127.0.0.1:9", "tracking.uri: http://127.0.0.1:9 cannot be reached"),
        ("sqlite:///runs.db", "is relative and would move with the working directory; write sqlite:////"),
        ("ftp://somewhere", "is not supported; give http(s)://HOST:PORT of an MLflow server"),
        ("sqlite:////nowhere/at/all.db", "folder /nowhere/at is missing"),
    ],
)
def test_a_tracking_address_that_cannot_be_used_is_refused(refused, tmp_path, uri, sentence):
    assert sentence in refused(*PLANTED, "tracking=sqlite", f"tracking.uri={uri}")
    assert not list(tmp_path.rglob("*.db"))


@pytest.mark.parametrize(
    "request_, sentence",
    [
        (["cluster.cpus_per_trial=999"], "needs 999 CPUs per trial, the local machine offers"),
        (["cluster.gpus_per_trial=1.5"], "cluster.gpus_per_trial: 1.5 is not allowed; above 1 only whole"),
        (["cluster.gpus_per_trial=many"], "cluster.gpus_per_trial: 'many' is not allowed; a number"),
        (["cluster.address=6379"], "cluster.address: 6379 is not allowed; give auto or host:port"),
    ],
)
def test_a_cluster_request_that_can_never_be_met_is_refused_at_once(refused, request_, sentence):
    started = time.monotonic()
    assert sentence in refused("sweeps=learning_rate", "model=planted", "cluster=ray", *request_)
    assert time.monotonic() - started < 10


def test_a_cluster_that_does_not_answer_is_refused(tmp_path):
    """In a process of its own: one that has a Ray session already, as the suite's, joins no other."""
    there = ["cluster=ray", "cluster.address=127.0.0.1:9", f"workspace={tmp_path / 'runs'}"]
    words = ["sweeps=demo", "model=planted", *there]
    command = [sys.executable, "-m", "bios_sweep", "run", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no Ray cluster could be joined there" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("verb", ["status", "report", "stop", "sync", "ui"])
def test_a_workspace_without_a_sweep_is_refused_and_not_made(refused, tmp_path, verb):
    assert "no sweep" in refused(verb=verb)
    assert not (tmp_path / "runs").exists()


def test_an_example_longer_than_the_models_positions(refused, tmp_path):
    data = tmp_path / "long.jsonl"
    row = json.dumps({"prompt": "word " * 2000, "completion": "an answer"})
    other = json.dumps({"prompt": "short", "completion": "another answer"})
    data.write_text(f"{row}\n{other}\n")
    told = refused("sweeps=demo", "data=jsonl", f"data.path={data}", "data.eval_examples=1")
    assert "model embedded has 256 positions; use method.max_length=256 or less" in told
