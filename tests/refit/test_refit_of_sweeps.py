"""From finished sweeps of several models to the next heuristics, by their folders and by their store."""

from __future__ import annotations

import json
import shutil

import pytest

from bios_sweep import defaults
from bios_sweep.cli.main import main
from bios_sweep.defaults import rules
from bios_sweep.mirror.content import child_content, parent_content
from bios_sweep.mirror.mlflow.rate_studies import collect_experiment
from bios_sweep.mirror.mlflow.runs import Experiment, StoredRun
from bios_sweep.records.reading import read_journal
from bios_sweep.records.replay import replay
from bios_sweep.records.workspace import Workspace
from bios_sweep.refit.collected import collect
from bios_sweep.refit.law import Rule

HIGHER = Rule(level=1.1e-3, exponent=0.7)
SIZES = (1024, 2048, 3072, 4096, 8192)


def sweep(workspace, size, *words):
    """A finished planted sweep of a model of that size, whose best learning rate follows HIGHER."""
    planted = (
        f"model.planted.hidden_size={size}",
        f"model.planted.truth.learning_rate.optimum={HIGHER.rate(size)}",
    )
    chosen = (
        "sweeps=learning_rate",
        "cluster=inline",
        "seeds=[0,1,2]",
        "model.planted.wall=null",
        "model.planted.truth.learning_rate.curvature=2",
    )
    more = ("model=planted", f"model.name=m{size}", "budget.measurements=1", "decision.confirmation_seeds=2")
    assert main(["run", *chosen, *more, *planted, f"workspace={workspace}", *words]) == 0


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "runs"
    for size in SIZES:
        sweep(folder, size)
    return folder


