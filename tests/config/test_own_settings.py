"""Settings of one's own, which only a script knows: from `method.settings` to verdict, file and export."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import sys
from typing import Any

import pytest

from bios_sweep import defaults
from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main
from bios_sweep.errors import ConfigError, InputError
from bios_sweep.own_settings import Own
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.factors import Factor
from bios_sweep.study.trials import TrialSpec, trial_key
from tests.scenarios import PLANTED

COMMAND = f"{sys.executable} -S train.py {{optimizer}} {{dropout2}} {{seed}}"
SCRIPT = """
import json, random, sys
optimizer, dropout, seed = sys.argv[1:]
noise = random.Random(seed).gauss(0, 0.02) + random.Random(f"{seed} {optimizer} {dropout}").gauss(0, 0.001)
loss = 2.0 + noise - 0.2 * (optimizer == "lion") + 4 * (float(dropout) - 0.1) ** 2
print(json.dumps({"step": 0, "eval_loss": 3.0}))
print(json.dumps({"step": 1000, "eval_loss": loss}))
"""
SWEEP = """
question: Which optimizer, and how much dropout?
factors:
  optimizer: {values: [adamw, lion, sgd]}
  dropout2: {multiply: [0.5, 2]}
"""
OWN = "method.settings={optimizer: adamw, dropout2: 0.1}"
BASE = TrainingSettings(
    learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=10, own=Own({"optimizer": "adamw", "depth": 3})
)


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    """A verb in a folder with the script; its answer in JSON, or what it refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "conf/sweeps").mkdir(parents=True)
    (tmp_path / "conf/sweeps/own.yaml").write_text(SWEEP)
    here = ["--config-dir", "conf", "sweeps=own", "seeds=[0,1,2,3]", "cluster=inline", "workspace=runs"]

    def run(verb: str, *words: str, method: str = "command", code: int = 0) -> Any:
        own = [f"method.command={COMMAND}", OWN] if method == "command" else []
        chosen = [*here, "tracking=none", f"method={method}", *own, *words]
        assert main([verb, *chosen, "--json"]) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        return err if code == 2 else json.loads(out)

    return run


def test_a_sweep_of_own_settings_reaches_verdicts_resumes_and_leaves_a_tuned_file(shell, tmp_path, capsys):
    known = ("model=embedded", "method.trains=lora")
    answer = shell("run", *known, "tracking=sqlite")
    found = {verdict["factor"]: verdict for verdict in answer["verdicts"]}
    assert (found["optimizer"]["verdict"], found["optimizer"]["best_level"]) == ("refine", "lion")
    assert (found["dropout2"]["verdict"], found["dropout2"]["best_level"]) == ("confirm", 0.1)
    assert not any("edge" in reason or "extend" in reason for reason in found["optimizer"]["reasons"])
    assert answer["baseline"] == {"dropout2": 0.1, "optimizer": "adamw"}
    again = shell("run", *known, "tracking=sqlite")
    assert again["counts"] == answer["counts"]
    assert shell("plan", *known)["to_run"] == 0
    where = tmp_path / "runs/sweeps" / answer["sweep_id"]
    assert "optimizer" in (where / "report.md").read_text()
    head, first = (where / "results.csv").read_text().splitlines()[:2]
    row = dict(zip(head.split(","), first.split(","), strict=True))
    assert (row["optimizer"], row["dropout2"]) == ("adamw", "0.1")
    told = "SELECT DISTINCT value FROM params WHERE key = 'optimizer'"
    with sqlite3.connect(tmp_path / "runs/mlflow.db") as store:
        assert {value for (value,) in store.execute(told)} == {"adamw", "lion", "sgd"}
    assert main(["report", "--from-csv", str(where / "results.csv"), "--json"]) == 0
    audited = {verdict["factor"]: verdict for verdict in json.loads(capsys.readouterr().out)["verdicts"]}
    for name, own in found.items():
        parts = ("verdict", "default", "best_level")
        assert [audited[name][part] for part in parts] == [own[part] for part in parts]
    tuned = defaults.read_tuned(where / "bios_defaults.json")
    assert dict(tuned.values) == {"optimizer": "lion", "dropout2": 0.1}
    text = defaults.export_file(tuned, to="trl").text()
    assert "Known to the script of the evidence alone, so not here: dropout2 0.1, optimizer lion." in text
    assert (
        "optimizer measured: refine: lion instead of adamw" in defaults.export_file(tuned, to="hydra").text()
    )
    assert defaults.export(tuned, to="hydra")["method"]["settings"] == {"optimizer": "lion", "dropout2": 0.1}
    served = ["--defaults", str(where / "bios_defaults.json"), "--json"]
    assert main(["defaults", "show", str(base_model_path()), *served]) == 0
    assert json.loads(capsys.readouterr().out)["own"] == {"dropout2": 0.1, "optimizer": "lion"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["method.settings.colour=red"], "method.settings.colour: method.command has no {colour}"),
        (["method.settings.learning_rate=1"], "it is a setting of ours, at baseline.learning_rate"),
        (["method.settings.seed=1"], "method.settings.seed: the name is taken"),
        (["method.settings.own=1"], "method.settings.own: the name is taken"),
        (["method.settings={a-b: 1}"], "'a-b' is no name of a setting"),
        (["method.settings={dropout2: [1]}"], "method.settings.dropout2: [1] is not allowed"),
        (["method.settings=adamw"], "method.settings: 'adamw' is not allowed; names with values"),
        (["+sweeps.factors.optimiser.values=[a]"], "'optimiser' is no setting (did you mean optimizer"),
        (["+sweeps.factors.lr.values=[1]"], "'lr' is no setting (did you mean learning_rate?)"),
        (["sweeps.factors.optimizer.values=[3]"], "optimizer: 3 is not allowed; a text in one line"),
    ],
)
def test_what_nobody_could_mean_is_refused_before_anything_starts(shell, tmp_path, words, sentence):
    assert sentence in shell("plan", *words, code=2)
    assert not (tmp_path / "runs").exists()


