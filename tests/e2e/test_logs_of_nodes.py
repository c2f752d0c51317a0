"""What a script printed on other nodes is read where the sweep was started, while it runs and afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bios_sweep.cli.main import main
from bios_sweep.records.reading import read_journal
from tests.e2e.nodes import Nodes, bare_environment

pytestmark = pytest.mark.slow

LINES = 40
SCRIPT = f"""
import sys, time
rate, seed = sys.argv[1:]
for line in range({LINES}):
    print(f"line {{line}} of seed {{seed}} at {{rate}}", flush=True)
    print(f"aside {{line}}", file=sys.stderr, flush=True)
    time.sleep(0.05)
print({{"eval_loss": 1 + int(seed) / 100}})
"""


@pytest.mark.parametrize("resumes", [False, True])
def test_what_scripts_print_on_two_nodes_comes_home(tmp_path, capfd, resumes):
    (tmp_path / "train.py").write_text(SCRIPT)
    here = tmp_path / "here"
    command = f"{sys.executable} {tmp_path / 'train.py'} {{learning_rate}} {{seed}}"
    words = [
        *("run", "sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.5]", "seeds=[0,1]"),
        *("method=command", f"method.command={command}", f"method.resumes={str(resumes).lower()}"),
        *("baseline.learning_rate=1e-3", "decision.confirmation_seeds=0", "tracking=none"),
        *(
            "cluster=existing",
            "cluster.preinstalled=true",
            "cluster.cpus_per_trial=1",
            "cluster.gpus_per_trial=0",
        ),
        *(f"cluster.storage={tmp_path / 'store'}", f"workspace={here}"),
    ]
    with Nodes(tmp_path, cpus=[1, 1]) as nodes:
        driver = subprocess.run(
            [sys.executable, "-m", "bios_sweep", *words, f"cluster.address={nodes.address}"],
            capture_output=True,
            text=True,
            env=bare_environment() | {"PYTHONPATH": str(Path(__file__).parents[2])},
            timeout=300,
            check=False,
        )
    assert driver.returncode == 0, driver.stdout + driver.stderr
    (journal,) = here.glob("sweeps/*/journal.jsonl")
    started = [entry.fields for entry in read_journal(journal) if entry.kind == "started"]
    assert len({entry["worker"] for entry in started}) == 2
    for key in {entry["key"] for entry in started}:
        capfd.readouterr()
        assert main(["logs", key, f"workspace={here}", "--follow"]) == 0
        printed = capfd.readouterr().out
        assert printed.count("line ") == LINES
        assert printed.count("aside ") == LINES
