"""From a file as people have it to a verdict, or to the sentence that says what to do instead."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main
from tests.e2e.files_people_have import CASES, CHAT, PLAIN, TEMPLATES, VERDICT, Case

TINY = (
    *("sweeps=aa", "cluster=inline", "tracking=none", "seeds=[0]", "workspace=w", "method.max_length=128"),
    *("baseline.batch_size=2", "budget.max_steps=2", "baseline.train_examples=4"),
)


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory) -> dict[str, Path]:
    """The embedded model without a chat template, with one, and with one that refuses."""
    root = tmp_path_factory.mktemp("models")
    for name, template in TEMPLATES.items():
        shutil.copytree(base_model_path(), root / name)
        (root / name / "chat_template.jinja").write_text(template)
    shutil.copytree(base_model_path(), root / PLAIN)
    return {name: root / name for name in (PLAIN, *TEMPLATES)}


def ends_as_it_says(case: Case, folders: dict[str, Path], capsys) -> None:
    case.write(Path.cwd())
    code = main(["run", *TINY, f"model.path={folders[case.model]}", *case.given, "--json"])
    out, err = capsys.readouterr()
    if case.ends == VERDICT:
        assert code == 0, err
        assert json.loads(out)["verdicts"], "a trial ran and was judged"
        return
    assert (code, out) == (2, ""), err
    assert err.startswith("bios-sweep: ")
    assert err.count("\n") == 1
    assert case.ends in err
    assert not Path("w").exists() or not list(Path("w").rglob("*.safetensors")), "nothing was trained"


@pytest.mark.parametrize("case", [case for case in CASES if case.quick], ids=str)
def test_a_file_of_each_kind_ends_as_it_says(case, model_folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ends_as_it_says(case, model_folders, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if not case.quick], ids=str)
def test_every_file_ends_as_it_says(case, model_folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ends_as_it_says(case, model_folders, capsys)


def test_every_kind_has_files_that_are_read_and_files_that_are_refused():
    kinds = {case.kind for case in CASES}
    for kind in kinds - {"paths"}:
        ends = [case.ends == VERDICT for case in CASES if case.kind == kind]
        assert min(ends.count(True), ends.count(False)) >= 3, kind
    assert {case.model for case in CASES} >= {PLAIN, CHAT}
