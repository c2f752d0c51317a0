"""A method's three parts: every spelling of them, what contradicts, and the identities that must not move."""

from __future__ import annotations

import dataclasses
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from bios_sweep import defaults
from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main
from bios_sweep.config.compose import compose_config
from bios_sweep.config.method import method_of, with_parts
from bios_sweep.driver.next_study import asked_elsewhere
from bios_sweep.driver.view import open_sweep
from bios_sweep.errors import ConfigError, DefaultsError, NotTunedError
from bios_sweep.method import PRESETS, Method, Objective, Runner
from bios_sweep.records.workspace import Workspace
from bios_sweep.refit.collected import collect
from bios_sweep.settings import TrainingSettings, without_adapter
from bios_sweep.study.scenario import DataFacts, ModelFacts, Scenario
from bios_sweep.study.trials import trial_key
from tests.defaults.entries import LLAMA, entry, rate, write

OWN = ("data.path=mine.jsonl",)
BETA = ("method=dpo", "+sweeps.factors.dpo_beta.values=[0.2]")
RULES = "+sweeps.factors.alpha_rule.values=[rank, sqrt_rank]"
COMMAND = f"method.command={sys.executable} -S train.py {{learning_rate}} {{seed}}"
SCRIPT = """
import json, math, sys
rate, seed = float(sys.argv[1]), int(sys.argv[2])
print(json.dumps({"eval_loss": 2 + 0.1 * abs(math.log(rate / 2e-3)) + 0.001 * (seed % 3)}))
"""
HERE = ("sweeps=learning_rate", "cluster=inline", "tracking=none", "baseline.learning_rate=1e-3")


def said(*overrides: str) -> tuple[str | None, str, str]:
    values = compose_config(["sweeps=learning_rate", *overrides]).values["method"]
    method = method_of(values)
    return method.trains, str(method.objective), str(method.runner)


@pytest.mark.parametrize(
    "overrides, parts",
    [
        ((), ("lora", "sft", "builtin")),
        (("method=lora",), ("lora", "sft", "builtin")),
        (("method=command",), (None, "sft", "command")),
        (("method=python",), (None, "sft", "python")),
        (("method.name=lora",), ("lora", "sft", "builtin")),
        (("method=dpo",), ("lora", "dpo", "builtin")),
        (("method.objective=dpo",), ("lora", "dpo", "builtin")),
        (("method=command", "method.name=command"), (None, "sft", "command")),
        (("method.trains=lora",), ("lora", "sft", "builtin")),
        (("method.trains=null",), ("lora", "sft", "builtin")),
        (("method.objective=sft",), ("lora", "sft", "builtin")),
        (("method.objective=null",), ("lora", "sft", "builtin")),
        (("method.runner=builtin",), ("lora", "sft", "builtin")),
        (("method.runner=command", COMMAND), (None, "sft", "command")),
        (("method.runner=python", "method.callable=train:trial"), (None, "sft", "python")),
        (("method=command", "method.trains=full"), ("full", "sft", "command")),
        (("method=command", "method.objective=dpo"), (None, "dpo", "command")),
        (("method.runner=python", "method.trains=lora", "method.objective=dpo"), ("lora", "dpo", "python")),
    ],
)
def test_every_preset_and_each_part_alone(overrides, parts):
    assert said(*overrides) == parts


def test_a_runner_brings_its_preset_and_says_so():
    config = compose_config(["sweeps=learning_rate", "method.runner=command", COMMAND])
    assert config.members["method"] == "command"
    assert config.notes == ("method.runner is given: method=command is chosen",)
    assert compose_config(["sweeps=learning_rate", "method=command", COMMAND]).notes == ()


@pytest.mark.parametrize("name", list(PRESETS))
def test_the_parts_of_a_preset_are_plain_texts_that_yaml_can_write(name):
    written = with_parts({"name": name})
    assert yaml.safe_load(yaml.safe_dump(written)) == written


def test_a_group_of_an_earlier_version_says_a_name_alone(tmp_path):
    for name in PRESETS:
        settings = "lora_alpha: auto\nlora_dropout: 0.0\nschedule: linear\nwarmup_fraction: 0.0\n"
        rest = "resumes: false\nweight_decay: 0.0\nmax_grad_norm: 1.0\nmax_length: 64\ndtype: float32\n"
        (tmp_path / "method").mkdir(exist_ok=True)
        (tmp_path / "method/mine.yaml").write_text(f"name: {name}\n{settings}{rest}")
        values = compose_config(["sweeps=learning_rate", "method=mine"], tmp_path).values
        assert method_of(values["method"]) == PRESETS[name]