def test_our_own_training_takes_no_settings_of_ones_own(shell):
    assert "method.settings: goes with method=command and method=python" in shell(
        "plan", OWN, method="lora", code=2
    )


def test_a_function_gets_its_own_settings_as_attributes(shell, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def trial(settings, seed, report):\n"
        "    assert settings.own['nesterov'] is settings.nesterov\n"
        "    return 2.0 + 0.01 * seed + 0.3 * settings.nesterov + settings.depth\n"
    )
    factors = "factors: {nesterov: {values: [false]}, depth: {multiply: [2]}}"
    (tmp_path / "conf/sweeps/own.yaml").write_text(factors)
    words = ("method.callable=mine:trial", "baseline.learning_rate=1e-3")
    answer = shell("run", *words, "method.settings={nesterov: true, depth: 2}", method="python")
    means = {arm["arm"]: arm["mean"] for arm in answer["arms"]}
    assert means["depth x2"] - means["baseline"] == pytest.approx(2)
    assert means["baseline"] - means["nesterov=False"] == pytest.approx(0.3)


# identity and types


def test_an_own_setting_is_part_of_a_trial_and_old_keys_stay():
    plain = dataclasses.replace(BASE, own=Own())
    keys = [trial_key(one, 0, 0, PLANTED) for one in (plain, BASE, BASE.changed({"optimizer": "lion"}))]
    assert len(set(keys)) == 3
    assert "own" not in plain.to_dict()
    spec = TrialSpec(key=keys[1], arm="baseline", seed=0, settings=BASE)
    assert TrialSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_the_baselines_value_fixes_the_type():
    own = Own({"rate": 0.1, "depth": 3, "fast": True, "name": "a"})
    assert own.changed({"rate": 1})["rate"] == 1.0
    assert type(own.changed({"rate": 1})["rate"]) is float
    for name, value in {"rate": "1", "depth": 1.5, "fast": 1, "name": True, "depth ": 2}.items():
        with pytest.raises(ConfigError, match=r"is not allowed|is no name"):
            own.changed({name: value})


def test_names_of_several_kinds_are_refused_in_a_sentence():
    with pytest.raises(ConfigError, match=r"method\.settings: 1 is no name of a setting"):
        Own({"a": 2, 1: 2})


def test_levels_of_own_settings_are_typed_and_whole_numbers_stay_whole():
    assert Factor(name="depth", multiply=(0.5, 2)).levels(BASE) == (("x0.5", 2), ("x2", 6))
    assert Factor(name="optimizer", values=("lion",)).levels(BASE) == (("lion", "lion"),)
    with pytest.raises(InputError, match="'adamw' cannot be multiplied; use values"):
        Factor(name="optimizer", multiply=(2,)).levels(BASE)


def test_a_name_that_is_nowhere_is_an_error_with_the_nearest_one():
    with pytest.raises(AttributeError, match=r"'optimiser'.*did you mean optimizer"):
        getattr(BASE, "optimiser")  # noqa: B009 - what a user's function would do
