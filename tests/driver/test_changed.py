"""What changed since a sweep ran is named; an interrupted one goes on only with what it began with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bios_sweep.cli.main import main
from tests.damage import as_killed
from tests.driver.test_verify import PLANTED


def test_a_sweep_whose_fingerprint_changed_is_named_and_resume_waits_for_the_old_one(tmp_path, capsys):
    place = f"workspace={tmp_path / 'runs'}"
    assert main(["run", *PLANTED, place]) == 0
    (journal,) = tmp_path.glob("runs/sweeps/*/journal.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    ended = [number for number, line in enumerate(lines) if '"kind":"ended"' in line]
    as_killed(journal, lines[: ended[4] + 1])
    other = "model.planted.noise_seed=7"  # of a planted world model and data are one
    capsys.readouterr()
    assert main(["plan", *PLANTED, place, other, "--json"]) == 0
    printed = " ".join(json.loads(capsys.readouterr().out)["warnings"])
    assert (
        f"{journal.parent.name} is not finished (5 trials ended so far), and this is another sweep" in printed
    )
    assert "the model's files (" in printed
    assert "Of its results 0 can be used here" in printed
    assert f"bios-sweep run --resume {journal.parent.name}" in printed
    assert main(["run", "--resume", journal.parent.name, place, "model=planted", other]) == 2
    assert f"--resume {journal.parent.name}: the model's files (" in capsys.readouterr().err
    assert main(["run", "--resume", journal.parent.name, place]) == 0
    assert main(["plan", *PLANTED, place]) == 0
    assert "is not finished" not in capsys.readouterr().out


def test_a_finished_sweep_of_an_earlier_engine_is_named_before_its_trials_run_again(
    tmp_path, capsys, monkeypatch
):
    place = f"workspace={tmp_path / 'runs'}"
    assert main(["run", *PLANTED, place]) == 0
    (before,) = (path.name for path in (tmp_path / "runs" / "sweeps").iterdir())
    monkeypatch.setattr("bios_sweep.engines.simulation.engine.PlantedEngine.version", "99")
    capsys.readouterr()
    assert main(["plan", *PLANTED, place, "--json"]) == 0
    printed = " ".join(json.loads(capsys.readouterr().out)["warnings"])
    assert f"{before} asked the same and is done, but the version of what trains (" in printed
    assert "-> 99) changed since" in printed
    assert "0 can be used here" in printed
    assert main(["run", *PLANTED, place]) == 0
    assert "the version of what trains (" in "".join(capsys.readouterr())


def test_a_finished_sweep_of_another_model_is_not_spoken_of(tmp_path, capsys):
    place = f"workspace={tmp_path / 'runs'}"
    assert main(["run", *PLANTED, place]) == 0
    capsys.readouterr()
    assert main(["plan", *PLANTED, place, "model.planted.noise_seed=7", "model.name=another", "--json"]) == 0
    assert "asked the same" not in capsys.readouterr().out


def test_a_module_that_a_script_imports_is_code_that_changed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("import helpers\nprint({'eval_loss': helpers.LOSS})\n")
    Path("helpers.py").write_text("LOSS = 1.5\n")
    words = (
        *(
            "sweeps=learning_rate",
            "sweeps.factors.learning_rate.multiply=[0.5]",
            "seeds=[0]",
            "method=command",
        ),
        *("cluster=inline", "tracking=none", "baseline.learning_rate=1e-3", "decision.looks=[1]"),
        f"method.command={sys.executable} train.py {{learning_rate}} {{seed}}",
    )
    assert main(["run", *words]) == 0
    Path("helpers.py").write_text("LOSS = 2.5\n")
    capsys.readouterr()
    assert main(["plan", *words, "--json"]) == 0
    (told,) = (line for line in json.loads(capsys.readouterr().out)["warnings"] if "asked the same" in line)
    assert told.count(" -> ") == 1
    assert "the script's code or a file of it (" in told
