"""Sweeps run from Python: by name, and over a function of one's own."""

from __future__ import annotations

import inspect
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bios_sweep
from bios_sweep.driver.calls import Asked
from bios_sweep.errors import ConfigError, InputError
from bios_sweep.records.reading import read_journal
from tests.engines.scripted.test_own_function import cell

SOURCE = """
import math, random

OPTIMUM = -3.0

def loss(learning_rate):
    return 1 + (math.log10(learning_rate) - OPTIMUM) ** 2

def train(settings, seed, report):
    noise = random.Random(seed).gauss(0, 0.001)
    report(2 + noise, step=0)
    return loss(settings.learning_rate) + noise
"""
FACTORS = {"learning_rate": {"multiply": [0.25, 4]}}
BASELINE = {"learning_rate": 1e-3, "max_steps": 10, "batch_size": 4}
QUIET = ["cluster=inline", "tracking=none"]


def asked(workspace: Path, **changes: Any) -> dict[str, Any]:
    own = {"baseline": BASELINE, "factors": FACTORS, "metric": "eval_loss", "seeds": [0, 1, 2]}
    return {**own, "overrides": QUIET, "workspace": workspace, **changes}


def of_kind(kind: str, workspace: Path) -> list[str]:
    """Keys of the trials that were `started` or `ended`, by all runs of the workspace's only sweep."""
    [journal] = workspace.glob("sweeps/*/journal.jsonl")
    return [entry.fields["key"] for entry in read_journal(journal) if entry.kind == kind]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    workspace = tmp_path_factory.mktemp("python") / "runs"
    bios_sweep.run(cell(SOURCE), **asked(workspace), quiet=True)
    return workspace


def test_a_plan_is_typed_and_starts_nothing(tmp_path):
    plan = bios_sweep.plan(cell(SOURCE), **asked(tmp_path / "runs"))
    assert [arm.name for arm in plan.arms] == ["baseline", "learning_rate x0.25", "learning_rate x4"]
    assert (len(plan.trials), plan.to_run, plan.reused) == (10, 10, 0)  # one runs twice: is it repeatable?
    assert (plan.cost.examples, plan.cost.seconds) == (10 * 10 * 4, None)
    assert repr(plan).splitlines()[2] == "10 trials: 10 to run, 0 reused"
    assert not (tmp_path / "runs").exists()


def test_a_plan_of_a_named_sweep_takes_what_a_command_takes(tmp_path):
    overrides = ["model=planted", "cluster=inline"]
    plan = bios_sweep.plan(sweeps="learning_rate", overrides=overrides, workspace=tmp_path, seeds=[0, 1, 2])
    assert {trial.seed for trial in plan.trials} == {0, 1, 2}
    assert len(repr(plan).splitlines()) <= 10


def test_a_function_gets_its_verdict(finished):
    sweep = bios_sweep.open(finished)
    [verdict] = sweep.verdicts
    assert (str(verdict.verdict), verdict.default) == ("confirm", 1e-3)
    assert sweep.plan.study.scenario.name == "train | train | python"
    assert {(point["arm"], point["step"]) for point in sweep.curves} >= {("baseline", 0), ("baseline", 10)}
    assert (finished / "sweeps" / sweep.sweep_id / "report.html").is_file()


def test_a_view_is_told_as_the_first_screen_of_its_report(finished):
    sweep = bios_sweep.open(finished)
    text = repr(sweep)
    assert "learning_rate  KEEP (confirm)  0.001" in text
    assert "10 trials planned = 10 completed + 0 diverged + 0 failed" in text
    assert f"report: {sweep.folder / 'report.html'}" in text
    assert (len(text.splitlines()) < 20, str(sweep) == text) == (True, True)
    assert sweep._repr_html_().startswith("<pre>")


def test_views_of_many_verdicts_stay_short(finished):
    view = bios_sweep.open(finished)
    verdicts = tuple(replace(view.summary.verdicts[0], factor=f"f{place}") for place in range(100))
    view.__dict__["summary"] = replace(view.summary, verdicts=verdicts, scenario="<b>" + "x" * 300)
    assert len(repr(view).splitlines()) < 35
    assert max(map(len, repr(view).splitlines())) < 400
    assert "&lt;b&gt;" in view._repr_html_()


def test_trials_and_curves_are_data_frames(finished):
    sweep = bios_sweep.open(finished)
    assert len(sweep.to_pandas()) == 10
    assert set(sweep.to_pandas("curves").columns) >= {"arm", "seed", "step", "eval_loss"}
    with pytest.raises(InputError, match="to_pandas: 'rows' is not allowed; choose from trials, curves"):
        sweep.to_pandas("rows")


