"""How an SQLite store comes to be: whole or not at all, whatever kills the process that makes it."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.store.db import utils
from sqlalchemy.exc import OperationalError

from bios_sweep.errors import InputError, TrackingError
from bios_sweep.mirror.cursor import awaited, read_cursor
from bios_sweep.mirror.mlflow import birth as mlflow_birth
from bios_sweep.mirror.mlflow import schema as store_schema
from bios_sweep.mirror.mlflow.local import read_store
from bios_sweep.mirror.mlflow.mirror import mlflow_recorder
from bios_sweep.mirror.mlflow.ready import ready_store
from bios_sweep.mirror.mlflow.schema import EMPTY, connect, is_current, look
from bios_sweep.mirror.mlflow.server import serve_ui
from bios_sweep.mirror.mlflow.tracker import check_tracking, default_tracking_uri
from bios_sweep.records.workspace import Workspace
from bios_sweep.trouble import TroubleError
from tests.mirror.births import begin, end, made_ready, migrated_by_mlflow
from tests.mirror.journals import NAME, make_plan, mirror, open_sweep, run_trial

HALF_WAY = "CREATE TABLE trace_info"  # the record of the migrations lags behind by that table
OLDER = "bf29a5ff90ea"  # a revision of 2025; 31 more follow it in MLflow 3.17.2
LOCK = ".mlflow.db.lock"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("whole") / "mlflow.db"
    ready_store(f"sqlite:///{file}")
    return file


@pytest.fixture
def soon_made(whole, monkeypatch) -> None:
    """MLflow's second of work is done once; what is tested comes before and after it."""
    monkeypatch.setattr(mlflow_birth, "_make", lambda new, file: shutil.copy(whole, new))


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Path:
    """What a kill left of MLflow's own migration."""
    file = tmp_path_factory.mktemp("half") / "mlflow.db"
    assert end(begin(migrated_by_mlflow, file, HALF_WAY)) == -signal.SIGKILL
    return file


@pytest.fixture(scope="module")
def older(tmp_path_factory) -> Path:
    """A whole store of an older MLflow, with an experiment in it."""
    file = tmp_path_factory.mktemp("older") / "mlflow.db"
    mlflow_birth._layout_of(OLDER, file)
    execute(
        file, "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'mine', 'active')"
    )
    return file


