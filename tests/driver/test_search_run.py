"""A joint search through the command line's own entry: proposals, winner, fresh seeds, file, interruption."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import util
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.config.places import config_root
from bios_sweep.jsonable import to_json
from bios_sweep.records.reading import read_journal

# The optimum lies between the tested levels and both settings have moved, so that searching pays.
TRUTH = {
    "learning_rate": {"optimum": 1.5e-3, "curvature": 0.8},
    "lora_rank": {"optimum": 80, "curvature": 0.8},
}
FACTORS = {
    "learning_rate": {"multiply": [0.5, 2, 4, 8]},
    "lora_rank": {"values": [16, 64, 128]},
}
TRIALS = 8


def study_folder(root: Path, truth: dict[str, Any] = TRUTH) -> Path:
    """A folder of one sweep and one planted model of our own."""
    model = yaml.safe_load((config_root() / "conf/model/planted.yaml").read_text())
    model["model"]["planted"] |= {"truth": truth, "wall": None}
    header = "# @package _global_\n"
    for name, content in {
        "sweeps/joint.yaml": {"question": "Do they move together?", "factors": FACTORS},
        "model/joint.yaml": model,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        opening = header if name.startswith("model") else ""
        (root / name).write_text(opening + yaml.safe_dump(content, sort_keys=False))
    return root


def words(root: Path, *more: str, trials: int = TRIALS) -> list[str]:
    return [
        "--config-dir", str(root / "conf"), "sweeps=joint", "model=joint", "cluster=inline",
        "decision.looks=[3]", "decision.refine=optuna", f"decision.refine_trials={trials}",
        f"workspace={root / 'runs'}", *more,
    ]  # fmt: skip


class Run:
    """One workspace: `run` it, read its answer, its journal and its files."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str], truth: dict[str, Any] = TRUTH) -> None:
        self.root, self._capsys = root, capsys
        study_folder(root / "conf", truth)

    def __call__(self, *more: str, verb: str = "run", code: int = 0, trials: int = TRIALS) -> dict[str, Any]:
        found = main([verb, "--json", *words(self.root, *more, trials=trials)])
        out, self.err = self._capsys.readouterr()
        assert found == code, self.err
        return json.loads(out) if code == 0 else {}

    @property
    def folder(self) -> Path:
        return bios_sweep.open(self.root / "runs").folder

    def entries(self):
        return read_journal(self.folder / "journal.jsonl")

    def tuned(self) -> dict[str, Any]:
        return json.loads((self.folder / "bios_defaults.json").read_text())


@pytest.fixture
def run(tmp_path, capsys):
    return Run(tmp_path, capsys)


def verdict_of(answer, factor):
    (found,) = [one for one in answer["verdicts"] if one["factor"] == factor]
    return found


def counted(answer):
    counts = answer["counts"]
    return counts["planned"] == counts["completed"] + counts["diverged"] + counts["failed"]


def optuna_states(folder: Path) -> list[str]:
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "optuna.journal"))
    (study,) = optuna.get_all_study_summaries(optuna.storages.JournalStorage(backend))
    loaded = optuna.load_study(study_name=study.study_name, storage=optuna.storages.JournalStorage(backend))
    return [trial.state.name for trial in loaded.trials]


def test_the_winner_meets_the_default_on_fresh_seeds_and_is_served(run):
    answer = run(trials=12)
    found, search = verdict_of(answer, "search"), answer["search"]
    assert found["verdict"] == "refine"
    assert min(found["seeds"]) >= 1_000_000
    assert (search["trials"], search["best"]) == (12, found["best_level"])
    assert search["confirmed_gain"] == pytest.approx(found["effect_percent"], abs=1e-4)
    assert search["confirmed_lower"] < search["confirmed_gain"]
    assert set(answer["importance"]) == {"learning_rate", "lora_rank"}
    assert sum(answer["importance"].values()) == pytest.approx(1)
    assert answer["served"] == run.tuned()["values"] == search["best"]
    singles = [verdict_of(answer, name)["effect_percent"] for name in FACTORS]
    assert found["effect_percent"] > max(singles)
    assert counted(answer)
    report = " ".join((run.folder / "report.md").read_text().split())
    lower = f"(lower bound {search['confirmed_lower']:+.2f} %)"
    assert f"{search['screening_gain']:+.2f} %; fresh seeds, which did not choose it, say" in report
    assert lower in report
    assert "importance" in report
    assert "variance" not in report


def test_proposals_are_in_the_journal_before_their_trials(run):
    answer = run()
    arms = {record["arm"]: record["settings"] for record in answer["arms"]}
    proposed: set[str] = set()
    started = 0
    keys = {}
    for entry in run.entries():
        if entry.kind == "planned":
            keys |= {trial["key"]: trial["arm"] for trial in entry.fields["trials"]}
        if entry.kind == "proposed":
            proposed |= {f"search {one['number']}" for one in entry.fields["proposals"]}
        if entry.kind == "started" and keys[entry.fields["key"]].startswith("search"):
            assert keys[entry.fields["key"]] in proposed
            started += 1
    assert proposed == {f"search {number}" for number in range(TRIALS)}
    assert started >= TRIALS - 2
    assert arms["search 0"] == arms["baseline"]


def test_a_proposal_that_exists_already_counts_once(run):
    answer = run()
    trials = bios_sweep.open(run.root / "runs").trials
    keys = [trial["trial_key"] for trial in trials]
    assert len(set(keys)) == len(keys) == answer["counts"]["planned"]
    assert counted(answer)


