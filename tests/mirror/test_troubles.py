"""Every state of a tracking store is one sentence: what is wrong, where, the way out. No result is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.mirror.mlflow import schema
from tests.mirror.front import HTML, Front, front_of
from tests.mirror.postgres import free_port
from tests.mirror.tracking_server import TrackingServer

SMALL = (
    *("sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[2]", "model=planted", "cluster=inline"),
    *("seeds=[0,1]", "decision.looks=[2]", "decision.confirmation_seeds=0", "budget.measurements=1"),
    "tracking.flush_seconds=20",
)
TRIALS = 4
EXPERIMENT = "planted | planted | lora"
WAITING = "when it answers"


def said(capsys: pytest.CaptureFixture[str], verb: str, *words: str) -> tuple[int, str]:
    """The exit code, and the one sentence on standard error ('' where there is none)."""
    capsys.readouterr()
    code = main([verb, "tracking=sqlite", *words])
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    sentences = [line for line in errors.splitlines() if line.startswith("bios-sweep: ")]
    assert len(sentences) <= 1
    return code, "".join(sentences)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a finished sweep and its store."""
    root = tmp_path_factory.mktemp("ran") / "runs"
    assert main(["run", "tracking=sqlite", *SMALL, f"workspace={root}"]) == 0
    return root


