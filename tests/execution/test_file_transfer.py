from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import pytest

from bios_sweep.errors import StorageError
from bios_sweep.execution.transfer.attempt_files import (
    PLACES_FILE,
    AttemptFiles,
    FileTransfer,
    remove_leftovers,
)

KEY = "00112233aabbccdd"


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "storage")


def transfer(uri, tmp_path, run="run"):
    return FileTransfer(uri, tmp_path / "trials", run=run)


def attempt(uri, driver, number):
    return AttemptFiles(uri, KEY, **driver.places(KEY, number))


def say(files, text):
    (files.directory / "checkpoint").write_text(text)
    files.keep()


def read(files):
    return (files.directory / "checkpoint").read_text()


def test_the_next_attempt_goes_on_from_what_the_last_one_measured(uri, tmp_path):
    driver = transfer(uri, tmp_path)
    first = attempt(uri, driver, 1)
    assert not list(first.directory.iterdir())
    say(first, "step 2")
    driver.reached(KEY, 1)
    assert read(attempt(uri, driver, 2)) == "step 2"


def test_what_an_attempt_pushed_but_did_not_live_to_say_is_not_gone_on_from(uri, tmp_path):
    driver = transfer(uri, tmp_path)
    say(attempt(uri, driver, 1), "step 2")
    assert not list(attempt(uri, driver, 2).directory.iterdir())


def test_a_late_writer_touches_nothing_of_the_attempt_that_has_the_trial_now(uri, tmp_path):
    driver = transfer(uri, tmp_path)
    sleeper = attempt(uri, driver, 1)
    say(sleeper, "step 2")
    driver.reached(KEY, 1)
    second = attempt(uri, driver, 2)
    say(second, "step 4")
    driver.reached(KEY, 2)
    say(sleeper, "late")
    driver.bring(KEY, 2)
    assert (tmp_path / "trials" / KEY / "checkpoint").read_text() == "step 4"
    assert read(attempt(uri, driver, 3)) == "step 4"


def test_files_that_took_so_long_that_another_attempt_has_the_trial_replace_none_of_its_own(uri, tmp_path):
    driver = transfer(uri, tmp_path)
    say(attempt(uri, driver, 1), "slow")
    say(attempt(uri, driver, 2), "step 4")
    driver.bring(KEY, 2)
    driver.bring(KEY, 1, lambda: False)
    assert (tmp_path / "trials" / KEY / "checkpoint").read_text() == "step 4"
    assert [path.name for path in (tmp_path / "trials" / KEY).glob("*checkpoint*")] == ["checkpoint"]


def test_an_outcome_whose_files_are_gone_from_the_storage_is_none(uri, tmp_path):
    driver = transfer(uri, tmp_path)
    say(attempt(uri, driver, 1), "step 4")
    (content,) = (path for path in (tmp_path / "storage").rglob("checkpoint*") if path.is_file())
    content.unlink()
    with pytest.raises(StorageError, match="its files are gone or damaged"):
        driver.bring(KEY, 1)


def test_another_driver_goes_on_from_there_and_writes_elsewhere(uri, tmp_path):
    first = transfer(uri, tmp_path, run="first")
    killed = attempt(uri, first, 1)
    say(killed, "step 2")
    first.reached(KEY, 1)
    second = transfer(uri, tmp_path, run="second")
    again = attempt(uri, second, 1)
    assert read(again) == "step 2"
    say(killed, "late")
    say(again, "step 4")
    second.reached(KEY, 1)
    assert read(attempt(uri, transfer(uri, tmp_path, run="third"), 1)) == "step 4"


def test_what_is_over_leaves_nothing_in_the_storage(uri, tmp_path):
    driver = transfer(uri, tmp_path)
    for number in (1, 2):
        say(attempt(uri, driver, number), f"step {number}")
        driver.reached(KEY, number)
    driver.bring(KEY, 2)
    driver.forget(KEY)
    assert list((tmp_path / "storage").iterdir()) == []
    assert [path.name for path in (tmp_path / "trials" / KEY).iterdir()] == ["checkpoint"]


def test_places_of_drivers_that_were_killed_are_cleared_by_the_one_that_ends_the_trial(uri, tmp_path):
    for run in ("first", "second", "third"):
        driver = transfer(uri, tmp_path, run=run)
        say(attempt(uri, driver, 1), f"of the {run}")
        if run != "second":  # whose attempt pushed, and did not live to say so
            driver.reached(KEY, 1)
    killed = tmp_path / "storage" / f"{KEY}.second-1" / "weights.of.a.push.that.was.killed"
    killed.touch()
    assert len(list((tmp_path / "storage").iterdir())) == 3
    driver.bring(KEY, 1)
    driver.forget(KEY)
    assert list((tmp_path / "storage").iterdir()) == []