def test_running_again_trains_nothing_and_a_view_sees_the_same(run):
    first = run()
    before = {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()}
    again = run()
    assert again["verdicts"] == first["verdicts"]
    assert {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()} == before
    view = bios_sweep.open(run.root / "runs")
    assert to_json(view.verdicts) == first["verdicts"]
    assert to_json(view.summary.search) == first["search"]


@pytest.mark.slow
def test_a_larger_search_goes_on_from_the_trials_that_exist(run):
    run()
    planned = run(verb="plan", trials=12)
    stored = set((run.root / "runs/trials").iterdir())
    answer = run(trials=12)
    new = set((run.root / "runs/trials").iterdir()) - stored
    assert answer["search"]["trials"] == 12
    # four proposals, and seeds that nobody saw of the default, both levels and the winner
    assert len(new) <= 4 + 4 * 5
    assert planned["search"]["most_trials"] == 12
    assert counted(answer)


def test_a_winner_that_fresh_seeds_do_not_show_better_than_a_level_serves_nothing_more(tmp_path, capsys):
    """Only the learning rate matters, and its best level is the optimum: the search can add noise alone."""
    truth = {"learning_rate": {"optimum": 9.816478819444315e-4, "curvature": 1.5}}
    run = Run(tmp_path, capsys, truth)
    answer = run("model.planted.noise_percent=0.3")
    found = verdict_of(answer, "search")
    rate = answer["served"]["learning_rate"]
    assert rate in (found["best_level"]["learning_rate"], verdict_of(answer, "learning_rate")["best_level"])
    assert run.tuned()["values"]["learning_rate"] == rate
    assert "lora_rank" not in found["best_level"]


@pytest.mark.slow
def test_a_diverged_proposal_never_wins(run):
    """The wall lies inside the bracket: what is proposed beyond it diverges."""
    answer = run("model.planted.wall=1.4e-3", "sweeps.factors.learning_rate.multiply=[0.5,2,4]", trials=12)
    assert answer["counts"]["diverged"] > 3  # more than the arm beyond the wall
    assert counted(answer)
    gone = {failure["arm"] for failure in answer["failures"] if failure["arm"].startswith("search")}
    assert gone
    found = verdict_of(answer, "search")
    assert found["best_level"]["learning_rate"] < 1.4e-3
    assert "RUNNING" not in optuna_states(run.folder)


@pytest.mark.slow
def test_quality_and_cost_are_searched_together(run):
    answer = run("decision.refine_goal=quality and cost")
    assert answer["search"]["trials"] == TRIALS
    assert verdict_of(answer, "search")["verdict"] == "refine"
    assert "RUNNING" not in optuna_states(run.folder)


def test_plan_and_budget_count_the_search(run):
    plain = run("decision.refine=null", verb="plan")
    planned = run(verb="plan")
    assert planned["search"] == {"most_trials": TRIALS, "trials": 0}
    assert planned["most_trials"] == plain["most_trials"] + TRIALS + 5  # and the winner's fresh seeds
    limit = planned["most_trials"]
    assert run(f"budget.max_trials={limit}", verb="plan")
    run(f"budget.max_trials={limit - 1}", verb="plan", code=2)
    assert f"up to {TRIALS} more of the joint search" in run.err


def test_a_search_of_a_crossed_study_is_refused(run):
    run("+sweeps.cross={data.train_examples: [500, 4000]}", verb="plan", code=2)
    assert "decision.refine=optuna is not allowed with `cross`" in run.err


def test_without_optuna_the_search_is_refused_before_the_first_trial(run, monkeypatch):
    there = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name, *more: None if name == "optuna" else there(name, *more)
    )
    run(code=2)
    assert re.search(r"needs optuna; install it with pip install 'bios-sweep\[run\]'", run.err)
    assert not (run.root / "runs" / "trials").exists()


def wait_for_search(root: Path, driver: subprocess.Popen[bytes]) -> None:
    """Until a trial that was proposed has ended and others of its batch have not."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and driver.poll() is None:
        for path in root.glob("runs/sweeps/*/journal.jsonl"):
            kinds = [entry.kind for entry in read_journal(path)]
            if "proposed" in kinds and "started" in kinds[kinds.index("proposed") :]:
                return
        time.sleep(0.02)  # waiting for another process, not for luck
    pytest.fail((root / "driver.log").read_text())


@pytest.mark.slow
def test_a_driver_killed_in_the_search_leaves_nothing_hanging(run, tmp_path_factory, capsys):
    command = [sys.executable, "-m", "bios_sweep", "run"]
    with (run.root / "driver.log").open("w") as log:
        driver = subprocess.Popen(
            [*command, *words(run.root, "model.planted.pause_seconds=0.02")], stdout=log, stderr=log
        )
    wait_for_search(run.root, driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert "RUNNING" in optuna_states(run.folder)
    answer = run("model.planted.pause_seconds=0.02")
    assert counted(answer)
    assert "RUNNING" not in optuna_states(run.folder)
    other = Run(tmp_path_factory.mktemp("undisturbed"), capsys)
    undisturbed = other("model.planted.pause_seconds=0.02")
    assert answer["verdicts"] == undisturbed["verdicts"]
    assert answer["search"] == undisturbed["search"]


@pytest.mark.slow
def test_on_ray_the_search_ends_as_in_one_process(run, tmp_path_factory, capsys):
    other = Run(tmp_path_factory.mktemp("inline"), capsys)
    inline = other()
    answer = run("cluster=ray")
    assert answer["search"] == inline["search"]
    assert answer["verdicts"] == inline["verdicts"]
    assert "RUNNING" not in optuna_states(run.folder)