def test_the_sweeps_of_a_workspace_are_listed(finished, tmp_path):
    assert [view.plan.study.name for view in bios_sweep.sweeps(finished)] == ["train"]
    assert bios_sweep.sweeps(tmp_path / "none") == []


def test_the_same_call_again_runs_nothing(finished):
    before = of_kind("started", finished)
    bios_sweep.run(cell("\n" + SOURCE), **asked(finished), quiet=True)
    assert of_kind("started", finished) == before
    assert len(set(before)) == len(before) == 10


@pytest.mark.parametrize(
    ("what", "reused"),
    [
        (("OPTIMUM = -3.0", "OPTIMUM = -3.0"), 10),
        (("OPTIMUM = -3.0", "OPTIMUM = -2.0"), 0),
        (("return 1 +", "return 2 +"), 0),
        (("gauss(0, 0.001)", "gauss(0, 0.002)"), 0),
    ],
)
def test_an_edited_function_never_takes_old_trials_for_its_own(finished, what, reused):
    plan = bios_sweep.plan(cell(SOURCE.replace(*what)), **asked(finished))
    assert (plan.reused, plan.to_run) == (reused, 10 - reused)


def test_more_levels_reuse_the_trials_that_are_there(finished):
    more = asked(finished, factors={"learning_rate": {"multiply": [0.25, 2, 4]}})
    plan = bios_sweep.plan(cell(SOURCE), **more)
    assert (plan.reused, plan.to_run) == (10, 3)


def test_a_version_stands_for_what_cannot_be_hashed(tmp_path):
    held = cell("def train(s, seed, report):\n    return next(held)\n", held=iter([1.0]))
    with pytest.raises(ConfigError, match="give version='1'"):
        bios_sweep.plan(held, **asked(tmp_path))
    plans = [bios_sweep.plan(held, **asked(tmp_path, version=version)) for version in ("1", "1", "2")]
    keys = [{trial.key for trial in plan.trials} for plan in plans]
    assert keys[0] == keys[1]
    assert not keys[0] & keys[2]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sweeps": "demo"}, "sweeps: a function's factors are given as factors="),
        ({"factors": None}, "factors: no variation is given"),
        ({"overrides": "cluster=inline"}, "overrides: 'cluster=inline' is a text; give a list"),
        ({"metric": "quality"}, "method.direction"),
        ({"baseline": {}}, "baseline.learning_rate"),
        ({"factors": {"learning_rate": {"times": [2]}}}, "sweeps.factors.learning_rate.times: unknown key"),
        ({"baseline": {**BASELINE, 1: 2}}, "baseline: 1 is no name of a setting; give its name as a text"),
        ({"baseline": {**BASELINE, "own": 2}}, "method.settings.own: the name is taken"),
        ({"baseline": {**BASELINE, "bach_size": 2}}, "baseline.bach_size: write batch_size, which is"),
        ({"baseline": {**BASELINE, "lr": 1e-3}}, "baseline.lr: write learning_rate, which is"),
    ],
)
def test_a_call_that_cannot_be_run_is_refused_in_a_sentence(tmp_path, changes, told):
    with pytest.raises(InputError, match=told):
        bios_sweep.plan(cell(SOURCE), **asked(tmp_path, **changes))


@pytest.mark.parametrize("name", ["depth 2/4", "../x", ".hidden", "", "a\nb", "a\n", 3])
def test_a_name_that_is_no_plain_part_of_a_path_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(InputError, match=r"name: .* is not allowed; letters, digits, spaces, dots, dashes"):
        bios_sweep.run(cell(SOURCE), **asked(tmp_path / "runs", name=name), quiet=True)
    assert not (tmp_path / "runs").exists()


def test_a_name_may_have_spaces_and_dots(tmp_path):
    plan = bios_sweep.plan(cell(SOURCE), **asked(tmp_path, name="depth 2 to 4 v1.5"))
    assert repr(plan).startswith("depth 2 to 4 v1.5")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["method=lora"], "method.runner=builtin would not run the function"),
        (["method=command"], "method.runner=command would not run the function"),
        (["method.runner=command"], "method.runner=command would not run the function"),
        (["method.callable=a:b"], "method.callable=a:b would displace the function"),
    ],
)
def test_no_override_displaces_the_function(tmp_path, words, told):
    with pytest.raises(ConfigError, match=f"overrides: {told}"):
        bios_sweep.plan(cell(SOURCE), **asked(tmp_path, overrides=[*QUIET, *words]))


@pytest.mark.parametrize(("values", "without_effect"), [([0.1, 0.4], False), (["a", "c"], True)])
def test_a_joint_search_counts_for_numbers_of_ones_own_alone(tmp_path, values, without_effect):
    own = {
        "baseline": {**BASELINE, "mix": "b" if without_effect else 0.2},
        "factors": {"mix": {"values": values}},
    }
    words = [*QUIET, "decision.refine=optuna"]
    plan = bios_sweep.plan(cell(SOURCE), **asked(tmp_path, **own, overrides=words))
    told = " ".join(plan.summary.warnings)
    assert ("no factor of this sweep has numbers" in told) is without_effect