@pytest.mark.parametrize(
    "overrides, sentence",
    [
        (("method=lora", "method.runner=command"), "said by keys of method=command; choose it"),
        (("method=lora", "method.runner=python"), "said by keys of method=python; choose it"),
        (("method.runner=command",), "method.command: missing"),
        (("method=command", "method.runner=python"), "method.callable: missing; for example"),
        (("method.name=command",), "method.name=command: contradicts method.runner=builtin; leave it out"),
        (("method=command", "method.name=lora"), "contradicts method.runner=command; leave it out"),
        (("method.runner=slurm",), "'slurm' is not allowed; choose from builtin, command, python"),
        (("method.objective=ppo",), "method.objective: 'ppo' is not allowed; choose from sft, dpo"),
        (("method.dpo_beta=0.2",), "method.dpo_beta: is of preference training; add method=dpo"),
        (
            ("+sweeps.factors.dpo_beta.values=[0.2]",),
            "factors.dpo_beta: is of preference training; add method",
        ),
        (("method=dpo", "model=planted"), "method.objective=dpo: model=planted prefers nothing"),
        (("method=dpo", "data.shape=preference_chosen", *OWN), "method=dpo learns from preference pairs"),
        (("data.shape=preference_pairs", *OWN), "supervised training learns one answer; add method=dpo"),
        (
            ("method=dpo", *OWN),
            "mine.jsonl:1: is written as prompt_completion, which has no answer to prefer",
        ),
        (("method=dpo", "+sweeps.factors.objective.values=[sft]"), "losses of two objectives are not of one"),
        (("+sweeps.factors.method.values=[dpo]",), "factors.method: dpo is an objective, and losses of two"),
        ((*BETA, "+method.metric=eval_loss"), "eval_loss has one beta and prefers arms"),
        (
            ("method=dpo", "method.dpo_eval_beta=0"),
            "method.dpo_eval_beta: 0 is not allowed; a number above 0",
        ),
        (("method=dpo", "+method.metric=eval_bits_per_byte"), "no trial measures 'eval_bits_per_byte'"),
        (("method.trains=ia3",), "method.trains: 'ia3' is not allowed; choose from lora, dora, qlora,"),
        (("method=full", "method.name=lora"), "method.name=lora: contradicts method.trains=full"),
        (("method.name=[lora]",), "method.name: ['lora'] is not allowed; choose from lora, dora"),
        (("method=full", "sweeps=capacity"), "factor lora_rank: it is an adapter's, and full fine-tuning"),
        (("method=full", "baseline.lora_rank=8"), "lora_rank: 8 is not allowed; it is an adapter's"),
        (("method=full", "method.alpha_rule=rank"), "alpha_rule: 'rank' is not allowed; it is an adapter's"),
        (("method=full", "method.targets=mlp"), "targets: 'mlp' is not allowed; it is an adapter's"),
        (("method.targets=[q_prj]",), "no linear layer called 'q_prj' (did you mean q_proj"),
        (("method.init=pissa",), "pissa changes the base's weights, which all trials share; choose"),
        (("method.init=eva",), "eva looks at data first, which no plan counts; choose from kaiming"),
        (
            ("method=full", "sweeps=lora_or_full", "baseline.learning_rate=auto"),
            "no level differs from the baseline's full; choose method.trains=lora for the baseline, or",
        ),
        (
            ("+sweeps.factors.lora_dropout.values=[0.0]",),
            "factor lora_dropout: no level differs from the baseline's 0.0; give a level other than 0.0",
        ),
        (
            (RULES,),
            "at rank 32 every level has the baseline's alpha; choose baseline.lora_rank other than 32",
        ),
        ((RULES, "+sweeps.factors.lora_rank.values=[8]"), "or cross it with lora_rank"),
        (("method.init=orthogonal", "baseline.lora_rank=9"), "init orthogonal needs an even rank"),
    ],
)
def test_a_contradiction_is_refused_in_one_sentence(shell, overrides, sentence):
    Path("mine.jsonl").write_text('{"prompt": "Q", "completion": " a"}\n' * 9)
    err = shell("plan", *overrides, code=2).strip()
    assert sentence in err
    assert err.count("\n") == 0


