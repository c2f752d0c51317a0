"""Workspaces and trial keys of an earlier version: still read, still resumed, nothing run twice.

`golden/workspace_v1` was written by the version that had journals, tuned files and keys as they are there,
by the commands below, with versions of packages as `golden_set.pinned` says them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import bios_sweep
from bios_sweep import defaults
from bios_sweep.cli.main import main
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare
from bios_sweep.jsonable import to_json
from bios_sweep.records.ledger import read_ledger
from tests.golden_cases import CALLABLE, COMMAND, EXAMPLES, FUNCTION, SCRIPT
from tests.golden_set import in_folder, pinned

FIXTURE = Path(__file__).parents[1] / "golden" / "workspace_v1"
RATES = ("sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.5,2]", "seeds=[0,1,2]")
HERE = ("cluster=inline", "tracking=none", "decision.looks=[3]")
OWN_DATA = ("data=jsonl", "data.path=rows.jsonl", "data.eval_examples=8")
SMALL = ("baseline.batch_size=2", "baseline.lora_rank=1", "budget.max_steps=2", "budget.measurements=1")
SWEEPS = {
    "simulated": (
        *("sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.5,2,4]", "seeds=[0,1,2]"),
        "model=planted",
        "baseline.learning_rate=5e-4",
        "budget.max_steps=1000",
        "budget.measurements=1",
        "decision.confirmation_seeds=2",
        "model.planted.noise_percent=0.1",
    ),
    "script": (*RATES, *COMMAND, "baseline.learning_rate=1e-3"),
    "trained": (
        *RATES,
        *OWN_DATA,
        *SMALL,
        "budget.keep_adapters=none",
        "decision.confirmation_seeds=0",
        "decision.scope=evaluation",
    ),
}
SAME_ENGINE = ("simulated", "script")  # our trainer's numbers changed since, by rounding: `ENGINE_VERSION`
VERDICTS = {  # of each workspace when it was written
    "simulated": [("refine", 0.001)],
    "script": [("confirm", 0.001)],
    "trained": [("inconclusive", 0.010714)],
}
PLANNED = {  # studies whose trials must keep their keys
    "trained, the embedded data": ("sweeps=defaults", "seeds=[0,1]"),
    "trained, data of ones own": ("sweeps=capacity", "seeds=[0]", *OWN_DATA, *SMALL),
    "trained, other settings": (
        *("sweeps=learning_rate", "seeds=[3]", "method.dtype=bfloat16", "method.max_length=64"),
        *("method.lora_alpha=16", "method.schedule=cosine", "method.warmup_fraction=0.03"),
        *("method.weight_decay=0.01", "method.max_grad_norm=0.5", "method.lora_dropout=0.1"),
    ),
    "trained, cells": ("sweeps=capacity_by_data", "seeds=[0]"),
    "simulated": ("sweeps=defaults", "model=planted", "seeds=[0,1]"),
    "simulated, the twin": ("sweeps=aa", "model=planted", "seeds=[0,1]"),
    "simulated, a nuisance": ("sweeps=batch_size_retuned", "model=planted", "seeds=[0]"),
    "a command": (*RATES, *COMMAND, "baseline.learning_rate=1e-3"),
    "a function": (*RATES, *CALLABLE, "baseline.learning_rate=1e-3"),
}


@pytest.fixture
def folder():
    """A copy of all workspaces, and the files that their commands name."""
    with in_folder() as here, pinned():
        shutil.copytree(FIXTURE, here, dirs_exist_ok=True)
        for name, text in {"train.py": SCRIPT, "mine.py": FUNCTION, "rows.jsonl": EXAMPLES}.items():
            (here / name).write_text(text, encoding="utf-8")
        yield here


def answer(capsys, *words):
    capsys.readouterr()
    code = main([*words, "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def verdicts(told):
    return [(verdict["verdict"], float(f"{verdict['best_level']:.5g}")) for verdict in told]


@pytest.mark.parametrize("name", SWEEPS)
def test_it_is_read_and_judged_as_it_was(name, folder, capsys):
    view = bios_sweep.open(folder / name)
    assert verdicts(to_json(view.verdicts)) == VERDICTS[name]
    assert view.damaged == ()
    assert verdicts(answer(capsys, "report", f"workspace={name}")["verdicts"]) == VERDICTS[name]
    status = answer(capsys, "status", f"workspace={name}")
    assert (status["stage"], status["completed"]) == ("done", status["planned"])


@pytest.mark.parametrize("name", SAME_ENGINE)
def test_run_again_it_runs_nothing(name, folder, capsys):
    words = (*SWEEPS[name], *HERE, f"workspace={name}")
    planned = answer(capsys, "plan", *words)
    assert (planned["to_run"], planned["reused"]) == (0, planned["trials"])
    journal = next(folder.glob(f"{name}/sweeps/*/journal.jsonl"))
    before = journal.read_text(encoding="utf-8").splitlines()
    assert verdicts(answer(capsys, "run", *words)["verdicts"]) == VERDICTS[name]
    added = journal.read_text(encoding="utf-8").splitlines()[len(before) :]
    assert not [
        line for line in added if json.loads(line)["kind"] in ("planned", "started", "measured", "ended")
    ]


def test_trials_of_an_earlier_trainer_are_not_taken_for_these(folder, capsys):
    planned = answer(capsys, "plan", *SWEEPS["trained"], *HERE, "workspace=trained")
    assert (planned["to_run"], planned["reused"]) == (planned["trials"], 0)


@pytest.mark.parametrize("name", SAME_ENGINE)
def test_it_is_finished_under_the_rule_it_began_with_and_says_so(name, folder, capsys):
    """Its plan says no version; the same command goes on with it instead of beginning another sweep."""
    assert bios_sweep.open(folder / name).plan.study.decision.version == 1
    plan = prepare(Invocation(overrides=(*SWEEPS[name], *HERE, f"workspace={name}"))).plan
    assert (folder / name / "sweeps" / plan.sweep_id).is_dir()
    assert (
        prepare(Invocation(overrides=(*SWEEPS[name], *HERE, "workspace=new"))).plan.sweep_id != plan.sweep_id
    )
    caveats = answer(capsys, "report", f"workspace={name}")["caveats"]
    assert any(line.startswith("judged by version 1 of the decision rule") for line in caveats)


def test_its_tuned_file_is_served(folder):
    (file,) = folder.glob("simulated/sweeps/*/bios_defaults.json")
    assert defaults.read_tuned(file).values == {"learning_rate": 0.001}
    assert defaults.serve(family="llama", hidden_size=2048, path=file).learning_rate == 0.001


def keys(words):
    plan = prepare(Invocation(overrides=(*words, *HERE, "workspace=runs"))).plan
    return {f"{trial.arm}, seed {trial.seed}": trial.key for trial in plan.trials}


@pytest.mark.parametrize("name", PLANNED)
def test_trials_have_the_keys_they_had(name, folder):
    assert keys(PLANNED[name]) == json.loads((FIXTURE / "keys.json").read_text(encoding="utf-8"))[name]


@pytest.mark.parametrize("name", SAME_ENGINE)
def test_what_it_was_asked_counts_as_a_look_though_it_has_no_ledger(name, folder, capsys):
    """The rule is another release's, which is no change of the user's."""
    others = [word for word in SWEEPS[name] if not word.startswith("seeds=")]
    words = (*others, "seeds=[3,4,5]", *HERE, f"workspace={name}")
    study = prepare(Invocation(overrides=words)).plan.study
    assert (study.seeds, study.decision.alpha) == ((3, 4, 5, 0, 1, 2), 0.025)
    assert study.history.changed == ()
    assert study.decision.version > 1


def test_the_first_run_writes_down_what_was_asked_before(folder, capsys):
    words = [word for word in SWEEPS["simulated"] if not word.startswith("seeds=")]
    old = next((folder / "simulated" / "sweeps").iterdir()).name
    told = answer(capsys, "run", *words, "seeds=[3,4,5]", *HERE, "workspace=simulated")
    looks = [entry.look for entry in read_ledger(folder / "simulated" / "ledger.jsonl")]
    assert [look.sweep for look in looks] == [old, told["sweep_id"]]
