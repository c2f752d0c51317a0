"""One timing probe from a plan to the journal: whose it is, and that nobody takes it twice."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bios_sweep.cli import main
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.loop import learn_timing, probe_of
from bios_sweep.driver.sweep import Sweep, open_journal
from bios_sweep.engines.simulation.engine import PlantedEngine
from bios_sweep.errors import DeviceError
from bios_sweep.execution.inline import InlineExecutor
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.records.earlier import known_of
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.study.trials import timing_key
from tests.conformance.sources import ListSource, Log
from tests.records.plans import make_plan

CLOCK = {"t0_seconds": 0.2, "examples_per_second": 40.0, "time_cv": 0.02}
OTHER_SETTINGS = {"batch_size": 16, "lora_rank": 8, "max_steps": 20, "max_length": 64}


def planted_plan(name: str = "demo", multiply: tuple[float, ...] = (0.5, 2), **options: Any) -> Plan:
    study = make_plan().study
    scenario = replace(
        study.scenario,
        engine="bios_sweep.engines.simulation.engine:PlantedEngine",
        engine_options={**CLOCK, **options},
    )
    factors = (Factor(name="batch_size", multiply=multiply),)
    return build_plan(replace(study, name=name, scenario=scenario, factors=factors))


def with_options(plan: Plan, **options: Any) -> Plan:
    scenario = replace(plan.study.scenario, engine_options={**plan.study.scenario.engine_options, **options})
    return replace(plan, study=replace(plan.study, scenario=scenario))


def probe(plan: Plan, root: Path) -> tuple[Mapping[str, Any], ProcedureSource]:
    """Take the timing as a run does; returns what the journal then holds, and the source."""
    sweep = Sweep(plan=plan, workspace=Workspace(root), invocation=Invocation())
    with open_journal(sweep) as journal:
        source = ProcedureSource(plan, known=known_of(plan, sweep.workspace))
        asked = probe_of(plan, source, lambda answer: learn_timing(sweep, source, journal, answer))
        InlineExecutor().run(
            none := ListSource([]), Log(none), engine=plan.study.scenario.engine,
            engine_options=sweep.engine_options, trials_dir=root, probe=asked,
        )  # fmt: skip
        assert journal.state.timing is not None
        return journal.state.timing, source


def test_a_probe_reaches_journal_workspace_and_procedure(tmp_path):
    plan = planted_plan()
    written, source = probe(plan, tmp_path)
    assert written["arms"] == [arm.name for arm in plan.timed_arms]
    assert written["hardware"] == "a simulated clock"
    assert len(written["seconds"]) >= 5  # repeats: fewer would leave the bounds too wide to say anything
    sizes = [arm.settings.batch_size for arm in plan.timed_arms]
    truth = [0.2 + size / 40 for size in sizes]
    assert np.exp(np.log(written["seconds"]).mean(axis=0)) == pytest.approx(truth, rel=0.05)
    assert source.known.timing is not None
    assert source.known.timing.to_dict() == written


def test_where_every_gpu_fails_no_cost_is_measured_and_the_run_goes_on(tmp_path, caplog):
    sweep = Sweep(plan=planted_plan(), workspace=Workspace(tmp_path), invocation=Invocation())
    with open_journal(sweep) as journal:
        source = ProcedureSource(sweep.plan, known=known_of(sweep.plan, sweep.workspace))
        failed = DeviceError("the timing probe failed: RuntimeError: CUDA error: unspecified launch failure")
        learn_timing(sweep, source, journal, failed)
        assert journal.state.timing is None
    assert "no cost is measured: the timing probe failed: RuntimeError: CUDA error" in caplog.text
    assert "no cost is measured: the timing" in sweep.workspace.journal_file(sweep.plan.sweep_id).read_text()
    written, _ = probe(planted_plan(), tmp_path)
    assert written["seconds"], "the next run asks again"


def test_a_second_run_and_another_sweep_of_these_arms_time_nothing(tmp_path):
    assert known_of(planted_plan(), Workspace(tmp_path)).timing is None
    written, _ = probe(planted_plan(), tmp_path)
    for plan in (planted_plan(), planted_plan("renamed")):
        found = known_of(plan, Workspace(tmp_path)).timing
        assert found is not None
        assert found.to_dict() == written


def test_arms_that_were_not_timed_together_are_timed(tmp_path):
    probe(planted_plan(), tmp_path)
    assert known_of(planted_plan(multiply=(0.5, 4)), Workspace(tmp_path)).timing is None


@pytest.mark.parametrize("option", ["device", "threads", "micro_batch_size", "gpus"])
def test_a_timing_taken_in_another_way_is_not_reused(tmp_path, option):
    plan = with_options(planted_plan(), **{option: 2})
    assert known_of(plan, Workspace(tmp_path)).timing is None
    probe(planted_plan(), tmp_path)
    assert known_of(plan, Workspace(tmp_path)).timing is None


def test_one_gpu_is_timed_as_before_a_trial_could_have_several(tmp_path):
    probe(planted_plan(), tmp_path)
    assert known_of(with_options(planted_plan(), gpus=1), Workspace(tmp_path)).timing is not None


def test_where_model_and_data_lie_and_how_often_a_trial_measures_is_not_part_of_a_timing(tmp_path):
    probe(planted_plan(), tmp_path)
    for option in ("model_path", "data_file", "measurements"):
        plan = with_options(planted_plan(), **{option: 3})
        assert known_of(plan, Workspace(tmp_path)).timing is not None, option


def test_a_damaged_timing_is_taken_again(tmp_path):
    written, _ = probe(planted_plan(), tmp_path)
    (file,) = (tmp_path / "timings").iterdir()
    file.write_text('{"hardware": "a simulated clock"}')
    assert known_of(planted_plan(), Workspace(tmp_path)).timing is None
    assert probe(planted_plan(), tmp_path)[0] == written
    assert json.loads(file.read_text())["seconds"] == written["seconds"]


def test_a_timing_is_told_apart_by_arms_their_order_scenario_and_place():
    scenario = make_plan().study.scenario
    first = make_plan().baseline.settings
    arms = [first, replace(first, batch_size=32)]
    key = timing_key(arms, scenario, {"threads": 1})
    others = [
        timing_key(arms[::-1], scenario, {"threads": 1}),
        timing_key(arms[:1], scenario, {"threads": 1}),
        timing_key(arms, scenario, {"threads": 2}),
        timing_key(arms, replace(scenario, engine_version="2"), {"threads": 1}),
        timing_key(arms, replace(scenario, software={"torch": "3"}), {"threads": 1}),
        *(
            timing_key([first, replace(first, **{name: value})], scenario, {"threads": 1})
            for name, value in OTHER_SETTINGS.items()
        ),
    ]
    assert len({key, *others}) == 1 + len(others)
    renamed = replace(scenario, model=dataclasses.replace(scenario.model, name="another name"))
    assert timing_key(arms, renamed, {"threads": 1}) == key


def test_while_the_probe_times_no_mirror_is_at_work(tmp_path, monkeypatch):
    """MLflow's first migration takes a core for seconds: it runs beside the first trial."""
    threads: list[tuple[str, bool]] = []
    time_steps, run = PlantedEngine.time_steps, PlantedEngine.run

    def watched(what, of):
        def call(*arguments):
            threads.append((what, any(one.name == "mirror" for one in threading.enumerate())))
            return of(*arguments)

        return call

    monkeypatch.setattr(PlantedEngine, "time_steps", watched("probe", time_steps))
    monkeypatch.setattr(PlantedEngine, "run", watched("trial", run))
    words = ["sweeps=batch_size", "model=planted", "cluster=inline", "seeds=[0,1]", "decision.looks=[2]"]
    own = [f"workspace={tmp_path / 'runs'}", f"tracking.uri=jsonl://{tmp_path}", "tracking=server"]
    assert main(["run", *words, *own]) == 0
    assert threads[:2] == [("probe", False), ("trial", True)]


@pytest.mark.parametrize(
    "error, code, cause", [(KeyboardInterrupt, 130, "KeyboardInterrupt"), (RuntimeError, 1, "ProbeError")]
)
def test_what_ends_a_run_in_the_probe_reaches_the_tracker(tmp_path, monkeypatch, error, code, cause):
    def ends(*_):
        raise error

    (tmp_path / "told").mkdir()
    monkeypatch.setattr(PlantedEngine, "time_steps", ends)
    words = ["sweeps=batch_size", "model=planted", "cluster=inline", "seeds=[0,1]", "decision.looks=[2]"]
    own = [f"workspace={tmp_path / 'runs'}", f"tracking.uri=jsonl://{tmp_path / 'told'}", "tracking=server"]
    assert main(["run", *words, *own]) == code
    told = "".join(path.read_text() for path in (tmp_path / "told").rglob("*") if path.is_file())
    assert f"interrupted: {cause}" in told