@pytest.mark.parametrize(
    "overrides",
    [
        ("baseline.lora_rank=8",),
        ("+sweeps.cross.lora_rank=[8, 32]",),
        ("method=command", "method.trains=lora", f"{COMMAND} {{alpha_rule}}"),  # its rule may be another one
    ],
)
def test_alpha_rules_are_asked_where_their_alphas_differ(shell, overrides):
    assert "alpha_rule=sqrt_rank" in shell("plan", RULES, *overrides, "--json")


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is here")
def test_four_bits_are_refused_where_nothing_here_has_them(shell):
    message = "method.trains=qlora: bitsandbytes is not installed; install bios-sweep[qlora], or choose"
    assert message in shell("plan", "method=qlora", "sweeps=learning_rate", code=2)
    assert message in shell("plan", "sweeps=learning_rate", "+sweeps.factors.method.values=[qlora]", code=2)


def scenario(method: Method, code: str = "k") -> Scenario:
    facts = {"name": "m", "fingerprint": "a"}
    return Scenario(
        model=ModelFacts(path="p", family="llama", hidden_size=64, **facts),
        data=DataFacts(file="f", evaluation_fingerprint="c", train_examples=9, eval_examples=3, **facts),
        method=method,
        engine={"builtin": "x:Y", "command": "x:C", "python": "x:P"}[method.runner],
        engine_version="1",
        engine_options={},
        software={"torch": "2"},
        code=code if method.scripted else "",
    )


LORA = TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=100)
FULL = TrainingSettings.from_dict(without_adapter({**LORA.to_dict(), "method": "full"}))
COMMAND_LORA = dataclasses.replace(PRESETS["command"], trains="lora")
COMMAND_FULL = dataclasses.replace(PRESETS["command"], trains="full")


@pytest.mark.parametrize(
    "method, settings, key",
    [
        (PRESETS["lora"], LORA, "de19ae06a59930c5"),
        (PRESETS["command"], LORA, "8784df8eb2c49f55"),
        (COMMAND_LORA, LORA, "8784df8eb2c49f55"),
        (COMMAND_FULL, FULL, "0e69a7d95f9be01a"),
        (PRESETS["python"], LORA, "07411da1f7d08f2a"),
    ],
)
def test_trials_keep_the_keys_that_they_had_before_methods_had_parts(method, settings, key):
    assert trial_key(settings, 0, 0, scenario(method)) == key
    other = dataclasses.replace(method, objective=Objective.DPO)
    assert trial_key(settings, 0, 0, scenario(other)) != key


@pytest.mark.parametrize(
    "before, trains, method, name",
    [
        ("lora", None, Method(), "lora"),
        ("command", None, PRESETS["command"], "command"),
        ("command", "full", COMMAND_FULL, "command"),
        ("python", "lora", Method(runner=Runner.PYTHON), "python"),
    ],
)
def test_a_plan_of_an_earlier_version_is_read(before, trains, method, name):
    here = scenario(method)
    plain = json.loads(json.dumps(here.to_dict()))
    assert (plain["method"], plain["trains"], "objective" in plain) == (before, trains, False)  # as it was
    assert Scenario.from_dict(plain) == here
    assert here.name == f"m | m | {name}"
    dpo = scenario(dataclasses.replace(method, objective=Objective.DPO))
    assert dpo.name == f"m | m | {name} dpo"
    assert Scenario.from_dict(json.loads(json.dumps(dpo.to_dict()))) == dpo


# the tuned key


def test_the_tuned_key_of_supervised_lora_is_as_it_was(tmp_path):
    content = json.loads(defaults.write_tuned(tmp_path / "a.json", entry()).read_text())
    assert content["schema_version"] == 1
    assert {"objective", "runner"}.isdisjoint(content["key"])


def test_a_look_up_does_not_mix_objectives(tmp_path):
    path = write(tmp_path / "dpo.json", entry(3e-6, objective="dpo", runner="command"))
    assert json.loads(path.read_text())["schema_version"] == 2  # a reader of version 1 would take it for sft
    assert defaults.serve(**LLAMA, path=path).source == "shipped heuristics"
    assert defaults.serve(**LLAMA, path=path, objective="preference").learning_rate == 3e-6
    both = write(tmp_path / "both.json", entry(1e-4), entry(3e-6, objective="dpo"))
    assert rate(defaults.lookup(**LLAMA, path=both)) == 1e-4
    assert rate(defaults.lookup(**LLAMA, path=both, objective="dpo")) == 3e-6
    assert rate(defaults.lookup(entry(objective="dpo").key, path=both)) == 3e-6
    with pytest.raises(NotTunedError, match="lora by dpo, alpha_over_rank"):
        defaults.lookup(**LLAMA, path=write(tmp_path / "sft.json", entry()), objective="dpo")


