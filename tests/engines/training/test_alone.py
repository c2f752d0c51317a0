"""The engine on a machine that has torch, transformers and PEFT, and nothing else that a run brings."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.probe import ROOT

ABSENT = (
    "scipy", "rich", "ray", "optuna", "mlflow", "datasets", "pyarrow", "pandas", "matplotlib", "hydra",
    "omegaconf", "cloudpickle", "sqlalchemy", "sklearn",
)  # fmt: skip
# As if they were not installed: importing them fails, and whoever asks whether they are there is told no.
WITHOUT = f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {ABSENT} else super().find_spec(name, path, target)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""
TRAIN = """
import json
from dataclasses import replace
from pathlib import Path
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.data import write_dataset
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import TrialSpec
folder = Path(sys.argv[1])
data = embedded_examples(8)
data = replace(data, train=data.train[:16])
write_dataset(data, folder / "data.jsonl")
engine = LoraEngine({
    "model_path": "embedded:base_model", "data_file": str(folder / "data.jsonl"),
    "data_fingerprint": data.fingerprint, "measurements": 1,
})
settings = TrainingSettings(learning_rate=2e-3, batch_size=8, lora_rank=4, max_steps=2, max_length=48)
*_, result = engine.run(TrialSpec(key="k", arm="baseline", seed=0, settings=settings), folder / "trial")
print(json.dumps([result.status, [point.eval_loss for point in result.curve]]))
"""


def run(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["scipy", "rich"])
def test_what_is_blocked_is_absent(name):
    done = run(f"import importlib.util\nassert importlib.util.find_spec({name!r}) is None\nimport {name}")
    assert f"ModuleNotFoundError: No module named '{name}'" in done.stderr


MODULES = (
    "bios_sweep.engines.training.on_node", "bios_sweep.engines.training.torch_look",
    "bios_sweep.engines.training.probe", "benchmarks.trainer", "benchmarks.on_device",
)  # fmt: skip


def test_a_trial_is_trained_with_torch_transformers_and_peft_alone(tmp_path):
    """Beside it loads what is asked of a device, and its benchmark."""
    done = run("".join(f"import {module}\n" for module in MODULES) + TRAIN, str(tmp_path))
    assert done.returncode == 0, done.stderr
    status, losses = json.loads(done.stdout.splitlines()[-1])
    assert status == "completed"
    assert losses[1] < losses[0]
