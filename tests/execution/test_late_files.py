from __future__ import annotations

import time

from bios_sweep.errors import StorageError
from bios_sweep.execution.transfer.attempt_files import LateFiles

PATIENCE_SECONDS = 0.3
RESULT = (0, "key", 1, {"status": "completed"})


class Storage:
    """Fails as often as it is told, then answers."""

    def __init__(self, failures):
        self.asked, self._failures = 0, failures

    def bring(self, key, attempt, wanted):
        self.asked += 1
        if self.asked <= self._failures:
            raise StorageError("away")


def waited(homecoming):
    deadline = time.monotonic() + 20
    while not (found := homecoming.arrived()):
        assert time.monotonic() < deadline
        time.sleep(0.005)  # waiting for another thread, not for luck
    return found


def test_files_come_home_once_the_storage_answers_again():
    storage = Storage(failures=2)
    homecoming = LateFiles(storage.bring, lambda *_: True, patience_seconds=PATIENCE_SECONDS)
    homecoming.wait_for(*RESULT)
    (arrival,) = waited(homecoming)
    assert (arrival.key, arrival.item, arrival.error) == ("key", {"status": "completed"}, None)
    assert storage.asked == 3
    assert homecoming.arrived() == []


def test_a_storage_that_stays_away_is_asked_less_and_less_often_and_then_given_up():
    storage = Storage(failures=10**9)
    homecoming = LateFiles(storage.bring, lambda *_: True, patience_seconds=PATIENCE_SECONDS)
    began = time.monotonic()
    homecoming.wait_for(*RESULT)
    (arrival,) = waited(homecoming)
    assert isinstance(arrival.error, StorageError)
    assert time.monotonic() - began >= PATIENCE_SECONDS
    assert 3 < storage.asked < 12


def test_a_result_that_is_another_attempt_s_now_is_waited_for_no_longer():
    storage, asked = Storage(failures=10**9), []

    def wanted(*attempt):
        asked.append(attempt)
        return len(asked) < 2

    homecoming = LateFiles(storage.bring, wanted, patience_seconds=PATIENCE_SECONDS)
    homecoming.wait_for(*RESULT)
    deadline = time.monotonic() + 20
    while len(asked) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.005)  # waiting for another thread, not for luck
    assert asked == [(0, "key", 1)] * 2
    assert storage.asked == 1
    assert homecoming.arrived() == []
