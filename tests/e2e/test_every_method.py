"""Every method the whole way on the embedded model: killed, gone on with, mirrored, told, tuned, exported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from mlflow import MlflowClient

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.defaults import read_tuned
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri
from bios_sweep.records.reading import read_journal
from bios_sweep.records.workspace import Workspace

SMALL = (
    "cluster=inline", "baseline.batch_size=4", "budget.max_steps=6", "budget.measurements=3",
    "data.eval_examples=16", "method.max_length=48", "decision.looks=[2]", "decision.confirmation_seeds=0",
    "decision.undecidable=run",
)  # fmt: skip
RATES = ("sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.5,2]")
STABLE = ("sweeps=duration", "sweeps.factors.max_steps.multiply=[0.5,2]", "method.schedule=wsd")
METHODS = {
    "lora": RATES,
    "dora": (*RATES, "method=dora"),
    "full": (*RATES, "method=full"),
    "qlora": (*RATES, "method=qlora"),
    "embeddings": (*RATES, "method.embeddings=true"),
    "dpo": (*RATES, "method=dpo", "baseline.learning_rate=1e-3"),
    "full dpo": (*RATES, "method=dpo", "method.trains=full", "baseline.learning_rate=1e-4"),
    "wsd": STABLE,
}
OPTIMIZER = (
    "+sweeps.factors={adam_beta1:{values:[0.5]},adam_beta2:{values:[0.999]},adam_eps:{values:[1e-4]},"
    "weight_decay:{values:[0.5]}}"
)
MARKS = {
    "trl": {
        "dora": "use_dora: true", "dpo": "DPOConfig:", "qlora": "load_in_4bit: true",
        "embeddings": "modules_to_save:", "wsd": "lr_scheduler_type: warmup_stable_decay",
    },
    "axolotl": {
        "dora": "peft_use_dora: true", "dpo": "rl: dpo", "qlora": "adapter: qlora",
        "embeddings": "lora_modules_to_save:", "wsd": "lr_scheduler: warmup_stable_decay",
    },
    "llama-factory": {
        "dora": "use_dora: true", "full": "finetuning_type: full", "dpo": "stage: dpo",
        "qlora": "quantization_bit: 4", "embeddings": "additional_target: ",
        "wsd": "lr_scheduler_type: warmup_stable_decay",
    },
}  # fmt: skip
PATIENCE_SECONDS = 300
NEEDS = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is an extra")


def killed_in_the_middle(words, workspace: Path) -> None:
    """Start the sweep in a process of its own, and kill it in the midst of its third trial."""
    command = [sys.executable, "-m", "bios_sweep", "run", *words, f"workspace={workspace}"]
    log = workspace.parent / "driver.log"
    with log.open("w") as told:
        driver = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and driver.poll() is None:
        entries = [entry for path in workspace.glob("sweeps/*/journal.jsonl") for entry in read_journal(path)]
        if sum(entry.kind == "ended" for entry in entries) >= 2 and entries[-1].kind == "measured":
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
            return
        time.sleep(0.02)  # waiting for another process, not for luck
    pytest.fail(f"the driver was not caught in a trial; it said: {log.read_text()}")


def values(workspace: Path) -> dict:
    return {(one["arm"], one["seed"]): one["value"] for one in bios_sweep.open(workspace).trials}


def child_runs(workspace: Path) -> list:
    client = MlflowClient(default_tracking_uri(Workspace(workspace)))
    experiments = [item.experiment_id for item in client.search_experiments() if item.name != "Default"]
    return client.search_runs(experiments, "tags.kind = 'trial'", max_results=1000)


def only_run_once(workspace: Path) -> None:
    """Every planned trial ended once in the journal, and has one finished run of its own."""
    sweep = bios_sweep.open(workspace)
    entries = read_journal(sweep.folder / "journal.jsonl")
    keys = sorted(one["trial_key"] for one in sweep.trials)
    assert sorted(entry.fields["key"] for entry in entries if entry.kind == "ended") == keys
    runs = child_runs(workspace)
    assert sorted(run.data.tags["trial_key"] for run in runs) == keys
    assert {run.info.status for run in runs} == {"FINISHED"}
    counts = sweep.summary.counts
    assert (counts.planned, counts.failed, counts.waiting) == (len(keys), 0, 0)
    assert counts.planned == counts.completed + counts.diverged


def exported(workspace: Path, name: str, capsys) -> None:
    """What was tuned has its method's key, and each trainer gets a file that says the method."""
    file = bios_sweep.open(workspace).folder / "bios_defaults.json"
    key = read_tuned(file).key
    assert name.endswith(key.objective) or key.objective == "sft"
    for tool, marks in MARKS.items():
        capsys.readouterr()
        assert main(["defaults", "export", str(file), "--to", tool]) == 0
        text = capsys.readouterr().out
        for kind, mark in marks.items():
            assert (mark in text) is (kind in name.split()), (tool, kind, text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=NEEDS) if name == "qlora" else name for name in METHODS]
)
def test_a_killed_sweep_of_every_method_ends_as_an_undisturbed_one(name, tmp_path, capsys):
    words, there = (*METHODS[name], *SMALL), tmp_path / "runs"
    killed_in_the_middle((*words, "tracking=sqlite"), there)
    assert main(["run", *words, "tracking=sqlite", f"workspace={there}"]) == 0
    only_run_once(there)
    assert main(["run", *words, "tracking=none", f"workspace={tmp_path / 'undisturbed'}"]) == 0
    assert values(there) == values(tmp_path / "undisturbed")
    exported(there, name, capsys)
    capsys.readouterr()
    assert main(["plan", *words, "tracking=sqlite", f"workspace={there}", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["to_run"], again["trials"]) == (0, len(values(there)))


@pytest.mark.slow
def test_settings_of_the_optimizer_are_factors_with_a_verdict_each(tmp_path):
    words = ("sweeps=defaults", "~sweeps.factors", OPTIMIZER, *SMALL, "tracking=sqlite")
    assert main(["run", *words, f"workspace={tmp_path}"]) == 0
    sweep = bios_sweep.open(tmp_path)
    names = ["adam_beta1", "adam_beta2", "adam_eps", "weight_decay"]
    assert [verdict.factor for verdict in sweep.verdicts] == names
    assert all(verdict.verdict for verdict in sweep.verdicts)
    found = values(tmp_path)
    for seed in (0, 1):  # none of them is a setting that trains the same
        assert len({value for (_, at), value in found.items() if at == seed}) == 1 + len(names)
    told = {run.data.params["weight_decay"] for run in child_runs(tmp_path)}
    assert told == {"0", "0.5"} or {float(one) for one in told} == {0.0, 0.5}
