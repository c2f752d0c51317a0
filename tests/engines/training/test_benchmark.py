"""The benchmark of the trainer, small: each trainer learns the same batch, and the figures are its own."""

from __future__ import annotations

import csv
import json

import pytest
import torch

from benchmarks import on_device, trainer

SMALL = ["--rows", "4", "--piece", "2", "--length", "48", "--rank", "4", "--steps", "3", "--repeats", "1"]


def test_trainers_take_turns_on_the_same_examples_and_all_learn(tmp_path, capsys):
    file = tmp_path / "trainer.csv"
    asked = [*SMALL, "--prompts", "0.75", "--dtypes", "float32", "--matrix", "128", "--device", "cpu"]
    assert trainer.main([*asked, "--csv", str(file)]) == 0
    rows = list(csv.DictReader(file.open()))
    assert [row["trainer"] for row in rows][:2] == [trainer.OURS, trainer.HF]
    firsts = [float(row["loss_first"]) for row in rows]
    assert firsts == pytest.approx([firsts[0]] * len(rows), rel=0.02), "the same tokens are under the loss"
    for row in rows:
        assert float(row["loss_last"]) < float(row["loss_first"])
        assert float(row["matrix_share"]) > 0
    assert "theirs/ours" in capsys.readouterr().out


def test_a_device_that_is_not_there_is_said_with_status_2(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert on_device.main([]) == 2
    assert "sees no GPU; `--device cpu` runs the same bodies here" in capsys.readouterr().err


@pytest.mark.slow
def test_the_summary_has_the_machine_the_figures_and_the_verdict(tmp_path, monkeypatch, capsys):
    """One test and no benchmark: its options are refused, which the summary and the exit status say."""
    monkeypatch.setattr(on_device, "TESTS", on_device.TESTS[:1])
    found = on_device.main(
        [
            "--device",
            "cpu",
            "--out",
            str(tmp_path),
            "--only",
            "come_to_the_device and float32",
            "--rows",
            "many",
        ]
    )
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (found, summary["ok"]) == (1, False)
    assert (summary["tests"]["passed"], summary["tests"]["failed"]) == (1, [])
    assert "invalid int value: 'many'" in summary["benchmark"]["printed"]
    assert summary["machine"]["torch"] == torch.__version__
    text = (tmp_path / "summary.txt").read_text()
    assert "FAILED" in text
    assert "tests: 1 passed, 0 failed, 0 skipped" in text


def test_what_takes_too_long_is_asked_for_what_it_has(tmp_path):
    """As pytest writes its results when it is interrupted."""
    waits = "import signal, sys\ntry:\n    print('so far', flush=True)\n    signal.pause()\n"
    told = "except KeyboardInterrupt:\n    print('and told')\n"
    status, printed = on_device.run(["-c", waits + told], 3.0)
    assert status is None
    assert printed.split("\n") == ["took longer than 3 s", "so far", "and told", ""]


def test_tests_that_are_cut_keep_what_has_ended(tmp_path, monkeypatch):
    """Killed without grace, as on a machine that is too busy to end them well."""
    cases = tmp_path / "test_cut.py"
    cases.write_text(
        "import os, signal\n"
        "def test_first(record_property):\n    record_property('a figure', 0.5)\n"
        "def test_second():\n    assert False\n"
        "def test_third():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.setattr(on_device, "TESTS", (str(cases),))
    found = on_device.tested("cpu", tmp_path, "")
    assert (found["passed"], found["failed"], found["ok"]) == (1, ["test_second"], False)
    assert found["figures"] == {"a figure": 0.5}
