"""What the tokenised data take on a disk is said by the plan, and refused by the node that lacks it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.driver import table_room
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.place import wanted_on_nodes
from bios_sweep.driver.prepare import prepare
from bios_sweep.driver.table_room import table_bytes, table_notes
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.data import write_dataset
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.engines.training.on_node import look


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    words = ("sweeps=demo", "cluster=inline", f"workspace={tmp_path_factory.mktemp('w')}")
    return prepare(Invocation(verb="plan", overrides=words))


def test_the_bytes_are_those_that_the_tables_take(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("bios_sweep.engines.training.kept.kept_root", lambda kind: tmp_path)
    data = prepared.dataset
    write_dataset(data, tmp_path / "data.jsonl")
    options = {**prepared.plan.study.scenario.engine_options, "data_file": str(tmp_path / "data.jsonl")}
    engine = LoraEngine(options)
    engine._material("float32", prepared.plan.study.baseline.max_length)
    folders = [facts.parent for facts in tmp_path.glob("*/facts.json")]
    files = [file for folder in folders for file in folder.iterdir() if file.name != "facts.json"]
    assert table_bytes(prepared.plan) == sum(file.stat().st_size for file in files)


def test_a_plan_says_what_they_take_and_warns_where_there_is_no_room(prepared, monkeypatch):
    assert table_notes(prepared.plan) == ([], [])
    scenario = prepared.plan.study.scenario
    cuts = tuple(replace(cut, tokens=10**8, lost=0) for cut in scenario.data.cuts)
    large = replace(scenario, data=replace(scenario.data, cuts=cuts))
    plan = replace(prepared.plan, study=replace(prepared.plan.study, scenario=large))
    [told], lacking = table_notes(plan)
    assert told.startswith("the tokens take 0.4 GB of the disk of each node (1 length), mapped")
    assert lacking == []
    monkeypatch.setattr(table_room.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10**8}))
    notes, [warning] = table_notes(plan)
    assert notes == []
    assert warning.endswith("0.1 GB free: free some there, or set XDG_CACHE_HOME to another folder")
    assert wanted_on_nodes(plan, prepared.request, "trials")["options"]["table_bytes"] == table_bytes(plan)


def test_a_node_without_the_room_says_so(tmp_path: Path):
    write_dataset(embedded_examples(3), tmp_path / "data.jsonl")
    options = {"model_path": str(base_model_path()), "data_file": str(tmp_path / "data.jsonl")}
    assert "found" in look({**options, "table_bytes": 1})["data"]
    assert (
        "GB are free where the tokens take 1e+09" in look({**options, "table_bytes": 10**18})["data"]["error"]
    )