def execute(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute(statement)
        database.commit()


def around(file: Path) -> set[str]:
    return {path.name for path in file.parent.iterdir()}


def place(store: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for path in store.parent.glob("mlflow.db*"):
        shutil.copy(path, folder)
    return folder / "mlflow.db"


def two_sweeps(workspace: Workspace) -> tuple[str, str]:
    """The second one shares the first one's trials and adds two."""
    plans = make_plan(), make_plan("wider", (2.0, 4.0))
    for plan in plans:
        with open_sweep(workspace, plan) as journal:
            for trial in plan.trials:
                run_trial(journal, trial.key)
            journal.closed("done")
    return plans[0].sweep_id, plans[1].sweep_id


def test_a_kill_while_a_new_store_is_made_leaves_none_and_the_next_is_whole(tmp_path):
    file = tmp_path / "mlflow.db"
    assert end(begin(made_ready, file, HALF_WAY)) == -signal.SIGKILL
    assert not file.exists()
    assert ".mlflow.db.new" in around(file)
    ready_store(f"sqlite:///{file}")
    assert around(file) == {"mlflow.db", LOCK}
    assert [one.name for one in MlflowClient(f"sqlite:///{file}").search_experiments()] == ["Default"]


def test_a_kill_while_an_older_store_is_upgraded_leaves_it_as_it_was(older, tmp_path):
    file = place(older, tmp_path)
    file.chmod(0o640)
    before = file.read_bytes()
    assert end(begin(made_ready, file, "CREATE TABLE workspaces")) == -signal.SIGKILL
    assert file.read_bytes() == before
    ready_store(f"sqlite:///{file}", ours=True)
    assert is_current(file)
    assert around(file) == {"mlflow.db", LOCK}
    assert file.stat().st_mode & 0o777 == 0o640
    assert MlflowClient(f"sqlite:///{file}").get_experiment("7").name == "mine"


def test_an_older_store_that_is_written_in_another_way_stays_so_and_loses_no_line(older, tmp_path):
    """MLflow's own servers may keep a write-ahead log beside the file."""
    file, link = place(older, tmp_path / "real"), tmp_path / "mlflow.db"
    link.symlink_to(file)
    with closing(sqlite3.connect(file)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("INSERT INTO experiments (experiment_id, name) VALUES (8, 'last')")
        writer.commit()
        shutil.copy(f"{file}-wal", tmp_path / "log")
        kept = file.read_bytes()
    file.write_bytes(kept)
    shutil.copy(tmp_path / "log", f"{file}-wal")
    ready_store(f"sqlite:///{link}", ours=True)
    assert link.is_symlink()
    with closing(connect(file)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("SELECT name FROM experiments WHERE experiment_id = 8").fetchone() == (
            "last",
        )


def test_a_full_disk_leaves_nothing_behind(older, tmp_path):
    new, old = tmp_path / "new" / "mlflow.db", place(older, tmp_path / "old")
    before = old.read_bytes()
    assert end(begin(made_ready, new, "", 300_000)) == 1
    assert around(new) == {LOCK}
    assert end(begin(made_ready, old, "", 700_000)) == 1
    assert around(old) == {"mlflow.db", LOCK}
    assert old.read_bytes() == before


def test_of_two_processes_at_once_one_makes_the_store_and_neither_fails(tmp_path):
    file = tmp_path / "mlflow.db"
    assert [end(process) for process in [begin(made_ready, file), begin(made_ready, file)]] == [0, 0]
    assert is_current(file)
    assert around(file) == {"mlflow.db", LOCK}


def test_a_half_migrated_store_is_set_aside_and_filled_from_every_journal(half, tmp_path, caplog):
    workspace = Workspace(tmp_path)
    first, second = two_sweeps(workspace)
    kept = place(half, tmp_path).read_bytes()
    mirror(workspace, sweep_id=second).sync()
    assert "was left half-migrated" in caplog.text
    assert [path.read_bytes() for path in tmp_path.glob("mlflow-set-aside-*.db")] == [kept]
    client = MlflowClient(default_tracking_uri(workspace))
    experiment = client.get_experiment_by_name(NAME).experiment_id
    runs = client.search_runs([experiment], "tags.kind = 'trial'")
    assert Counter(run.data.tags["trial_key"] for run in runs).most_common(1)[0][1] == 1
    assert len(runs) == 6
    for sweep_id in (first, second):
        place_there = read_cursor(workspace, sweep_id, default_tracking_uri(workspace))
        assert client.get_run(place_there["run_id"]).info.status == "FINISHED"
        assert place_there["experiment_id"] == experiment
    assert awaited(workspace, default_tracking_uri(workspace)) == []


def test_a_kill_after_setting_aside_loses_no_sweep(half, tmp_path, soon_made, monkeypatch):
    workspace, uri = Workspace(tmp_path), default_tracking_uri(Workspace(tmp_path))
    first, second = two_sweeps(workspace)
    place(half, tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    move_in = mlflow_birth._move_in
    monkeypatch.setattr(mlflow_birth, "_move_in", killed)
    with pytest.raises(KeyboardInterrupt):
        mirror(workspace, sweep_id=first).sync()
    monkeypatch.setattr(mlflow_birth, "_move_in", move_in)
    assert not workspace.store.exists()
    assert awaited(workspace, uri) == [first, second]
    recorder = mirror(workspace, sweep_id=second)  # as `run` does it
    recorder.start()
    assert recorder.finish(60), recorder.problem
    assert awaited(workspace, uri) == []
    client = MlflowClient(uri)
    assert client.get_run(read_cursor(workspace, first, uri)["run_id"]).info.status == "FINISHED"


def test_what_was_known_of_a_store_that_is_gone_is_not_believed_of_the_new_one(tmp_path, whole, soon_made):
    workspace, uri = Workspace(tmp_path), default_tracking_uri(Workspace(tmp_path))
    first, second = two_sweeps(workspace)
    place(whole, tmp_path)
    for sweep_id in (first, second):
        mirror(workspace, sweep_id=sweep_id).sync()
    workspace.store.unlink()
    mirror(workspace, sweep_id=second).sync()
    assert read_cursor(workspace, first, uri) == {}
    assert read_cursor(workspace, second, uri)["experiment_id"]


def test_another_half_migrated_store_stays_and_the_sentence_says_the_way_out(half, tmp_path):
    workspace = Workspace(tmp_path / "runs")
    _, sweep_id = two_sweeps(workspace)
    file = place(half, tmp_path / "own")
    before, uri = file.read_bytes(), f"sqlite:///{file}"
    with pytest.raises(TroubleError, match=r"is half-migrated.*restore a copy, or move it away"):
        mlflow_recorder(workspace, sweep_id, uri, NAME).sync()
    assert file.read_bytes() == before
    assert around(file) == {"mlflow.db", LOCK}


def test_what_only_shows_a_store_replaces_none(half, tmp_path):
    workspace = Workspace(tmp_path)
    before, uri = place(half, tmp_path).read_bytes(), default_tracking_uri(workspace)
    with pytest.raises(InputError, match="is set aside and filled anew by `bios-sweep sync`"):
        serve_ui(workspace, uri)
    with pytest.raises(InputError, match="is half-migrated"):
        read_store(uri, NAME)
    assert workspace.store.read_bytes() == before


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (("UPDATE alembic_version SET version_num = 'ffffffffffff'",), "was made by a newer MLflow"),
        (("DROP TABLE alembic_version", "ALTER TABLE experiments RENAME TO notes"), "of another program"),
        (("PRAGMA writable_schema = ON", "UPDATE sqlite_master SET rootpage = 9999"), "cannot be read"),
    ],
)
def test_a_file_that_no_kill_left_so_is_refused_as_it_is(statements, reason, whole, tmp_path):
    file = place(whole, tmp_path)
    with closing(sqlite3.connect(file)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    before = file.read_bytes()
    with pytest.raises(InputError, match=reason):
        check_tracking(f"sqlite:///{file}", Workspace(tmp_path))
    with pytest.raises(InputError, match=reason):
        ready_store(f"sqlite:///{file}", ours=True, start_over=lambda: None)
    assert file.read_bytes() == before


def test_a_half_migrated_store_with_another_program_s_table_is_left_as_it_is(half, tmp_path):
    file = place(half, tmp_path)
    execute(file, "CREATE TABLE recipes (name)")
    with pytest.raises(TroubleError, match=r"another program's tables too \(recipes\)"):
        ready_store(f"sqlite:///{file}", ours=True, start_over=lambda: None)


def test_a_locked_store_is_neither_half_migrated_nor_waited_for_without_end(older, tmp_path, monkeypatch):
    monkeypatch.setattr(store_schema, "WAIT_SECONDS", 0.05)
    file = place(older, tmp_path)
    with closing(connect(file)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        check_tracking(f"sqlite:///{file}")  # it may be free when the mirror comes
        with pytest.raises(TrackingError, match=f"{file} is locked by another process"):
            ready_store(f"sqlite:///{file}", ours=True, start_over=lambda: None)


def test_a_store_that_another_program_is_at_is_not_replaced(older, tmp_path, soon_made, monkeypatch):
    """It may be an MLflow that makes its tables just now: half-made, but alive."""
    file = place(older, tmp_path)

    def meanwhile(_engine: object) -> None:
        execute(file, "CREATE TABLE meanwhile (half)")
        raise ValueError("half")

    monkeypatch.setattr(utils, "_upgrade_db", meanwhile)
    execute(file, "CREATE TABLE workspaces (half)")
    with pytest.raises(TrackingError, match="another process is writing it"):
        ready_store(f"sqlite:///{file}", ours=True, start_over=lambda: None)
    assert around(file) == {"mlflow.db", LOCK}


def test_an_upgrade_that_fails_on_a_whole_store_is_not_taken_for_a_kill(older, tmp_path, monkeypatch):
    file = place(older, tmp_path)

    def fails(_engine: object) -> None:
        raise OperationalError("INSERT", None, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(utils, "_upgrade_db", fails)
    before = file.read_bytes()
    with pytest.raises(TrackingError, match=r"disk is full.*it is as it was"):
        ready_store(f"sqlite:///{file}", ours=True, start_over=lambda: None)
    assert file.read_bytes() == before


def test_somebody_s_older_store_is_upgraded_only_where_mlflow_would(older, whole, tmp_path, monkeypatch):
    lacking = place(older, tmp_path / "lacking")
    ready_store(f"sqlite:///{lacking}")
    assert is_current(lacking)
    complete = place(whole, tmp_path / "complete")  # MLflow wants its own command for it
    execute(complete, f"UPDATE alembic_version SET version_num = '{OLDER}'")
    monkeypatch.setattr(utils, "_upgrade_db", lambda _engine: None)
    with pytest.raises(InputError, match=r"made by an older MLflow.*run `mlflow db upgrade sqlite:"):
        ready_store(f"sqlite:///{complete}")


def test_a_log_without_its_store_is_not_played_back_into_the_new_one(tmp_path, soon_made):
    file = tmp_path / "mlflow.db"
    (tmp_path / "mlflow.db-journal").write_bytes(b"an old one's")
    ready_store(f"sqlite:///{file}")
    assert not (tmp_path / "mlflow.db-journal").exists()
    assert [path.read_bytes() for path in tmp_path.glob("mlflow-set-aside-*-journal")] == [b"an old one's"]


def test_an_empty_file_is_a_store_not_yet_made(tmp_path):
    file = tmp_path / "mlflow.db"
    file.touch()
    assert look(file).kind == EMPTY
    assert ready_store(f"sqlite:///{file}") == (True, None)
    assert is_current(file)


def test_mlflow_s_own_record_of_its_migrations_is_found():
    """The light look reads MLflow's scripts; where they moved, every store would be left to MLflow itself."""
    found = store_schema.installed()
    assert found is not None
    known, head = found
    assert head == utils._get_latest_schema_revision()
    assert OLDER in known
