"""Output that goes away: the reader left, the terminal closed, the disk is full; the sweep goes on."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bios_sweep.cli.output import PatientFile
from bios_sweep.driver.stopping import Stop, Stopped, hangup
from bios_sweep.records.reading import read_journal
from bios_sweep.records.workspace import Workspace

PATIENCE_SECONDS = 120
SMALL = [
    "sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[2]", "model=planted", "seeds=[0,1]",
    "decision.looks=[2]", "tracking=none", "cluster=inline",
]  # fmt: skip


@pytest.fixture
def begun(tmp_path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a verb in a process of its own, in a session of its own; ends it where the test does not."""
    started = []

    def start(*words: str, hang_up: signal.Handlers = signal.SIG_DFL, **streams: object):
        def prepare() -> None:  # whatever the suite itself was started under
            signal.signal(signal.SIGHUP, hang_up)
            if terminal := streams.get("stdin"):
                fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

        command = [sys.executable, "-m", "bios_sweep", *words]
        started.append(
            subprocess.Popen(
                command, cwd=tmp_path, preexec_fn=prepare, start_new_session=True, bufsize=0, **streams
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def run_words(folder: Path, pause_seconds: float = 0.0, cluster: str = "inline") -> list[str]:
    pause = [f"model.planted.pause_seconds={pause_seconds}"] if pause_seconds else []
    return ["run", *SMALL[:-1], f"cluster={cluster}", f"workspace={folder / 'runs'}", *pause]


def is_finished(folder: Path) -> bool:
    [sweep] = (folder / "runs/sweeps").iterdir()
    return (sweep / "report.html").exists() and (sweep / "bios_defaults.json").exists()


def begin_a_trial(folder: Path, driver: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list(folder.glob("runs/trials/*/checkpoint.jsonl")):
        assert time.monotonic() < deadline
        assert driver.poll() is None
        time.sleep(0.02)  # waiting for another process, not for luck


def unread() -> int:
    """The writing end of a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_behind_a_reader_that_left_everything_is_taken_and_it_is_told_once():
    told: list[OSError] = []
    writer = unread()
    with os.fdopen(writer, "wb", buffering=0), PatientFile(writer, told.append) as file:
        assert [file.write(b"line\n" * 1000) for _ in range(3)] == [5000] * 3
        assert [type(error) for error in told] == [BrokenPipeError]
        assert os.write(writer, b"of a library that knows nothing of it") > 0


def test_a_full_disk_is_told_and_may_have_room_again(tmp_path):
    told: list[OSError] = []
    with Path("/dev/full").open("wb", buffering=0) as full, PatientFile(full.fileno(), told.append) as file:
        assert file.write(b"lost") == 4
        with (tmp_path / "log").open("wb") as log:
            os.dup2(log.fileno(), full.fileno())
            assert file.write(b"kept") == 4
    assert (tmp_path / "log").read_bytes() == b"kept"
    assert [error.strerror for error in told] == ["No space left on device"]


def test_a_full_pipe_that_does_not_block_is_waited_for():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    text = b"x" * 300_000
    with os.fdopen(reader, "rb") as pipe, os.fdopen(writer, "wb", buffering=0):
        child = os.fork()
        if child == 0:
            PatientFile(writer, None).write(text)
            os._exit(0)
        assert pipe.read(len(text)) == text
    assert os.waitpid(child, 0)[1] == 0


def test_a_run_whose_reader_leaves_goes_on_to_its_verdicts(begun, tmp_path):
    driver = begun(*run_words(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert driver.stdout.readline()
    driver.stdout.close()
    said = driver.stderr.read().decode()
    assert driver.wait(PATIENCE_SECONDS) == 0, said
    assert is_finished(tmp_path)
    assert said == (
        "bios-sweep: nobody reads standard output any more; the run goes on (`bios-sweep status`)\n"
    )


def test_a_verb_that_is_read_ends_quietly_when_its_reader_leaves(begun):
    show = ("defaults", "show", "meta-llama/Llama-3.1-8B")
    ends = [begun(*show, stdout=unread(), stderr=subprocess.PIPE), begun(*show, "--json", stdout=unread())]
    assert ends[0].stderr.read() == b""
    assert [process.wait(PATIENCE_SECONDS) for process in ends] == [0, 0]


@pytest.mark.parametrize(
    "words", ["defaults show meta-llama/Llama-3.1-8B", "--help", "plan --help", "--version"]
)
def test_an_answer_that_cannot_be_written_is_no_success(words, begun):
    with Path("/dev/full").open("wb") as full:
        process = begun(*words.split(), stdout=full, stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    assert process.wait(PATIENCE_SECONDS) == 4
    assert said == "bios-sweep: standard output cannot be written (No space left on device)\n"


def test_a_terminal_that_goes_away_stops_a_run_as_sigterm_does(begun, tmp_path):
    driver = begun(*run_words(tmp_path, 0.3), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    begin_a_trial(tmp_path, driver)
    for _ in range(2):  # the shell tells it, then the kernel
        driver.send_signal(signal.SIGHUP)
    said = driver.stderr.read().decode()
    assert driver.wait(PATIENCE_SECONDS) == 128 + signal.SIGHUP
    assert said == "bios-sweep: stopped; the same command goes on from here\n"
    [journal] = tmp_path.glob("runs/sweeps/*/journal.jsonl")
    assert read_journal(journal)[-1].fields["reason"] == "stopped"


def test_one_hangup_asks_and_a_later_signal_ends_at_once(tmp_path):
    (tmp_path / "runs").mkdir()
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with Stop(Workspace(tmp_path / "runs")) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGHUP)
            assert (stop.asked(), stop.signal) == (True, signal.SIGHUP)
            with pytest.raises(Stopped):
                os.kill(os.getpid(), signal.SIGTERM)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert hangup() == ()
        with Stop(Workspace(tmp_path / "runs")) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked()
    finally:
        signal.signal(signal.SIGHUP, before)


def closed(*numbers: int) -> str:
    return " ".join(f"{number}>&-" for number in numbers)


@pytest.mark.slow
@pytest.mark.parametrize("redirected", [">/dev/full", ">/dev/full 2>&1", closed(1), closed(2), closed(1, 2),
                                        "| true", "2>&1 | true", "<&- " + closed(1, 2)])  # fmt: skip
def test_whatever_becomes_of_its_streams_a_run_ends_with_its_verdicts_and_its_code(redirected, tmp_path):
    words = " ".join(f"'{word}'" for word in run_words(tmp_path))
    text = f"{{ {sys.executable} -m bios_sweep {words}; echo $? >code; }} {redirected}"
    if redirected.startswith("|") or redirected.startswith("2>&1 |"):
        text += "; while [ ! -s code ]; do sleep 0.1; done"
    told = subprocess.run(["bash", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (tmp_path / "code").read_text() == "0\n", told.stderr
    assert is_finished(tmp_path)
    assert "Traceback" not in told.stderr
    assert told.stderr.count("No space left on device") == (redirected == ">/dev/full")


@pytest.mark.slow
@pytest.mark.parametrize("words", [("plan", *SMALL), ("plan", *SMALL, "--json"), ("report",),
                                   ("report", "--json"), ("status",), ("plan", "--help")])  # fmt: skip
def test_every_verb_that_is_read_ends_quietly_when_its_reader_leaves(words, begun, tmp_path):
    assert begun(*run_words(tmp_path), stdout=subprocess.DEVNULL).wait(PATIENCE_SECONDS) == 0
    place = [] if "--help" in words else [f"workspace={tmp_path / 'runs'}"]
    process = begun(*words, *place, stdout=unread(), stderr=subprocess.PIPE)
    assert process.stderr.read() == b""
    assert process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.slow
def test_under_nohup_a_run_goes_on_without_its_terminal(begun, tmp_path):
    with (tmp_path / "nohup.out").open("wb") as log:
        driver = begun(*run_words(tmp_path, 0.2), hang_up=signal.SIG_IGN, stdout=log, stderr=log)
    begin_a_trial(tmp_path, driver)
    driver.send_signal(signal.SIGHUP)
    assert driver.wait(PATIENCE_SECONDS) == 0
    assert is_finished(tmp_path)
    assert "4 trials planned = 4 completed" in (tmp_path / "nohup.out").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("cluster, hang_up, code", [
    ("inline", signal.SIG_DFL, 129), ("inline", signal.SIG_IGN, 0), ("ray", signal.SIG_DFL, 129),
])  # fmt: skip
def test_a_run_with_a_live_table_bears_the_end_of_its_terminal(cluster, hang_up, code, begun, tmp_path):
    ours, theirs = os.openpty()
    words = run_words(tmp_path, 0.2, cluster)
    driver = begun(*words, hang_up=hang_up, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    while not list(tmp_path.glob("runs/trials/*/checkpoint.jsonl")):
        if select.select([ours], [], [], 0.05)[0]:
            os.read(ours, 65536)  # a terminal that is not read is full at some time
    os.close(ours)
    assert driver.wait(PATIENCE_SECONDS) == code
    if code:
        again = begun(*run_words(tmp_path, 0.2), stdout=subprocess.PIPE)
        assert b"4 trials planned = 4 completed" in again.stdout.read()
        assert again.wait(PATIENCE_SECONDS) == 0
    assert is_finished(tmp_path)


@pytest.mark.slow
def test_a_ray_run_whose_reader_leaves_goes_on_to_its_verdicts(begun, tmp_path):
    driver = begun(*run_words(tmp_path, cluster="ray"), "--json", stdout=unread(), stderr=unread())
    assert driver.wait(PATIENCE_SECONDS) == 0
    assert is_finished(tmp_path)
    report = begun("report", f"workspace={tmp_path / 'runs'}", "--json", stdout=subprocess.PIPE)
    assert json.loads(report.stdout.read())["counts"]["completed"] == 4
