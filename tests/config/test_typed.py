"""What people type is read as it is meant, or refused in one sentence that says how to write it."""

from __future__ import annotations

import random

import pytest
from omegaconf import OmegaConf

from bios_sweep.cli.main import main
from bios_sweep.config.compose import compose_config
from bios_sweep.config.places import config_root
from bios_sweep.config.typed import TEXTS, parse, quoted, read_words, written
from bios_sweep.errors import ConfigError
from bios_sweep.reference.kinds import TEXT
from bios_sweep.reference.listed import listed_keys

PLANTED = ("sweeps=learning_rate", "model=planted", "cluster=inline", "tracking=none")
NASTY = (
    "data (1).jsonl",
    "epoch=1-step=9/tr,ain.jsonl",
    "数据[v2] 50%.jsonl",
    "a#b&c.jsonl",
    "it's {a}.jsonl",
    "a?b%20c;d|e<f>g*h!i^j`k",
    "-dash",
    " both ends ",
    "~/m",
    "$HOME ${x} \\${y}",
    "back\\slash\\",
    'dou"ble \'sin"gle',
    "e\u0301 é \U0001f680 \u202eolleh",
    "two\nlines\tand a tab",
    "[x]",
    "{x: y}",
    "1e-4",
    "1_000",
    "true",
    "range(1,3)",
    "n" * 300,
)


@pytest.fixture
def refused(capsys):
    """The one sentence of a command that must be refused."""

    def run(*words: str) -> str:
        try:
            code = main(list(words))
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        assert (code, out, len(err.strip().splitlines())) == (2, "", 1), err
        return err.strip().removeprefix("bios-sweep: ")

    return run


@pytest.mark.parametrize("text", [text for text in NASTY if text != "[x]"])
def test_a_path_is_what_the_shell_handed_over(text):
    config = compose_config(["sweeps=aa", f"data.path={text}", f"workspace={text}", f"model.path={text}"])
    values = config.values
    assert [values["data"]["path"], values["workspace"], values["model"]["path"]] == [text, text, text]
    assert config.overrides[1] == f"data.path={text}"


def test_several_files_are_a_list_and_a_file_of_such_a_name_is_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = compose_config(["sweeps=aa", "data.path=[a.jsonl,'b (1).jsonl']"])
    assert listed.values["data"]["path"] == ["a.jsonl", "b (1).jsonl"]
    (tmp_path / "[x]").touch()
    assert compose_config(["sweeps=aa", "data.path=[x]"]).values["data"]["path"] == "[x]"


def test_any_text_comes_through_hydra_to_the_letter():
    letters = [*"ab \\'\"${}[]()=#?%,&~-+:;<>|*!@^`/.\t\né\U0001f680", "${", "\\'", "${a}", "\\"]
    draw = random.Random(0)
    for _ in range(300):
        text = "".join(draw.choice(letters) for _ in range(draw.randint(0, 8)))
        found = parse(f"data.path={quoted(text, braces=True)}")
        assert OmegaConf.to_container(OmegaConf.create({"a": found.value()}), resolve=True)["a"] == text
        again = parse(read_words([written("data.path", text)])[0])
        assert OmegaConf.to_container(OmegaConf.create({"a": again.value()}), resolve=True)["a"] == text


def test_a_value_that_is_quoted_for_hydra_means_the_same_and_null_is_no_path(monkeypatch):
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    config = compose_config(["workspace='a(1)'", "data.path=null", "data.eval_path=${oc.env:SCRATCH}/b"])
    assert (config.values["workspace"], config.values["data"]["path"]) == ("a(1)", None)
    assert config.values["data"]["eval_path"] == "/scratch/me/b"


