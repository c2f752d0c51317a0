"""The verbs, driven in process over the planted engine: what they print, keep and answer."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from bios_sweep.cli.main import main
from bios_sweep.cli.verbs import VERBS
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare
from bios_sweep.records.lock import DriverLock
from bios_sweep.records.reading import read_journal
from bios_sweep.records.workspace import Workspace
from bios_sweep.version import __version__

DEMO = (
    *("sweeps=learning_rate", "model=planted", "cluster=inline", "budget=demo"),
    "decision.purpose=publish",
)
VERDICT_KEYS = {
    "factor", "role", "claim", "verdict", "default", "best_level", "effect_percent", "lower", "upper",
    "margin", "seeds", "arms", "hold", "reasons",
}  # fmt: skip


class Shell:
    """Verbs on one workspace, with what they printed."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        code = main([*words, f"workspace={self.root}"])
        self.out, self.err = self._capsys.readouterr()
        return code

    def answer(self, *words: str, code: int = 0) -> dict[str, Any]:
        assert self(*words, "--json") == code, self.err
        answer = json.loads(self.out)
        assert isinstance(answer, dict)
        return answer

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return Shell(tmp_path / "runs", capsys)


@pytest.fixture
def finished(shell):
    """A workspace with one finished sweep."""
    assert shell("run", *DEMO) == 0, shell.err
    return shell


def test_plan_shows_arms_differences_and_origins_and_writes_nothing(shell):
    assert shell("plan", *DEMO) == 0
    assert shell.out.index("baseline ") < shell.out.index("learning_rate x0.25")
    assert "15 trials: 15 to run" in shell.out
    assert "tinker-cookbook" in shell.out
    assert "below the recommended defaults: batch_size 32 instead of 128" in " ".join(shell.out.split())
    assert not shell.root.exists()


def test_plan_answers_in_json_with_the_keys_of_the_contract(shell):
    answer = shell.answer("plan", *DEMO)
    names = [arm["arm"] for arm in answer["arms"]]
    assert names == ["baseline", *(f"learning_rate x{level}" for level in ("0.25", "0.5", "2", "4"))]
    assert (answer["trials"], answer["to_run"], answer["reused"]) == (15, 15, 0)


def test_plan_after_the_run_counts_everything_as_reused(finished):
    before = finished.files()
    answer = finished.answer("plan", *DEMO)
    assert (answer["to_run"], answer["confirmation"]["trials"]) == (0, 10)
    assert answer["trials"] == answer["reused"] == 15 + 10
    assert finished.files() == before


def test_run_ends_with_verdicts_and_where_to_find_them(finished):
    assert "learning_rate" in finished.out
    assert "refine" in finished.out
    for name in ("bios_defaults.json", "report.html"):
        (line,) = [line for line in finished.out.splitlines() if line.endswith(name)]
        assert Path(line.partition(": ")[2]).is_file()
    assert "MLflow: off" in finished.out


def test_run_again_runs_no_trial_and_changes_no_byte(finished):
    before = finished.files()
    verdicts = finished.answer("report")["verdicts"]
    assert finished("run", *DEMO) == 0
    assert "trials to run" not in finished.out
    after = finished.files()
    assert {name for name in after if after[name] != before.get(name)} == set()
    assert set(before) == set(after)
    assert finished.answer("report")["verdicts"] == verdicts


def test_another_sweep_reuses_the_trials_of_the_baseline(finished):
    capacity = ("sweeps=capacity", *DEMO[1:])
    planned = finished.answer("plan", *capacity)
    assert (planned["trials"], planned["reused"]) == (15, 3)
    stored = {path: path.stat().st_mtime_ns for path in finished.root.glob("trials/*/result.json")}
    assert finished("run", *capacity) == 0
    assert "12 trials to run, 3 reused" in finished.out
    assert {path: path.stat().st_mtime_ns for path in stored} == stored


