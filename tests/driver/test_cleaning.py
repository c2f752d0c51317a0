"""`clean` frees what serves nothing any more; a cleaned workspace reports and resumes the same."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from bios_sweep.cli.main import main
from bios_sweep.driver.cleaning import cleaned, remove_dead, shown
from bios_sweep.driver.view import open_sweep
from bios_sweep.errors import WorkspaceBusyError
from bios_sweep.execution.sessions import dead_sessions, note_session
from bios_sweep.jsonable import to_json
from bios_sweep.records.lock import DriverLock, live_owner
from bios_sweep.records.retention import KEPT_MARK
from bios_sweep.records.workspace import Workspace
from tests.driver.test_verify import PLANTED

SESSION = "session_2026-11-30_18-26-18_047450_{}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A workspace where a planted sweep ran to its verdicts."""
    root = tmp_path_factory.mktemp("finished") / "runs"
    assert main(["run", *PLANTED, f"workspace={root}"]) == 0
    return root


@pytest.fixture
def workspace(finished, tmp_path, monkeypatch) -> Workspace:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Workspace(Path(shutil.copytree(finished, tmp_path / "runs")))


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(path: Path, size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def a_session(workspace: Workspace, temporary: Path, process: int) -> Path:
    """As a run of that process leaves it."""
    folder = temporary / SESSION.format(process)
    leave(folder / "logs" / "gcs.out")
    session = note_session(workspace.ray_folder, folder)
    assert session is not None
    note = json.loads(session.note.read_text())
    session.note.write_text(json.dumps({**note, "pid": process}))
    return folder


def with_leftovers(workspace: Workspace, temporary: Path) -> dict[str, Path]:
    """One of each kind, by kind."""
    first, second, third = sorted(
        path for path in workspace.trials.iterdir() if not (path / KEPT_MARK).exists()
    )[:3]
    removed = leave(second / "adapter" / "adapter_model.safetensors").parent
    (second / "adapter-removed-by").write_text("a policy\n")
    return {
        "temporary files": leave(first / ".result.json.12345-67"),
        "slots folders": leave(workspace.ray_folder / "slots-20260101-000000-1-abcdef" / "state.json").parent,
        "Ray sessions": a_session(workspace, temporary, dead_process()),
        "checkpoints of finished trials": leave(first / "checkpoint.pt"),
        "attempts of finished trials": leave(workspace.root / "attempts" / third.name / "a" / "list").parents[
            1
        ],
        "adapters that no sweep keeps": removed,
        "unfinished trials of no sweep": leave(workspace.trials / ("0" * 16) / "checkpoint.pt").parent,
        "examples of no sweep": leave(workspace.root / "data" / ("f" * 16 + ".jsonl")),
    }


def numbers(root: Path) -> list[tuple[object, ...]]:
    return [(one.verdict, one.effect_percent, one.lower, one.upper) for one in open_sweep(root).verdicts]


def told(root: Path) -> tuple[object, ...]:
    view = open_sweep(root)
    return numbers(root), view.summary.counts, view.damaged


def report(workspace: Workspace) -> str:
    view = open_sweep(workspace)
    return json.dumps(to_json(view.summary))


def evidence(workspace: Workspace) -> dict[Path, bytes]:
    kept = ("result.json", "eval.npz", "journal.jsonl", "plan.json", "ledger.jsonl", "bios_defaults.json")
    return {path: path.read_bytes() for path in workspace.root.rglob("*") if path.name in kept}


def outcomes(workspace: Workspace) -> dict[Path, bytes]:
    return {
        path: content for path, content in evidence(workspace).items() if workspace.trials in path.parents
    }


def test_nothing_is_removed_until_it_is_said_and_then_only_what_was_shown(workspace, tmp_path, capsys):
    left = with_leftovers(workspace, tmp_path / "ray")
    before, files = report(workspace), evidence(workspace)
    assert main(["clean", "--json", f"workspace={workspace.root}"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["removed"], set(answer["kinds"])) == (False, set(left))
    assert {one["path"] for one in answer["files"]} >= {str(path) for path in left.values()}
    assert answer["bytes"] == sum(answer["kinds"].values()) >= 1000 * len(left)
    assert all(path.exists() for path in left.values())
    assert main(["clean", "--yes", f"workspace={workspace.root}"]) == 0
    assert "freed" in capsys.readouterr().out
    assert not [path for path in left.values() if path.exists()]
    assert (report(workspace), evidence(workspace)) == (before, files)
    assert shown(workspace).files == ()


def test_a_cleaned_workspace_runs_nothing_again_and_one_in_the_middle_goes_on(workspace, tmp_path, capsys):
    other = Path(shutil.copytree(workspace.root, tmp_path / "other"))
    cleaned(workspace)
    place = f"workspace={workspace.root}"
    before, files = told(workspace.root), outcomes(workspace)
    assert main(["run", *PLANTED, place]) == 0
    assert told(workspace.root) == before
    assert outcomes(workspace) == files
    more = [*(word for word in PLANTED if not word.startswith("seeds")), "seeds=[0,1,2]"]
    assert main(["run", *more, place]) == 0
    assert main(["run", *more, f"workspace={other}"]) == 0
    assert numbers(workspace.root) == numbers(other)


def test_an_adapter_that_a_sweep_keeps_goes_only_when_no_sweep_of_late_does(workspace, capsys):
    folder = next(path for path in sorted(workspace.trials.iterdir()) if (path / KEPT_MARK).exists())
    adapter = leave(folder / "adapter" / "adapter_model.safetensors").parent
    assert str(adapter) not in [one.path for one in cleaned(workspace).files]
    (plan,) = workspace.root.glob("sweeps/*/plan.json")
    for path in plan.parent.iterdir():
        os.utime(path, (1e9, 1e9))
    found = cleaned(workspace)
    assert [(one.kind, one.path) for one in found.files] == [("adapters of old sweeps", str(adapter))]
    assert not adapter.exists()
    assert open_sweep(workspace).damaged == ()


def test_prepared_data_goes_when_nobody_used_it_or_it_was_left_half_made_and_nobody_holds_it(
    workspace, tmp_path
):
    cache = tmp_path / "cache" / "bios_sweep" / "tokens"
    old, young, half, held = (leave(cache / name / "facts.json").parent for name in ("a", "b", "c.new", "d"))
    for folder in (old, held):
        os.utime(folder, (1e9, 1e9))
    with FileLock(held.with_suffix(".lock")):
        found = shown(workspace)
        assert {one.path for one in found.files if "prepared" in one.kind} == {str(old), str(half)}
        cleaned(workspace, 0.0)
    assert [folder.exists() for folder in (old, young, half, held)] == [False, False, False, True]


def test_while_a_driver_works_nothing_is_removed(workspace, tmp_path):
    left = with_leftovers(workspace, tmp_path / "ray")
    with DriverLock(workspace, "a sweep"), pytest.raises(WorkspaceBusyError):
        cleaned(workspace)
    assert all(path.exists() for path in left.values())


def test_a_sweep_that_cannot_be_read_may_need_any_trial_and_any_data(workspace, tmp_path):
    left = with_leftovers(workspace, tmp_path / "ray")
    (journal,) = workspace.root.glob("sweeps/*/journal.jsonl")
    journal.write_bytes(journal.read_bytes()[:-300])
    kinds = cleaned(workspace).kinds
    assert {"unfinished trials of no sweep", "examples of no sweep"} & set(kinds) == set()
    assert left["unfinished trials of no sweep"].exists()


def test_the_next_start_removes_what_killed_runs_of_the_workspace_left(workspace, tmp_path):
    left = with_leftovers(workspace, tmp_path / "ray")
    theirs = leave(tmp_path / "ray" / SESSION.format(1) / "logs").parent
    remove_dead(workspace, killed=True)
    gone = {kind for kind, path in left.items() if not path.exists()}
    assert gone == {"temporary files", "slots folders", "Ray sessions"}
    assert theirs.exists(), "another's session stays"
    assert not list(workspace.ray_folder.iterdir())


def test_a_session_of_a_driver_that_lives_or_of_another_machine_stays(workspace, tmp_path):
    alive = a_session(workspace, tmp_path, os.getpid())
    elsewhere = a_session(workspace, tmp_path, dead_process())
    note = workspace.ray_folder / f"{elsewhere.name}.session.json"
    note.write_text(note.read_text().replace(socket.gethostname(), "another-host"))
    outside = leave(tmp_path / "mine" / "file").parent
    values = {"host": socket.gethostname(), "pid": dead_process(), "folder": str(outside)}
    (workspace.ray_folder / "forged.session.json").write_text(json.dumps(values))
    assert dead_sessions(workspace.ray_folder) == []
    assert all(path.exists() for path in (alive, elsewhere, outside))


def test_a_driver_that_takes_over_from_a_killed_one_knows(workspace):
    with DriverLock(workspace, "first") as lock:
        assert not lock.took_over
    workspace.owner_file.write_text("{}")
    with DriverLock(workspace, "second") as lock:
        assert lock.took_over


def test_that_a_run_was_killed_is_known_until_what_it_left_is_taken_away(workspace):
    workspace.owner_file.write_text("{}")
    left = leave(workspace.root / "sweeps" / ".plan.json.12345-67")
    with DriverLock(workspace, "an arm is stopped by hand"):
        pass
    assert live_owner(workspace) is None
    assert main(["run", *PLANTED, f"workspace={workspace.root}"]) == 0
    assert not left.exists()
    assert not workspace.owner_file.exists()
    workspace.owner_file.write_text("{}")
    cleaned(workspace)
    assert not workspace.owner_file.exists()


def test_who_cleans_a_workspace_works_on_no_sweep(workspace, capsys):
    place = f"workspace={workspace.root}"
    with DriverLock(workspace):
        assert str(live_owner(workspace)) == f"process {os.getpid()} (cleaning)"
        assert main(["run", *PLANTED, "seeds=[0,1,2]", place]) == 75
        assert "which has cleaned it since" in capsys.readouterr().err
        assert main(["stop", place]) == 2
        assert "no sweep is running there" in capsys.readouterr().err
        assert main(["stop", "no such arm", place]) == 2
        assert "no arm 'no such arm'" in capsys.readouterr().err
