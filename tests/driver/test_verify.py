"""`verify`: a file that is not as it was written is named, and no flipped bit changes a word."""

from __future__ import annotations

import json
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bios_sweep.cli.main import main
from bios_sweep.defaults import read_tuned
from bios_sweep.driver.sweep import Sweep, open_journal, take_in_finished
from bios_sweep.driver.verifying import verified
from bios_sweep.driver.view import open_sweep
from bios_sweep.errors import BiosSweepError
from bios_sweep.jsonable import to_json
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.records.workspace import Workspace
from tests.damage import flipped

PLANTED = (
    *(
        "sweeps=learning_rate",
        "model=planted",
        "budget=demo",
        "seeds=[0,1]",
        "cluster=inline",
        "tracking=none",
    ),
    *("model.planted.clusters=40", "model.planted.cluster_noise_percent=0.5"),
)
FEW, MANY = 25, 1_000

# What no checksum covers, and why a changed bit of it can change no number of ours.
HARMLESS = {
    "checkpoint.jsonl": "a simulated trial computes it again and compares, before it goes on from it",
    "driver.lock": "it is empty: the kernel's lock on it counts, not its content",
    "adapter-removed-by": "that it is there counts, not what it says",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A workspace where a planted sweep ran to its verdicts, with its report."""
    root = tmp_path_factory.mktemp("finished") / "runs"
    assert main(["run", *PLANTED, f"workspace={root}"]) == 0
    return root


@pytest.fixture
def root(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs"))


def told(root: Path) -> tuple[str, tuple[str, ...]]:
    """The verdicts, or the sentence that stands in their place; and what the reader says is damaged."""
    try:
        view = open_sweep(root)
        return json.dumps(to_json(view.verdicts)), view.damaged
    except BiosSweepError as error:
        return str(error), (str(error),)


def damages(raw: bytes, seed: int) -> list[bytes]:
    """One flipped bit, and a file that is cut off."""
    size = random.Random(seed).randrange(len(raw)) if raw else 0
    return [*flipped(raw, seed, flips=1 if raw else 0), *([raw[:size]] if raw else [])]


def hold(root: Path, count: int, harmless: Callable[[Path], bool]) -> tuple[int, int]:
    """Damage files in turn, one at a time; how often it was named, and how often it could change nothing."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)
    before = told(root)
    assert before[1] == ()
    named, passed = 0, 0
    for number in range(count):
        path = files[number % len(files)]
        whole = path.read_bytes()
        for damaged in damages(whole, seed=number):
            path.write_bytes(damaged)
            found = verified(None, Workspace(root)).damaged
            words, noticed = told(root)
            assert words == before[0] or noticed, f"{path}: a word changed, and nothing was said"
            if str(path) in [one.path for one in found]:
                assert all(one.wrong and one.way_out for one in found)
                named += 1
            else:
                assert harmless(path), f"{path}: damage is not noticed"
                assert words == before[0]
                passed += 1
        path.write_bytes(whole)
    assert told(root) == before
    assert not verified(None, Workspace(root)).damaged
    return named, passed


def test_damage_to_any_file_of_a_workspace_is_named_or_can_change_nothing(root):
    named, passed = hold(root, FEW, lambda path: path.name in HARMLESS)
    assert named > passed


@pytest.mark.slow
def test_a_thousand_damages_to_all_files_of_a_workspace(root):
    named, passed = hold(root, MANY, lambda path: path.name in HARMLESS)
    print(f"{named} named, {passed} in {', '.join(HARMLESS)}")
    assert named + passed == 2 * MANY


def test_a_whole_workspace_is_told_kind_by_kind(root, capsys):
    assert main(["verify", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "none is damaged" in printed
    for kind in ("journal", "plan", "ledger", "result", "evaluation", "mark", "report", "tuned defaults"):
        assert f"\n{kind} " in f"\n{printed}"


def test_what_is_damaged_is_named_with_the_way_out_and_exit_code_2(root, capsys):
    key = sorted((root / "trials").iterdir())[0]
    (key / "eval.npz").unlink()
    (tuned,) = root.glob("sweeps/*/bios_defaults.json")
    tuned.write_text(tuned.read_text().replace("confirm", "refine"))
    assert main(["verify", "--json", f"workspace={root}"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert {(one["kind"], one["path"], one["wrong"]) for one in found["damaged"]} >= {
        ("evaluation", str(key / "eval.npz"), "is gone")
    }
    assert all("bios-sweep run" in one["way_out"] for one in found["damaged"])


def test_one_sweep_is_verified_by_its_name_and_by_its_folder(root, capsys):
    (folder,) = root.glob("sweeps/*")
    for words in (("learning_rate", f"workspace={root}"), (folder.name, f"workspace={root}"), (str(folder),)):
        assert main(["verify", *words]) == 0
        assert "none is damaged" in capsys.readouterr().out
    (folder / "report.md").write_text("# another")
    assert main(["verify", str(folder)]) == 2
    assert f"{folder / 'report.md'}: does not match its checksum" in capsys.readouterr().out


def packed(root: Path, name: str) -> Path:
    target = root.parent / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(target, "w") as archive:
            for path in root.rglob("*"):
                archive.write(path, path.relative_to(root.parent))
    else:
        with tarfile.open(target, "w:gz") as archive:
            archive.add(root, root.name)
    return target


@pytest.mark.parametrize("name", ["runs.tar.gz", "runs.zip"])
def test_an_archive_is_verified_as_the_workspace_that_it_holds(name, root, capsys):
    assert main(["verify", str(packed(root, name))]) == 0
    assert "none is damaged" in capsys.readouterr().out
    (journal,) = root.glob("sweeps/*/journal.jsonl")
    journal.write_bytes(journal.read_bytes()[:-200])
    archive = packed(root, name)
    assert main(["verify", str(archive)]) == 2
    printed = capsys.readouterr().out
    assert f"damaged: {archive}:/{journal.relative_to(root)}: is cut off" in printed
    archive.write_bytes(archive.read_bytes()[:-900])
    assert main(["verify", str(archive)]) == 2
    assert "cannot be unpacked" in capsys.readouterr().err


def test_what_is_no_workspace_is_refused_in_a_sentence(tmp_path, capsys):
    (tmp_path / "text").write_text("text")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    for given, what in (
        ("text", "is no archive"),
        ("empty.zip", "holds no workspace"),
        (".", "is no workspace"),
    ):
        assert main(["verify", str(tmp_path / given)]) == 2
        assert what in capsys.readouterr().err
    assert main(["verify", "nothing", f"workspace={tmp_path}"]) == 2
    assert "no sweep yet" in capsys.readouterr().err


def test_the_tuned_file_says_that_its_evidence_is_damaged_until_the_trials_have_run_again(root, capsys):
    (tuned,) = root.glob("sweeps/*/bios_defaults.json")
    (sorted((root / "trials").iterdir())[0] / "eval.npz").unlink()
    view = open_sweep(root)
    sweep = Sweep(plan=view.plan, workspace=Workspace(root), invocation=view.invocation)
    with open_journal(sweep) as journal:
        take_in_finished(sweep, ProcedureSource(view.plan), journal)
    (told,) = read_tuned(tuned).warnings
    assert told.startswith("1 trial that the values rest on was found damaged on the disk (trials/")
    assert str(root) not in told
    capsys.readouterr()
    assert main(["run", *PLANTED, f"workspace={root}"]) == 0
    assert read_tuned(tuned).damaged is None
    assert main(["verify", str(root)]) == 0