@pytest.fixture
def place(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that remembers nothing of the store, so that there is something to bring over."""
    monkeypatch.setattr(schema, "WAIT_SECONDS", 0.05)
    root = tmp_path / "runs"
    shutil.copytree(ran, root)
    for cursor in root.glob("sweeps/*/mirror-*.json"):
        cursor.unlink()
    return root


def execute(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def newer(store: Path) -> None:
    execute(store, "UPDATE alembic_version SET version_num = 'ffffffffffff'")


def of_another_program(store: Path) -> None:
    store.unlink()
    execute(store, "CREATE TABLE recipes (name)")


def a_letter(store: Path) -> None:
    store.write_text("a letter to somebody")


def deleted(store: Path) -> None:
    execute(store, "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = 1")


def files_in_the_way(store: Path) -> None:
    shutil.rmtree(store.parent / "mlartifacts")
    (store.parent / "mlartifacts").write_text("no folder")


@pytest.mark.parametrize(
    ("spoil", "what", "way_out"),
    [
        (newer, "was made by a newer MLflow", "install that MLflow again, or give another tracking.uri"),
        (of_another_program, "holds the tables of another program", "give another tracking.uri"),
        (a_letter, "cannot be read as an SQLite database", "restore a copy, or move it away"),
        (deleted, f"has experiment '{EXPERIMENT}' no more", "mlflow experiments restore -x 1`"),
        (files_in_the_way, "cannot be written (it is no folder)", "let this user write it"),
    ],
)
def test_a_file_that_needs_a_hand_is_refused_alike_by_run_and_sync(spoil, what, way_out, place, capsys):
    spoil(place / "mlflow.db")
    for verb, words in (("run", SMALL), ("sync", ())):
        code, sentence = said(capsys, verb, *words, f"workspace={place}")
        assert code == 2
        assert str(place) in sentence
        assert what in sentence
        assert way_out in sentence
        assert WAITING not in sentence


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Nobody may write it: by its mode, and of root, who may, by a mount."""
    if os.getuid() != 0:
        before = place.stat().st_mode
        place.chmod(0o500 if place.is_dir() else 0o400)
        yield
        place.chmod(before)
        return
    if subprocess.run(["mount", "--bind", place, place], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        yield
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("which", ["file", "folder"])
def test_a_store_that_may_not_be_written_says_which_and_how(which, place, tmp_path, capsys):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    store = Path(shutil.copy(place / "mlflow.db", folder))
    spoilt = store if which == "file" else folder
    with read_only(spoilt):
        code, sentence = said(capsys, "sync", f"workspace={place}", f"tracking.uri=sqlite:///{store}")
    assert code == 2
    assert f"tracking.uri: {spoilt} cannot be written (" in sentence
    assert "let this user write it" in sentence
    assert WAITING not in sentence


HOLDER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(store: Path) -> Iterator[subprocess.Popen[str]]:
    """Locked by another process for good."""
    command = [sys.executable, "-c", HOLDER, str(store)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_locked_store_costs_no_result_and_its_holder_is_named(place, tmp_path, capsys):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(place / "mlflow.db", fresh)
    with held(fresh / "mlflow.db") as process:
        code, sentence = said(capsys, "run", *SMALL, f"workspace={fresh}", "tracking.flush_seconds=1")
    assert code == 4
    assert f"{fresh}/mlflow.db is locked by another process (open in process {process.pid} (" in sentence
    assert "nothing is lost, run `bios-sweep sync --sweep learning_rate-" in sentence
    assert sentence.endswith("` when it is free")
    assert_complete_after_sync(capsys, fresh)


def test_files_that_are_not_taken_cost_neither_results_nor_numbers(place, capsys):
    """The place of artifacts is spoilt while it runs: what it was asked before the start still held."""
    with while_running(place.parent / "new", lambda: spoil_files(place.parent / "new")):
        code, sentence = said(capsys, "run", *SMALL, *SLOW, f"workspace={place.parent / 'new'}")
    assert code == 4
    assert "cannot be written (it is no folder); nothing is lost: let this user write it" in sentence
    assert "then run `bios-sweep sync --sweep " in sentence
    (place.parent / "new" / "mlartifacts").unlink()
    assert_complete_after_sync(capsys, place.parent / "new")


def spoil_files(root: Path) -> None:
    shutil.rmtree(root / "mlartifacts", ignore_errors=True)
    (root / "mlartifacts").write_text("no folder")


SLOW = ("model.planted.pause_seconds=0.15",)


@contextmanager
def while_running(root: Path, act: Callable[[], None]) -> Iterator[None]:
    """Something happens after the first trial has ended."""
    doing = threading.Thread(target=_after_the_first, args=(root, act))
    doing.start()
    yield
    doing.join(60)
    assert not doing.is_alive(), "the sweep was over before"


def _after_the_first(root: Path, act: Callable[[], None]) -> None:
    for _ in range(6000):
        if any(b'"ended"' in file.read_bytes() for file in root.glob("sweeps/*/journal.jsonl")):
            break
        time.sleep(0.01)
    act()


def assert_complete_after_sync(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> None:
    """What the journal has is in the store, once the hand is lent."""
    assert said(capsys, "sync", f"workspace={root}", *words) == (0, "")
    sweep = bios_sweep.open(root)
    assert len(sweep.trials) == TRIALS
    uri = dict(word.split("=", 1) for word in words).get("tracking.uri", f"sqlite:///{root}/mlflow.db")
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    found = client.search_runs([experiment.experiment_id], f"tags.`sweep.{sweep.sweep_id}` != ''")
    trials = [run for run in found if run.data.tags.get("kind") == "trial"]
    assert [run.info.status for run in trials] == ["FINISHED"] * TRIALS


@pytest.fixture(scope="module")
def door(tracking_server: TrackingServer) -> Iterator[Front]:
    """One address for all: MLflow remembers for the life of a process where the files of a run go."""
    with front_of(tracking_server.url) as made:
        yield made


@pytest.fixture
def front(door: Front) -> Iterator[Front]:
    yield door
    door.lets_through()


FROM_OUTSIDE = [
    (401, b"You are not authenticated.", "refuses the credentials (401)", "set MLFLOW_TRACKING_TOKEN", ""),
    (403, b"Permission denied", "refuses the credentials (403)", "set MLFLOW_TRACKING_TOKEN", ""),
    (500, b"oops", "answers 500 to /health", "see the server's own log", WAITING),
    (503, b"busy", "answers 503 to /health", "see the server's own log", WAITING),
    (200, HTML, "answers, but not as an MLflow server does", "check host and port", ""),
    (404, HTML, "answers 404 to /health", "give the address of an MLflow server", ""),
]


@pytest.mark.parametrize(("status", "body", "what", "way_out", "until"), FROM_OUTSIDE)
def test_a_server_that_turns_bad_while_a_sweep_runs(
    status, body, what, way_out, until, front, tmp_path, capsys
):
    """The run goes on to its verdicts and says at its end how to bring the server up to date, and when."""
    root, address = tmp_path / "runs", f"tracking.uri={front.url}"
    words = (*SMALL, *SLOW, f"workspace={root}", address, "tracking.flush_seconds=1")
    with while_running(root, lambda: front.says(status, body)):
        code, sentence = said(capsys, "run", *words)
    assert code == 4
    assert f"{front.url} {what}; nothing is lost" in sentence
    assert (way_out in sentence) == (not until)
    assert sentence.endswith(until or "`")
    code, sentence = said(capsys, "sync", f"workspace={root}", address)
    assert (code, f"tracking.uri: {front.url} {what}; {way_out}" in sentence) == (2, True)
    front.lets_through()
    assert_complete_after_sync(capsys, root, address)


def test_an_experiment_deleted_while_a_sweep_runs(tracking_server, tmp_path, capsys):
    root, address = tmp_path / "runs", f"tracking.uri={tracking_server.url}"
    client = MlflowClient(tracking_server.url)

    def delete() -> None:
        client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)

    with while_running(root, delete):
        code, sentence = said(capsys, "run", *SMALL, *SLOW, f"workspace={root}", address)
    number = client.get_experiment_by_name(EXPERIMENT).experiment_id
    try:
        command = f"MLFLOW_TRACKING_URI={tracking_server.url} mlflow experiments restore -x {number}"
        assert code == 4
        assert f"it was deleted in MLflow; nothing is lost: bring it back with `{command}`, then" in sentence
        assert said(capsys, "sync", f"workspace={root}", address)[0] == 2
        main(["status", "tracking=sqlite", f"workspace={root}", address])
        assert "it was deleted in MLflow" in " ".join(capsys.readouterr().out.split())
    finally:
        client.restore_experiment(number)
    assert_complete_after_sync(capsys, root, address)


def test_a_server_that_is_away_is_refused_where_nothing_was_recorded_and_waited_for_where_something_was(
    front, tmp_path, capsys
):
    root = tmp_path / "runs"
    nobody = f"http://127.0.0.1:{free_port()}"
    code, sentence = said(capsys, "run", *SMALL, f"workspace={root}", f"tracking.uri={nobody}")
    assert code == 2
    assert f"{nobody} cannot be reached (" in sentence
    assert "start the server, or leave tracking.uri out" in sentence
    assert not list(root.glob("sweeps/*/journal.jsonl"))
    address = f"tracking.uri={front.url}"
    assert main(["run", *SMALL, "tracking=sqlite", f"workspace={root}", address]) == 0
    front.says(503)
    code, sentence = said(capsys, "run", *SMALL, f"workspace={root}", address, "tracking.flush_seconds=1")
    assert (code, sentence.endswith(WAITING)) == (4, True)


def test_a_server_that_does_not_let_us_write_says_so(front, tmp_path, capsys):
    front.says(403, b"Permission denied", only="runs/")
    root, address = tmp_path / "runs", f"tracking.uri={front.url}"
    code, sentence = said(capsys, "run", *SMALL, f"workspace={root}", address)
    assert code == 4
    assert "does not let us write" in sentence
    assert "ask for the permission to write there, or set MLFLOW_TRACKING_TOKEN" in sentence
    front.lets_through()
    assert_complete_after_sync(capsys, root, address)