def test_more_seeds_extend_a_sweep_that_was_undecided(shell):
    noisy = ("run", *DEMO, "model.planted.noise_percent=3")
    assert shell(*noisy) == 0
    assert "inconclusive" in shell.out
    assert shell(*noisy, "seeds=[0,1,2,3]") == 0
    assert "5 trials to run, 15 reused" in shell.out


def test_status_counts_add_up(finished):
    status = finished.answer("status")
    counted = ("planned", "completed", "diverged", "failed", "running")
    assert {name: status[name] for name in counted[2:]} == {"diverged": 0, "failed": 0, "running": 0}
    assert status["planned"] == status["completed"] >= 15
    assert status["driver"] is None
    assert finished("status") == 0
    assert "completed" in finished.out


def test_report_answers_with_the_keys_of_the_contract(finished):
    answer = finished.answer("report")
    (verdict,) = answer["verdicts"]
    assert set(verdict) >= VERDICT_KEYS
    assert verdict["factor"] == "learning_rate"
    assert (verdict["role"], verdict["claim"]) == ("optimum", "optimum")
    assert len(verdict["seeds"]) >= 3
    assert verdict["lower"] < verdict["effect_percent"] < verdict["upper"]
    assert finished("report") == 0
    assert verdict["verdict"] in finished.out


def test_run_answers_in_json_as_report_does_with_progress_beside_it(shell):
    answer = shell.answer("run", *DEMO)
    assert "trials to run" in shell.err
    assert Path(answer["files"]["defaults"]).is_file()
    assert answer["verdicts"] == shell.answer("report")["verdicts"]


def test_report_finds_a_sweep_by_name_and_takes_the_latest_otherwise(finished):
    assert finished("run", "sweeps=capacity", *DEMO[1:]) == 0
    assert finished.answer("report")["verdicts"][0]["factor"] == "lora_rank"
    named = finished.answer("report", "--sweep", "learning_rate")
    assert named["verdicts"][0]["factor"] == "learning_rate"
    assert finished("report", "--sweep", "nothing") == 2
    assert "no sweep 'nothing'; there are capacity-" in finished.err


def test_flags_and_overrides_come_in_any_order(shell):
    first = shell.answer("plan", *DEMO)
    for words in (
        ["--json", "plan", *DEMO],
        ["plan", "--json", *DEMO],
        ["plan", DEMO[0], "--json", *DEMO[1:]],
        ["--debug", "plan", *DEMO[:2], "--json", *DEMO[2:]],
    ):
        assert shell(*words) == 0
        assert json.loads(shell.out)["arms"] == first["arms"]


def test_the_command_line_wins_over_what_a_sweep_selects(shell):
    answer = shell.answer("plan", "sweeps=demo", "model=planted", "budget=default", "budget.max_steps=7")
    assert answer["baseline"]["max_steps"] == 7
    assert answer["baseline"]["batch_size"] == 128


def test_a_failed_trial_is_told_with_cause_and_log_and_ends_with_3(shell):
    words = ("run", *DEMO, "+model.planted.fail={baseline/1:the disk is full}")
    assert shell(*words) == 3
    assert "RuntimeError: the disk is full" in shell.out
    logs = list(shell.root.glob("trials/*/error.log"))
    assert len(logs) == 1
    assert f"bios-sweep logs {logs[0].parent.name}" in " ".join(shell.out.split())
    status = shell.answer("status")
    assert status["failed"] == 1
    assert status["planned"] == status["completed"] + status["diverged"] + status["failed"]
    assert shell("report") == 3
    assert "the disk is full" in shell.out


def test_a_failed_trial_is_tried_again_by_the_same_command_and_nothing_else_is(shell):
    words = ("run", *DEMO, "+model.planted.fail={baseline/1:the disk is full}")
    assert shell(*words) == 3
    assert shell(*words) == 3
    assert "1 trials to run, 14 reused" in shell.out


