"""The JSON schemas: they are what the classes say, hold for what is written, and find a forgotten key.

Every output of the golden set is held against them too (`golden_set.outputs`).
"""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from bios_sweep.cli.main import main
from bios_sweep.jsonable import to_json
from bios_sweep.ports import PreflightLine
from bios_sweep.records.journal import Journal
from bios_sweep.records.replay import _OF_SWEEPS, _OF_TRIALS
from bios_sweep.records.workspace import Owner
from bios_sweep.report.content.answers import SweepStatus
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec
from tests.golden_cases import CASES
from tests.golden_set import GoldenError, outputs
from tests.json_schemas import described, validator, wrong

ROOT = Path(__file__).resolve().parents[1]
FIXTURE = ROOT / "tests" / "golden" / "workspace_v1"


def generator():
    """`docs/hooks/schemas.py`, which no package holds."""
    spec = importlib.util.spec_from_file_location("schemas_of_json", ROOT / "docs" / "hooks" / "schemas.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


GENERATOR = generator()
EARLIER = [
    path for name in ("journal.jsonl", "report.json", "bios_defaults.json") for path in FIXTURE.rglob(name)
]
NAMES = tuple(GENERATOR.WRITTEN)
SETTINGS = TrainingSettings(learning_rate=1e-4, batch_size=8, lora_rank=8, max_steps=100)
STATUS = SweepStatus(
    sweep="a", sweep_id="a-1", judged_on="eval_loss, smaller is better", stage="screening", planned=2,
    completed=1, diverged=0, failed=1, failures={"code": 1}, driver=Owner(pid=7), broken="no", damaged=("x",),
    command="bios-sweep run",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_what_the_classes_say(name):
    written = (GENERATOR.SCHEMAS / f"{name}.json").read_text(encoding="utf-8")
    assert written == GENERATOR.text(name), "run `make schemas`"
    Draft202012Validator.check_schema(json.loads(written))


def test_there_is_no_other_file():
    assert {path.stem for path in GENERATOR.SCHEMAS.iterdir()} == set(NAMES)


def test_the_page_has_every_key():
    page = GENERATOR.page()
    for name in NAMES:
        for part in GENERATOR.schema(name)["$defs"].values():
            assert all(f"| `{key}` |" in page for key in part["properties"])


def test_a_key_too_many_and_a_key_too_few_are_found():
    told = to_json(STATUS)
    less = {key: value for key, value in told.items() if key != "stage"}
    assert wrong("status", told) == ""
    assert "'more' was unexpected" in wrong("status", {**told, "more": 1})
    assert "'stage' is a required property" in wrong("status", less)
    assert "$.planned is not as status.json says" in wrong("status", {**told, "planned": "2"})


def test_nobody_needs_to_drive():
    assert wrong("status", to_json(replace(STATUS, driver=None, broken=None))) == ""


def test_what_a_run_prints_is_as_described(tmp_path, capsys):
    words = ("sweeps=demo", "model=planted", "cluster=inline", f"workspace={tmp_path}")
    assert main(["run", *words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    looked_at = to_json([PreflightLine(node="a", check="memory", found="1", red=True)])
    assert wrong("run", printed) == ""
    assert wrong("run", {**printed, "preflight": looked_at}) == ""
    assert wrong("run", {"preflight": looked_at}) == ""
    assert wrong("run", {**printed, "link": None}) != ""
    assert wrong("run", {}) != ""


def test_every_kind_of_line_that_a_journal_knows_is_described():
    described_kinds = {
        branch["properties"]["kind"]["const"] for branch in validator("journal").schema["anyOf"]
    }
    assert described_kinds == {*_OF_SWEEPS, *_OF_TRIALS}


def test_lines_that_no_golden_case_writes_are_as_described(tmp_path):
    spec = TrialSpec(key="k", arm="baseline", seed=0, settings=SETTINGS)
    nothing = Measurement(step=1, fraction=1.0, examples=1, tokens=1, eval_loss=float("nan"))
    result = TrialResult(key="k", status="completed", curve=(nothing,), final={"eval_loss": float("nan")})
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.planned([spec])
        journal.started("k", "host:1")
        journal.measured("k", replace(nothing, metrics={"score": float("inf")}))
        journal.retried("k", "the node is gone", "node lost")
        journal.left("k")
        journal.by_hand("learning_rate x2", stopped=True, why="in demo-1a2b3c4d")
        journal.by_hand("learning_rate x2", stopped=False)
        journal.ended(replace(result, files={"eval.npz": "sha256:0"}))
        journal.adapter_kept("k", tmp_path)
        journal.searched({"lora_rank": 1.0})
        journal.decided("bfloat16", ["NVIDIA L4", "NVIDIA L4"])
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert len(lines) == 11
    assert [wrong("journal", line) for line in lines if wrong("journal", line)] == []


@pytest.mark.parametrize("file", EARLIER, ids=lambda file: f"{file.parents[2].name}/{file.name}")
def test_what_an_earlier_version_wrote_is_as_described(file):
    found = list(described(file.relative_to(FIXTURE).as_posix(), file.read_text(encoding="utf-8")))
    assert found
    assert [told for name, value in found if (told := wrong(name, value))] == []


def test_the_golden_set_refuses_json_that_no_schema_describes(monkeypatch):
    case = next(case for case in CASES if case.name == "audit/unconfirmed")
    monkeypatch.setattr("tests.golden_set.wrong", lambda name, value: f"{name} is wrong")
    with pytest.raises(GoldenError, match=r"audit/unconfirmed: 02 report: audit is wrong"):
        outputs(case)