def test_a_note_of_an_earlier_version_is_gone_on_from_and_cleared(uri, tmp_path):
    first = transfer(uri, tmp_path, run="first")
    say(attempt(uri, first, 1), "step 2")
    (tmp_path / "trials" / KEY / PLACES_FILE).write_text(f'{{"place": "{KEY}.first-1"}}')
    second = transfer(uri, tmp_path, run="second")
    assert read(attempt(uri, second, 1)) == "step 2"
    second.forget(KEY)
    assert list((tmp_path / "storage").iterdir()) == []


@pytest.mark.parametrize("note", ["", "{", "[]", '{"place": 3}', '{"place": "../elsewhere"}'])
def test_a_note_that_cannot_be_understood_costs_the_progress_and_nothing_else(note, uri, tmp_path):
    driver = transfer(uri, tmp_path)
    (tmp_path / "trials" / KEY).mkdir(parents=True)
    (tmp_path / "trials" / KEY / PLACES_FILE).write_text(note)
    assert driver.places(KEY, 1)["fetch"] == ""


def test_a_note_with_another_trials_places_or_a_flipped_bit_is_named(uri, tmp_path, caplog):
    driver = transfer(uri, tmp_path)
    say(attempt(uri, driver, 1), "step 2")
    driver.reached(KEY, 1)
    note = tmp_path / "trials" / KEY / PLACES_FILE
    assert transfer(uri, tmp_path, run="next").places(KEY, 1)["fetch"] != ""
    note.write_text(note.read_text().replace("-1", "-2"))
    assert transfer(uri, tmp_path, run="other").places(KEY, 1)["fetch"] == ""
    assert f"{note}: does not match its checksum" in caplog.text


def test_what_did_not_change_is_not_pushed_again(uri, tmp_path):
    driver = transfer(uri, tmp_path)
    files = attempt(uri, driver, 1)
    say(files, "step 2")
    listed = tmp_path / "storage" / driver.places(KEY, 1)["push"] / "files.json"
    listed.unlink()
    files.keep()
    assert not listed.exists()
    say(files, "step 4")
    assert listed.exists()


def test_files_that_a_script_removes_while_they_are_kept_cost_nothing(uri, tmp_path):
    files = attempt(uri, transfer(uri, tmp_path), 1)
    (files.directory / "checkpoint").write_text("step 2")
    text = (
        "import os, shutil, sys\n"
        "folder = os.path.join(sys.argv[1], 'turning')\n"
        "while True:\n"
        "    os.makedirs(folder + '/deep')\n"
        "    for number in range(20): open(f'{folder}/deep/{number}', 'w').close()\n"
        "    shutil.rmtree(folder)\n"
    )
    restless = subprocess.Popen([sys.executable, "-S", "-c", text, str(files.directory)])
    try:
        while not (files.directory / "turning").exists():
            assert restless.poll() is None
        latest = time.monotonic() + 0.5  # chosen: six of six runs failed within it once
        while time.monotonic() < latest:
            files.keep()
    finally:
        restless.kill()
        restless.wait()
    driver = transfer(uri, tmp_path)
    driver.bring(KEY, 1)
    assert (tmp_path / "trials" / KEY / "checkpoint").read_text() == "step 2"


def test_a_discarded_attempt_leaves_nothing_on_the_disk(uri, tmp_path):
    files = attempt(uri, transfer(uri, tmp_path), 1)
    files.discard()
    assert not files.directory.exists()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_an_attempt_whose_storage_fails_leaves_nothing_on_the_disk(temporary, tmp_path):
    (tmp_path / "storage").write_text("a file where a folder should be")
    with pytest.raises(StorageError):
        AttemptFiles(str(tmp_path / "storage"), KEY, fetch=f"{KEY}.run-1", push=f"{KEY}.run-2")
    assert list(temporary.iterdir()) == []


def test_folders_of_workers_that_were_killed_go_and_those_of_the_living_and_of_other_hosts_stay(
    temporary, uri, tmp_path, monkeypatch
):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    driver, folders = transfer(uri, tmp_path), {}
    for name, host, process in (
        ("dead", "node", dead.pid),
        ("alive", "node", os.getpid()),
        ("elsewhere", "node-2", dead.pid),
    ):
        with monkeypatch.context() as there:
            there.setattr("socket.gethostname", lambda host=host: host)
            there.setattr(os, "getpid", lambda process=process: process)
            folders[name] = attempt(uri, driver, 1).directory
    monkeypatch.setattr("socket.gethostname", lambda: "node")
    remove_leftovers()
    assert {name for name, folder in folders.items() if folder.exists()} == {"alive", "elsewhere"}