def test_a_diverging_variation_is_an_outcome_that_is_counted(shell):
    assert shell("run", *DEMO, "model.planted.wall=1.5e-3") == 0
    status = shell.answer("status")
    assert status["diverged"] == 3
    assert status["planned"] == status["completed"] + status["diverged"]
    assert "diverged" in shell.out or "diverged" in json.dumps(status)


def test_a_diverging_baseline_is_inconclusive(shell):
    assert shell("run", *DEMO, "model.planted.wall=3e-4") == 0
    (verdict,) = shell.answer("report")["verdicts"]
    assert verdict["verdict"] == "inconclusive"
    assert "diverged" in " ".join(verdict["reasons"])


def test_a_workspace_with_a_live_driver_is_refused_with_75(finished):
    with DriverLock(Workspace(finished.root), "other-12345678"):
        before = finished.files()
        assert finished("run", "sweeps=capacity", *DEMO[1:]) == 75
        assert f"in use by process {os.getpid()}" in finished.err
        assert "other-12345678" in finished.err
        assert finished.files() == before
        assert finished.answer("status", "--sweep", "learning_rate")["running"] == 0
        assert finished("report") == 0


def test_stop_asks_the_live_driver_and_is_an_error_without_one(finished):
    assert finished("stop") == 2
    assert "no sweep is running there" in finished.err
    with DriverLock(Workspace(finished.root), "other-12345678"):
        answer = finished.answer("stop")
        assert answer["stopping"]["pid"] == os.getpid()
        assert Workspace(finished.root).stop_requested()


def test_sweep_files_of_ones_own_come_in_by_config_dir(shell, tmp_path):
    (tmp_path / "own/sweeps").mkdir(parents=True)
    (tmp_path / "own/sweeps/mine.yaml").write_text(
        "question: Would more help?\nfactors:\n  lora_rank: {multiply: [2]}\n"
    )
    (tmp_path / "own/conf/budget").mkdir(parents=True)
    (tmp_path / "own/conf/budget/tiny.yaml").write_text(
        "max_steps: 3\nhold: steps\nmeasurements: 2\nmax_trials: 14\nmax_hours: null\nkeep_adapters: none\n"
    )
    words = ("sweeps=mine", "model=planted", "cluster=inline", "budget=tiny", "seeds=[0,1]")
    planned = shell.answer("plan", *words, "--config-dir", "own")
    assert planned["question"] == "Would more help?"
    assert [arm["arm"] for arm in planned["arms"]] == ["baseline", "lora_rank x2"]
    assert planned["baseline"]["max_steps"] == 3
    assert shell("run", "--config-dir", str(tmp_path / "own"), *words) == 0
    assert "--config-dir" in shell.answer("status")["command"]
    assert shell("plan", "sweeps=mine", "model=planted") == 2
    assert "there is no such sweep" in shell.err


def test_an_aa_sweep_finds_an_effect_of_exactly_0(shell):
    assert shell("run", "sweeps=aa", *DEMO[1:]) == 0
    (verdict,) = shell.answer("report")["verdicts"]
    assert (verdict["effect_percent"], verdict["lower"], verdict["upper"]) == (0.0, 0.0, 0.0)


def test_equal_arms_are_merged_with_a_note(shell):
    answer = shell.answer("plan", *DEMO, "sweeps.factors.learning_rate.multiply=[1,2,2.0]")
    assert [arm["arm"] for arm in answer["arms"]] == ["baseline", "learning_rate x2"]
    assert shell("plan", *DEMO, "sweeps.factors.learning_rate.multiply=[1,2,2.0]") == 0
    assert "learning_rate x1 is the same as baseline and runs once" in shell.out


def test_defaults_show_answers_with_settings_and_why(capsys):
    assert main(["defaults", "show", "meta-llama/Llama-3.1-8B", "--json", "--examples", "50000"]) == 0
    answer = json.loads(capsys.readouterr().out)
    text = json.dumps(answer)
    for name in ("learning_rate", "batch_size", "lora_rank", "max_steps"):
        assert name in answer["why"]
        assert name in text


