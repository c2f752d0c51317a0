"""Who is told of the verdicts: a command of the user's own, and a pipeline's page."""

from __future__ import annotations

import json

import pytest

from bios_sweep.cli.main import main

SMALL = (
    "sweeps=learning_rate",
    "sweeps.factors.learning_rate.multiply=[2]",
    "model=planted",
    "seeds=[0,1]",
    "decision.looks=[2]",
    "tracking=none",
    "cluster=inline",
)


def run(root, *words):
    return main(["run", *SMALL, f"workspace={root}", *words])


def test_a_hook_has_the_answer_in_a_file_and_a_pipeline_its_page(tmp_path, monkeypatch, capsys):
    page, told, script = tmp_path / "page.md", tmp_path / "told", tmp_path / "tell.sh"
    script.write_text(
        f'#!/bin/sh\ncp "$BIOS_SWEEP_ANSWER" "{told}"; echo "$1 $BIOS_SWEEP_ID" >> "{told}.id"\n'
    )
    script.chmod(0o755)
    page.write_text("what stood there\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    assert run(tmp_path / "runs", f"on_verdict={script} 'two words'") == 0
    (verdict,) = json.loads(told.read_text())["verdicts"]
    assert verdict["factor"] == "learning_rate"
    assert (tmp_path / "told.id").read_text().startswith("two words learning_rate-")
    summary = page.read_text()
    assert summary.startswith("what stood there\n### ")
    assert f"({verdict['verdict']}) |" in summary
    assert len(summary.splitlines()) < 40
    capsys.readouterr()
    assert main(["report", "--markdown", f"workspace={tmp_path / 'runs'}"]) == 0
    assert capsys.readouterr().out.splitlines()[0] in summary


@pytest.mark.parametrize(
    ("hook", "sentence"),
    [
        ("false", "on_verdict: ended with status 1 (it said nothing); the verdicts stand"),
        ("/no/such/file", "on_verdict: /no/such/file cannot be run (No such file or directory)"),
    ],
)
def test_a_hook_that_fails_changes_no_exit_code(hook, sentence, tmp_path, capsys):
    assert run(tmp_path, f"on_verdict={hook}") == 0
    assert sentence in " ".join(capsys.readouterr().out.split())


def test_a_hook_that_is_no_command_is_refused_before_the_first_trial(tmp_path, capsys):
    assert run(tmp_path, 'on_verdict="tell \'me"') == 2
    assert "on_verdict: is no command line" in capsys.readouterr().err
    assert not list(tmp_path.glob("trials/*"))
