"""What changed since a sweep ran is named; an interrupted one goes on only with what it began with."""

from __future__ import annotations

import json

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