def test_defaults_show_prints_values_reasons_and_when_to_change_them(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["defaults", "show", "meta-llama/Llama-3.1-8B"]) == 0
    shown = capsys.readouterr().out
    for word in ("0.0002856", "published", "32-512", "from 100", "Bios guide", "Lower it when training"):
        assert word in shown


def test_defaults_of_an_unknown_model_are_refused(capsys):
    assert main(["defaults", "show", "./nothing/here"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_shows_examples(capsys, verb):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "examples:" in shown
    for example in VERBS[verb].examples:
        assert example in shown


def test_help_and_version(capsys):
    for flag, told in (("--help", VERBS), ("help", VERBS), ("--version", [f"bios-sweep {__version__}"])):
        with pytest.raises(SystemExit) as end:
            main([flag])
        assert end.value.code == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in told)


@pytest.mark.parametrize("words", [[], ["plann"], ["plan", "--nonsense"], ["defaults", "hide", "x"]])
def test_a_command_that_cannot_be_read_ends_with_2(capsys, words):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("bios-sweep: ")


def test_a_traceback_shows_with_debug_only(shell):
    assert shell("plan", *DEMO, "bugdet=demo") == 2
    assert "Traceback" not in shell.err
    assert shell("plan", *DEMO, "bugdet=demo", "--debug") == 2
    assert "Traceback" in shell.err
    assert shell.err.strip().splitlines()[-1].startswith("bios-sweep: unknown key 'bugdet'")


def test_sync_and_ui_refuse_where_tracking_is_off(finished):
    for verb in ("sync", "ui"):
        assert finished(verb, "tracking=none") == 2
        assert "tracking is off" in finished.err


def test_nothing_logs_a_warning_on_the_way(finished, caplog):
    with caplog.at_level(logging.WARNING, logger="bios_sweep"):
        assert finished("run", *DEMO) == 0
    assert caplog.records == []


def test_credentials_of_the_tracking_address_are_written_nowhere(tmp_path, capsys):
    workspace = tmp_path / "runs"
    secret = "s3cretpw"
    unreachable = f"tracking.uri=http://me:{secret}@127.0.0.1:9"
    assert main(["run", *DEMO, "tracking=sqlite", unreachable, f"workspace={workspace}"]) == 2
    prepared = prepare(Invocation(overrides=(*DEMO, unreachable, "tracking=sqlite")))
    output = capsys.readouterr()
    assert secret not in output.out + output.err + str(prepared.invocation.to_dict())
    assert "tracking.uri=http://***@127.0.0.1:9" in str(prepared.invocation.to_dict())


def test_an_interrupted_run_says_so_in_its_journal(tmp_path, monkeypatch):
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bios_sweep.report.text.progress.LiveView.event", crash)
    assert main(["run", *DEMO, f"workspace={tmp_path}"]) == 130
    journal = read_journal(next(tmp_path.glob("sweeps/*/journal.jsonl")))
    assert journal[-1].fields["reason"] == "interrupted: KeyboardInterrupt"
    monkeypatch.undo()
    assert main(["run", *DEMO, f"workspace={tmp_path}"]) == 0


def test_a_plan_that_would_take_longer_than_allowed_is_refused(tmp_path, capsys):
    slow = [*DEMO, "model.planted.pause_seconds=0.005", f"workspace={tmp_path}"]
    assert main(["run", *slow]) == 0
    capsys.readouterr()
    larger = [*slow, "seeds=[10,11,12,13,14,15]"]
    assert main(["plan", *larger, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["most_seconds"] > plan["estimate_seconds"] > 0
    between = (plan["most_seconds"] + plan["estimate_seconds"]) / 2 / 3600
    assert main(["run", *larger, f"budget.max_hours={between}"]) == 2
    assert "hours but budget.max_hours is" in capsys.readouterr().err
    assert main(["plan", *larger, f"budget.max_hours={2 * between}"]) == 0