def refitted(capsys, *words):
    capsys.readouterr()
    assert main(["defaults", "refit", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_finished_sweeps_of_several_models_become_the_next_heuristics(
    workspace, tmp_path, capsys, monkeypatch
):
    file = tmp_path / "heuristics.json"
    answer = refitted(capsys, str(workspace), "-o", str(file))
    (found,) = answer["families"]
    assert (found["models"], found["studies"], found["choice"]) == (5, 5, "new")
    assert found["exponent"]["lower"] <= HIGHER.exponent <= found["exponent"]["upper"]
    assert found["level"]["lower"] <= HIGHER.level <= found["level"]["upper"]
    written = json.loads(file.read_text())
    assert written["version"] == str(int(defaults.heuristics()["version"]) + 1)
    assert f'-  "version": "{defaults.heuristics()["version"]}"' in answer["diff"]
    monkeypatch.setattr(rules, "heuristics", lambda: written)
    served = defaults.recommend(family="llama", hidden_size=4096)
    assert served.learning_rate == pytest.approx(HIGHER.rate(4096), rel=0.2)
    why = served.why["learning_rate"]
    assert why.source.startswith("refit of 5 ladders of 5 models by bios_sweep")
    assert why.evidence.startswith("change to the new rule: it saves")
    assert "over 5 held-out models" in why.evidence


def test_the_copies_in_a_tracking_store_are_no_further_sweeps(workspace, tmp_path, capsys):
    folder = tmp_path / "runs"
    shutil.copytree(workspace / "sweeps", folder / "sweeps")
    for number, sweep_dir in enumerate(sorted((workspace / "sweeps").iterdir())):
        shutil.copytree(sweep_dir, folder / "mlartifacts" / "1" / str(number) / "artifacts")
    assert collect([folder]) == collect([folder / "sweeps"])
    capsys.readouterr()
    assert main(["defaults", "merge", str(folder), "-o", str(tmp_path / "all.json"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["read"]) == len(SIZES)


def test_an_extended_sweep_takes_the_place_of_the_one_before_it(tmp_path, capsys):
    folder = tmp_path / "runs"
    sweep(folder, 2048)
    sweep(folder, 2048, "sweeps.factors.learning_rate.multiply=[0.25,0.5,2,4,8]")
    answer = refitted(capsys, str(folder))
    (ladder,) = answer["studies"]
    assert len(ladder["learning_rates"]) == 6
    assert answer["left_out"] == [
        "m2048, rank 32, batch size 128, steps 1000: its 15 trials are all in another ladder"
    ]


@pytest.mark.parametrize("action", ["refit", "merge"])
def test_a_misspelt_folder_is_not_made(action, workspace, tmp_path, capsys):
    target = tmp_path / "nowhere" / "file.json"
    assert main(["defaults", action, str(workspace), "-o", str(target)]) == 4
    assert "no such folder" in capsys.readouterr().err
    assert not target.parent.exists()


def stored(name, content):
    return StoredRun(
        run_id=name,
        name=content.name,
        status=content.status,
        started=content.started,
        params=dict(content.params),
        metrics={point.key: point.value for point in content.points},
        tags={**content.birth, **content.tags},
    )


def mirrored(folder, only=None):
    """The workspace's sweeps as their mirror would show them, all in one experiment."""
    workspace, runs = Workspace(folder), []
    for sweep_id in workspace.sweeps():
        state = replay(read_journal(workspace.sweep_dir(sweep_id) / "journal.jsonl"))
        runs.append(stored(f"{sweep_id} itself", parent_content(state, alive=False)))
        for trial in state.trials.values():
            content = child_content(state, trial, "", alive=False)
            runs.append(stored(f"{sweep_id} {trial.spec.key}", content))
    return runs


def test_the_tracking_store_gives_the_ladders_that_the_folders_give(workspace):
    by_folder = {one.model: one for one in collect([workspace]).studies}
    found = collect_experiment(Experiment(source="experiment 'all'", runs=tuple(mirrored(workspace))))
    assert found.left_out == ()
    by_store = {one.model: one for one in found.studies}
    assert len(by_store) == 5
    assert by_store == by_folder


def test_what_a_store_does_not_tell_or_finish_is_left_out_by_name(workspace):
    runs = mirrored(workspace)
    for run, change in ((runs[0], {"status": "interrupted"}), (runs[len(runs) // 5], {"family": ""})):
        assert run.tags["kind"] == "sweep"
        run.tags.update(change)
    found = collect_experiment(Experiment(source="experiment 'all'", runs=tuple(runs)))
    assert len(found.studies) == 3
    assert any(told.endswith("the sweep is not finished") for told in found.left_out)
    assert any(
        told.endswith("its run does not say family; give the sweep's folder instead")
        for told in found.left_out
    )
    (none,) = collect_experiment(Experiment(source="experiment 'x'", runs=(runs[1],))).left_out
    assert none == "experiment 'x': has no sweep of bios-sweep"


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["refit"], "defaults refit: name a model or a file"),
        (["merge"], "defaults merge: name a model or a file"),
        (
            ["show", "x", "--from-mlflow", "y"],
            "--from-mlflow: belongs to `defaults refit`, not to `defaults show`",
        ),
        (
            ["refit", "--from-mlflow", "y", "--tracking-uri", "sqlite:////no/store.db"],
            "there is no such file",
        ),
    ],
)
def test_a_refit_of_nothing_is_refused(words, sentence, capsys):
    assert main(["defaults", *words]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.slow  # MLflow makes a database and is imported
def test_sweeps_are_refitted_straight_from_the_store(tmp_path, capsys):
    pytest.importorskip("mlflow")
    for size in SIZES[:4]:
        sweep(tmp_path / "runs", size, "tracking=sqlite")
    uri = f"sqlite:///{Workspace(tmp_path / 'runs').store}"
    by_store = refitted(capsys, "--from-mlflow", "m* | planted | lora", "--tracking-uri", uri)
    by_folder = refitted(capsys, str(tmp_path / "runs"))
    assert by_store["left_out"] == []
    assert by_store["families"] == by_folder["families"]
    assert main(["defaults", "refit", "--from-mlflow", "z*", "--tracking-uri", uri]) == 2
    assert "no experiment 'z*'" in capsys.readouterr().err