def test_completion_offers_the_calls_that_are_loaded_late():
    assert {"open", "plan", "run", "sweeps"} <= set(dir(bios_sweep))


@pytest.mark.parametrize("call", [bios_sweep.plan, bios_sweep.run])
def test_help_and_completion_see_every_argument_and_another_is_refused(call):
    assert {"function", *Asked.__annotations__} <= set(inspect.signature(call).parameters)
    with pytest.raises(TypeError, match="unexpected keyword argument 'fatcors'"):
        call(sweeps="demo", fatcors={})


def test_a_named_sweep_takes_no_baseline(tmp_path):
    with pytest.raises(InputError, match="baseline: goes with a function; a sweep by its name takes over"):
        bios_sweep.run(sweeps="demo", baseline={"learning_rate": 1.0}, workspace=tmp_path)


def test_a_named_sweep_runs_and_resumes(tmp_path, capsys):
    workspace, overrides = tmp_path / "a b", ["model=planted", *QUIET]
    call = {"sweeps": "aa", "overrides": overrides, "seeds": [0, 1], "workspace": workspace}
    first = bios_sweep.run(**call)
    told = capsys.readouterr()
    assert (told.out, "trials to run" in told.err) == ("", True)
    assert bios_sweep.run(**call, quiet=True).verdicts == first.verdicts
    assert capsys.readouterr() == ("", "")
    assert first.command.startswith("bios-sweep run sweeps=aa")


def test_a_function_that_fails_is_told_with_its_cause(tmp_path):
    failing = cell("def train(settings, seed, report):\n    raise RuntimeError('no such corpus')\n")
    with pytest.warns(UserWarning, match="no such corpus"):
        sweep = bios_sweep.run(failing, **asked(tmp_path), quiet=True)
    assert {row.failure for row in sweep.summary.failures} == {"code"}


SLOW = SOURCE.replace("    return loss", "    import time\n    time.sleep(0.3)\n    return loss")


def test_an_interrupt_stops_at_the_next_measurement_raises_and_the_same_call_goes_on(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    ended = tmp_path / "trials"

    def interrupt() -> None:
        while not list(ended.glob("*/result.json")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt, match="the same call goes on from here"):
        bios_sweep.run(cell(SLOW), **asked(tmp_path), quiet=True)
    assert signal.getsignal(signal.SIGINT) is before
    done = len(bios_sweep.open(tmp_path).trials)
    assert 0 < done < 10
    sweep = bios_sweep.run(cell(SLOW), **asked(tmp_path), quiet=True)
    assert str(sweep.verdicts[0].verdict) == "confirm"
    keys = [
        entry.fields["key"] for entry in read_journal(sweep.folder / "journal.jsonl") if entry.kind == "ended"
    ]
    assert len(keys) == len(set(keys)) == 10


def test_another_thread_runs_too_and_leaves_the_handlers_alone(tmp_path):
    found: list[Any] = []
    before = signal.getsignal(signal.SIGINT)
    call = asked(tmp_path, seeds=[0, 1])
    thread = threading.Thread(target=lambda: found.append(bios_sweep.run(cell(SOURCE), **call, quiet=True)))
    thread.start()
    while thread.is_alive():
        assert signal.getsignal(signal.SIGINT) is before
        thread.join(0.05)
    assert found[0].summary.stage == "done"


def test_a_call_from_python_cannot_be_typed_again(finished):
    view = bios_sweep.open(finished)
    assert view.command == "bios_sweep.run(train, ...)"
    with pytest.raises(InputError, match=r"was run from Python; call bios_sweep.run\(train, ...\) with what"):
        view.invocation.replaced(())


def test_settings_of_ones_own_are_baseline_and_factors_like_any_other(tmp_path):
    source = """
def train(settings, seed, report):
    return 1 + (settings.depth - 3) ** 2 + 0.001 * seed + (settings.kind != "wide")
"""
    own = {"baseline": {**BASELINE, "depth": 3, "kind": "wide"}, "factors": {"depth": {"values": [2, 4]}}}
    sweep = bios_sweep.run(cell(source), **asked(tmp_path, **own), quiet=True)
    [verdict] = sweep.verdicts
    assert (str(verdict.verdict), verdict.factor, verdict.default) == ("confirm", "depth", 3)
    with pytest.raises(InputError, match="no_such"):
        bios_sweep.plan(cell(source), **asked(tmp_path, factors={"no_such": {"values": [2, 4]}}))