def test_a_rate_tuned_by_dpo_is_not_moved_by_the_rule_of_supervised_training(tmp_path):
    path = write(tmp_path / "dpo.json", entry(3e-6, objective="dpo", hidden_size=256))
    got = defaults.serve(**LLAMA, path=path, objective="preference")
    assert got.learning_rate == 3e-6
    assert "moved by the rule" not in got.why["learning_rate"].rule
    assert got.why["learning_rate"].confidence == "extrapolated"


def test_the_loader_to_copy_does_not_mix_objectives_either(tmp_path):
    from bios_sweep.defaults.vendored_loader import tuned

    path = write(tmp_path / "both.json", entry(1e-4), entry(3e-6, objective="dpo"))
    assert tuned("llama", 128, path=path)["values"]["learning_rate"] == 1e-4
    assert tuned("llama", 128, path=path, objective="dpo")["values"]["learning_rate"] == 3e-6
    with pytest.raises(LookupError, match="no entry"):
        tuned("llama", 128, path=write(tmp_path / "sft.json", entry()), objective="dpo")


def test_a_key_has_no_unknown_word(tmp_path):
    for part in ({"objective": "ppo"}, {"runner": "builtin"}):
        with pytest.raises(DefaultsError, match="it must be one of"):
            write(tmp_path / "a.json", entry(**part))


def test_evidence_of_two_runners_is_kept_apart():
    one, two = entry(1e-4), entry(2e-4, date="2026-11-25", runner="command")
    assert defaults.merge([("a", one), ("b", two)]) == (one, two)


# from the command line to the tuned file


class Shell:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.workspace = Workspace(folder / "runs")
        self._capsys = capsys

    def __call__(self, verb: str, *words: str, code: int = 0) -> str:
        assert main([verb, *HERE, *words, f"workspace={self.workspace.root}"]) == code
        out, err = self._capsys.readouterr()
        return err if code else out


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)
    return Shell(tmp_path, capsys)


def test_a_script_that_trains_by_dpo_has_trials_defaults_and_a_scenario_of_its_own(shell):
    own = ("method=command", COMMAND, "model=embedded", "method.trains=lora", "baseline.learning_rate=auto")
    sft = json.loads(shell("plan", *own, "--json"))
    dpo = json.loads(shell("plan", *own, "method.objective=dpo", "--json"))
    assert (sft["scenario"], dpo["scenario"]) == tuple(
        f"{sft['scenario'].rpartition(' | ')[0]} | {name}" for name in ("command", "command dpo")
    )
    assert dpo["baseline"]["learning_rate"] == 1e-5  # of preference training
    assert sft["baseline"]["learning_rate"] > 1e-3
    assert sft["sweep_id"] != dpo["sweep_id"]


def test_what_dpo_settled_is_served_for_dpo_alone_and_is_no_evidence_for_the_rule(shell):
    levels = "sweeps.factors.learning_rate.multiply=[0.5,2,4]"
    own = ("method.runner=command", COMMAND, "model=embedded", "method.trains=lora", "method.objective=dpo")
    shell("run", *own, levels, "seeds=[0,1,2]", "decision.confirmation_seeds=2")
    [sweep_id] = shell.workspace.sweeps()
    folder = shell.workspace.sweep_dir(sweep_id)
    view = open_sweep(shell.workspace)
    assert view.plan.study.scenario.method == Method(objective=Objective.DPO, runner=Runner.COMMAND)
    assert asked_elsewhere(view, shell.workspace) == set()
    [found] = defaults.read_entries(folder / "bios_defaults.json")
    assert (found.key.method, found.key.objective, found.key.runner) == ("lora", "dpo", "command")
    sft, dpo = (
        defaults.serve(base_model_path(), path=folder / "bios_defaults.json", objective=word)
        for word in ("supervised", "preference")
    )
    assert (sft.source, dpo.learning_rate) == ("shipped heuristics", 2e-3)
    assert collect([folder]).left_out == (f"{folder}: trained by dpo; the rule is of sft",)


def test_an_unknown_part_is_no_crash():
    for values in ({"runner": ["builtin"]}, {"objective": 3}, {"trains": {"a": 1}}, {"name": 7}):
        with pytest.raises(ConfigError, match=f"method.{next(iter(values))}: .* is not allowed"):
            method_of(values)
