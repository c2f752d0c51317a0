"""`verify`: a file that is not as it was written is named, and no flipped bit changes a word."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bios_sweep.cli.main import main
from bios_sweep.defaults import read_tuned
from bios_sweep.driver.cleaning import shown
from bios_sweep.driver.sweep import Sweep, open_journal, take_in_finished
from bios_sweep.driver.unpacked import unpacked
from bios_sweep.driver.verifying import verified
from bios_sweep.driver.view import open_sweep
from bios_sweep.errors import BiosSweepError, InputError
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
FEW, MANY = 6, 1_000

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
    """Damage `count` files, one at a time: how often it was named, and how often it could change nothing."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)
    before = told(root)
    assert before[1] == ()
    named, passed = 0, 0
    for number in range(count):
        path = files[number * len(files) // count]
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


MODES = {"runs.tar": "w", "runs.tar.gz": "w:gz", "runs.tar.bz2": "w:bz2", "runs.tar.xz": "w:xz"}


def small_archive(folder: Path, name: str) -> tuple[Path, dict[str, bytes]]:
    """Some files below `sweeps`, and what each holds."""
    draw = random.Random(5)
    texts = {f"sweeps/a/{number}.json": draw.randbytes(200) + b"word " * 60 for number in range(6)}
    target = folder / name
    for path, content in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    if name in MODES:
        with tarfile.open(target, MODES[name]) as archive:  # type: ignore[call-overload]
            archive.add(folder / "sweeps", "sweeps")
    else:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in texts:
                archive.write(folder / path, path)
    return target, texts


def looked_into(path: Path) -> tuple[str, set[str]]:
    """Why an archive is refused, or the files in it."""
    try:
        with unpacked(path) as folder:
            return "", {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    except InputError as error:
        return str(error), set()


@pytest.mark.parametrize("name", [*MODES, "runs.zip"])
def test_an_archive_with_flipped_bytes_is_refused_in_a_sentence_or_yields_every_file(name, tmp_path):
    path, texts = small_archive(tmp_path, name)
    whole, draw = path.read_bytes(), random.Random(7)
    places = [8, len(whole) // 2, len(whole) - 30, *(draw.randrange(len(whole) - 8) for _ in range(12))]
    refused = 0
    for place in places:
        path.write_bytes(
            whole[:place] + bytes(byte ^ 0xFF for byte in whole[place : place + 8]) + whole[place + 8 :]
        )
        sentence, found = looked_into(path)
        assert sentence or found >= set(texts), f"{place}: files are missing, and nothing was said"
        assert "\n" not in sentence
        refused += "cannot be unpacked" in sentence
    assert refused


def test_a_tar_is_read_to_its_end_also_behind_a_damaged_member(tmp_path):
    path, _ = small_archive(tmp_path, "runs.tar")
    whole = path.read_bytes()
    with tarfile.open(path) as archive:
        third = archive.getmembers()[3].offset
    for damaged in (whole[:third] + b"x" + whole[third + 1 :], whole[:third]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=f"its members end at byte {third:,}"), unpacked(path):
            pass


def test_an_archive_without_any_sweep_and_one_with_a_password_are_refused(tmp_path, capsys):
    path, _ = small_archive(tmp_path, "runs.zip")
    assert main(["verify", str(path)]) == 2
    assert "holds no sweep" in capsys.readouterr().err
    raw = path.read_bytes()
    start = raw.index(b"PK\x01\x02")
    path.write_bytes(
        raw[:start]
        + raw[start:].replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    )
    assert main(["verify", str(path)]) == 2
    assert "is encrypted" in capsys.readouterr().err


def test_a_folder_that_lost_plan_and_journal_is_damaged_and_nothing_is_freed_for_it(root, capsys):
    (folder,) = root.glob("sweeps/*")
    for path in folder.glob("journal.jsonl*"):
        path.unlink()
    (folder / "plan.json").unlink()
    trial = sorted((root / "trials").iterdir())[0]
    (trial / "result.json").unlink()
    (trial / "checkpoint.pt").write_bytes(b"PK")
    assert main(["verify", str(root)]) == 2
    assert f"{folder}: has neither plan.json nor journal.jsonl" in capsys.readouterr().out
    assert str(trial) not in [one.path for one in shown(Workspace(root)).files]


def test_a_sweep_whose_journal_is_gone_with_its_mark_may_need_any_trial(root):
    for path in root.glob("sweeps/*/journal.jsonl*"):
        path.unlink()
    trial = sorted((root / "trials").iterdir())[0]
    (trial / "result.json").unlink()
    assert str(trial) not in [one.path for one in shown(Workspace(root)).files]
    assert "is gone" in [one.wrong for one in verified(None, Workspace(root)).damaged]


def test_a_workspace_in_use_is_verified_and_cleaned_while_files_come_and_go(root):
    workspace, over = Workspace(root), threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            for number in range(20):
                folder = root / "ray" / f"session-{number}" / "logs"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "file").write_text("text")
            shutil.rmtree(root / "ray")

    busy = threading.Thread(target=come_and_go)
    busy.start()
    try:
        for _ in range(10):
            assert verified(None, workspace).damaged == ()
            shown(workspace)
    finally:
        over.set()
        busy.join()


def test_a_linked_folder_is_a_folder_and_a_link_to_nothing_is_damage(root, tmp_path):
    before = verified(None, Workspace(root))
    (root / "trials").rename(tmp_path / "elsewhere")
    (root / "trials").symlink_to(tmp_path / "elsewhere")
    found = verified(None, Workspace(root))
    vouched = [kind.files for kind in before.kinds if kind.kind != "other"]
    assert (found.damaged, [kind.files for kind in found.kinds if kind.kind != "other"]) == ((), vouched)
    (root / "nowhere").symlink_to(tmp_path / "nothing")
    (told,) = verified(None, Workspace(root)).damaged
    assert (told.path, told.wrong) == (str(root / "nowhere"), "is no regular file")


def test_a_tracking_store_whose_writer_was_killed_is_not_vouched_for_and_no_damage(root):
    script = (
        "import os, sqlite3, sys; store = sqlite3.connect(sys.argv[1]); store.execute('PRAGMA cache_size=1');"
        "store.execute('create table t (x)'); store.commit();"
        "store.executemany('insert into t values (?)', [('x' * 900,) for _ in range(400)]); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(root / "mlflow.db")], check=False)
    assert (root / "mlflow.db-journal").stat().st_size
    before = (root / "mlflow.db").read_bytes()
    found = verified(None, Workspace(root))
    (store,) = (kind for kind in found.kinds if kind.kind == "tracking")
    assert (found.damaged, store.unvouched) == ((), store.files)
    assert (root / "mlflow.db").read_bytes() == before
    (root / "mlflow.db-journal").unlink()
    (root / "mlflow.db").write_bytes(b"text" * 999)
    assert [one.path for one in verified(None, Workspace(root)).damaged] == [str(root / "mlflow.db")]


def test_a_line_of_a_journal_is_named_without_its_file_twice(root):
    (journal,) = root.glob("sweeps/*/journal.jsonl")
    journal.write_bytes(journal.read_bytes().replace(b"\n", b"\r\n"))
    (told,) = (one for one in verified(None, Workspace(root)).damaged if one.path == str(journal))
    assert told.wrong == "line 1: its line end was changed"


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