def test_every_key_that_takes_a_path_or_a_command_is_read_as_a_text():
    listed = listed_keys(config_root() / "conf")
    endings = ("path", "file", "template", "dir", "venv", "storage", "command", "uri", "workspace")
    free = {key.path for key in listed if key.kind.type == TEXT and not key.kind.choices}
    assert {path for path in free if path.endswith(endings)} <= set(TEXTS)
    assert set(TEXTS) <= {key.path for key in listed}


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["baseline.lr=1e-4"], "unknown key 'baseline.lr' (did you mean 'baseline.learning_rate'?)"),
        (["lr=1e-4"], "(did you mean 'baseline.learning_rate'?)"),
        (["bs=4"], "(did you mean 'baseline.batch_size'?)"),
        (["r=4"], "(did you mean 'baseline.lora_rank'?)"),
        (["epochs=4"], "(did you mean 'budget.epochs'?)"),
        (["output_dir=x"], "(did you mean 'workspace'?)"),
        (["factors={lora_rank: [1]}"], "(did you mean 'sweeps.factors'?)"),
        (["sweeps=aa", "sweeps.factors={lora_rank: {values: [1]}}"], "and take sweeps=./my_sweep.yaml"),
        (
            ["sweeps=learning_rate", "sweeps.factors.lora_rank={values: [1]}"],
            "sweeps.factors.learning_rate.m",
        ),
        (
            ["sweeps=learning_rate", "sweeps.cross={lora_rank: [1]}"],
            "with cross: {lora_rank: [8, 32, 128]}, and",
        ),
        (["+lr=1e-4"], "(did you mean 'baseline.learning_rate'?)"),
        (["learning_rate", "1e-4"], "is no override, which is key=value; write baseline.learning_rate=1e-4"),
        (["seeds", "=", "[0,1]"], "write seeds=[0,1]"),
        (["seeds=", "[0,1]"], "write seeds=[0,1] without spaces"),
        (["=3"], "no key before the equal sign"),
        (["seeds:", "[0,1]"], "write seeds=[0,1]"),
        (["demo"], "write sweeps=demo"),
        (["my.yaml"], "write sweeps=my.yaml"),
        (["seeds=0,1"], "seeds: '0,1' is not allowed; give a list such as seeds=[0,1,2]"),
        (["seeds=range(3)"], "seeds: 'range(3)' is not allowed"),
        (["seeds=[0,1"], "the [ at character 1 is not closed"),
        (["seeds=[0,,1]"], "an item is missing before the comma at character 4"),
        (["seeds=0]"], "seeds: '0]' is not allowed"),
        (["seeds=[0]]"], "']' stands behind the end at character 3"),
        (["seeds=[é]"], "'é' at character 2 needs quotes around its text"),
        (["decision.guardrails={a: 1"], "the { at character 1 is not closed"),
        (["baseline.learning_rate=0,001"], "'0,001' is not allowed; it must be a finite number above 0"),
        (["baseline.learning_rate=5%"], "'5%' is not allowed"),
        (["baseline.learning_rate=inf"], "inf is not allowed"),
        (["baseline.learning_rate=None"], "'None' is not allowed"),
        (["baseline.learning_rate="], "'' is not allowed"),
        (["baseline.learning_rate=???"], "'??? ' is not allowed"),
        (["baseline.learning_rate=${x}"], "${x} names no value"),
        (["workspace=${oc.env:SLURM_NOT_THERE}"], "the environment variable SLURM_NOT_THERE is not set"),
        (["workspace=???"], "stands for a value that is still missing"),
        (["data@x=jsonl"], "'@', its character 5, stands in no key"),
        (["a b=3"], "' ', its character 2, stands in no key"),
        (["budget={hold: steps}"], "there is no such budget; choose from default, demo"),
        (["data=a/b.jsonl"], "write data.path=a/b.jsonl"),
        (["~nothing"], "'nothing'"),
        (["workspace=a\0b"], "holds a NUL character"),
        (["workspace=a\udcff"], "holds bytes that are no UTF-8"),
        (["sweeps=./none.yaml"], "there is no such file; give a file such as ./my.yaml"),
        (["sweeps=~/none.yaml"], "there is no such file"),
        (["--lr", "1e-4"], "plan has no flag --lr; settings are given as baseline.learning_rate=1e-4"),
        (["--batch-size=4"], "settings are given as baseline.batch_size=4"),
        (["--jsn"], "plan has no flag --jsn (did you mean --json?)"),
        (["--config-dir"], "--config-dir: its value is missing"),
    ],
)
def test_what_cannot_be_meant_so_is_answered_with_how_to_write_it(
    refused, typed, sentence, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused("plan", *PLANTED, *typed)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (
            ["pln", "sweeps=demo"],
            "there is no verb 'pln' (did you mean 'plan'?); choose from doctor, init, plan",
        ),
        (["train"], "(did you mean 'run'?)"),
        (["sweeps=demo"], "write bios-sweep plan sweeps=demo"),
        ([], "no verb is given"),
        (["defaults", "shw", "m"], "'shw' is not allowed (did you mean 'show'?)"),
        (["report", "--alll"], "report has no flag --alll (did you mean --all?)"),
        (["rehearse", "--noise", "x"], "--noise"),
    ],
)
def test_a_misspelt_verb_or_flag_is_answered_with_the_right_one(refused, typed, sentence):
    assert sentence in refused(*typed)


@pytest.mark.parametrize("typed", [["+seeds=[0,1]"], ["++budget=demo"], ["budget=demo", "budget=default"]])
def test_a_plus_before_a_key_that_is_there_changes_nothing(typed):
    plain = [word.lstrip("+") for word in typed]
    assert compose_config(["sweeps=aa", *typed]).values == compose_config(["sweeps=aa", *plain]).values


def test_a_sweeps_file_is_chosen_by_its_path_as_people_type_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    own = tmp_path / "my [own] sweep #1.yaml"
    own.write_text("question: Which?\nfactors:\n  learning_rate: {multiply: [0.5]}\n")
    (tmp_path / "demo.yaml").write_text(
        "# @package _global_\ndefaults: [{override /budget: demo}]\nsweeps: {question: Mine, factors: {}}\n"
    )
    for typed in (f"./{own.name}", own.name, str(own), f"~/{own.name}", f"'{own.name}'"):
        config = compose_config([f"sweeps={typed}", "seeds=[0]"])
        assert (config.sweep, config.values["sweeps"]["question"]) == ("my_own_sweep_1", "Which?")
    config = compose_config(["sweeps=./demo.yaml"])
    assert (config.sweep, config.values["sweeps"]["question"], config.members["budget"]) == (
        "demo",
        "Mine",
        "demo",
    )
    assert compose_config(["sweeps=demo"]).values["sweeps"]["question"] != "Mine"
    assert compose_config(["sweeps=aa.yaml"]).sweep == "aa"  # no file of that name is here
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "bad.yaml").write_text("question: [\n")
    with pytest.raises(ConfigError, match="has no names with values"):
        compose_config(["sweeps=list.yaml"])
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        compose_config(["sweeps=bad.yaml"])
    with pytest.raises(ConfigError, match=r"is a folder; name the file"):
        compose_config([f"sweeps={tmp_path}/"])
    (tmp_path / "only.yaml").write_text("question: q\n")
    with pytest.raises(ConfigError, match=r"the file here is sweeps=\./only\.yaml"):
        compose_config(["sweeps=only"])


def test_a_folder_of_groups_may_have_any_name(tmp_path):
    folder = tmp_path / "it's [my] #{groups}, 50% é"
    (folder / "sweeps").mkdir(parents=True)
    (folder / "sweeps" / "mine.yaml").write_text("question: Which?\n")
    assert compose_config(["sweeps=mine"], folder).values["sweeps"]["question"] == "Which?"
