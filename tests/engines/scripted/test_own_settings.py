"""Settings that only a script knows: a study, its tuned file, what is made of that, and a second study."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main

SCRIPT = """
import argparse, json, random
parser = argparse.ArgumentParser()
for name in ("--lr", "--dropout2"):
    parser.add_argument(name, type=float)
parser.add_argument("--optim")
parser.add_argument("--seed", type=int)
args = parser.parse_args()
loss = 2 + random.Random(args.seed).gauss(0, 0.02) + random.Random(str(args)).gauss(0, 0.002)
loss += 0.1 * (args.optim != "lion") + 0.5 * abs(args.dropout2 - 0.2)
for step, left in ((0, 1.0), (10, 0.0)):
    print(json.dumps({"step": step, "eval_loss": loss + left}))
"""
COMMAND = (
    f"method.command={sys.executable} -S train.py --lr {{learning_rate}} --optim {{optimizer}} "
    "--dropout2 {dropout2} --seed {seed}"
)
WORDS = (
    COMMAND, "seeds=[0,1,2]", "cluster=inline", "tracking=none", "method=command", "model=embedded",
    "method.trains=lora", "baseline.learning_rate=1e-3", "budget.max_steps=10", "workspace=runs",
    "--config-dir", ".",
)  # fmt: skip
MODEL = str(base_model_path())


@pytest.mark.slow
def test_what_only_the_script_knows_is_tuned_served_and_the_baseline_of_the_next_study(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "sweeps").mkdir()

    def said(*words: str, code: int = 0) -> str:
        assert main(list(words)) == code, capsys.readouterr().err
        return capsys.readouterr().out

    def sweep(name: str, factors: str, *words: str) -> tuple[dict[str, str], str]:
        (tmp_path / f"sweeps/{name}.yaml").write_text(f"question: Which is best?\nfactors: {factors}\n")
        asked = (f"sweeps={name}", *WORDS, *words, "--json")
        plan = json.loads(said("plan", *asked))
        answer = json.loads(said("run", *asked))
        assert {arm["arm"] for arm in plan["arms"]} <= {arm["arm"] for arm in answer["arms"]}
        verdicts = {one["factor"]: one["verdict"] for one in answer["verdicts"]}
        return verdicts, str(tmp_path / "runs/sweeps" / answer["sweep_id"] / "bios_defaults.json")

    verdicts, first = sweep(
        "first", "{optimizer: {values: [lion, sgd]}}", "method.settings={optimizer: adamw, dropout2: 0.1}"
    )
    assert verdicts == {"optimizer": "refine"}
    shown = json.loads(said("defaults", "show", MODEL, "--defaults", first, "--json"))
    assert shown["own"] == {"optimizer": "lion"}
    assert shown["why"]["optimizer"]["confidence"] == "measured"
    told = said("defaults", "export", MODEL, "--defaults", first, "--to", "trl")
    assert "Known to the script of the evidence alone, so not here: optimizer lion." in told

    (tmp_path / "baseline").mkdir()
    said("defaults", "export", MODEL, "--defaults", first, "--to", "hydra", "-o", "baseline/tuned.yaml")
    verdicts, second = sweep(
        "second", "{dropout2: {values: [0.2, 0.3]}}", "baseline=tuned", "method.settings.dropout2=0.1"
    )
    assert verdicts == {"dropout2": "refine"}
    assert json.loads(Path(second).read_text())["baseline"]["own"] == {"optimizer": "lion", "dropout2": 0.1}
    changes = said("defaults", "diff", first, second)
    assert "dropout2" in changes
    assert "0.2" in changes
    assert main(["defaults", "merge", first, second, "-o", "all.json"]) == 2
    assert "their baselines differ; leave one out, or keep the later one" in capsys.readouterr().err
    said("defaults", "merge", first, second, "-o", "all.json", "--newest")
    merged = said("defaults", "export", MODEL, "--defaults", "all.json", "--to", "hydra")
    assert "settings: {dropout2: 0.2}" in merged
