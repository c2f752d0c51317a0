from __future__ import annotations

import time

import pytest

from bios_sweep.errors import StorageError
from bios_sweep.execution.transfer.attempt_files import Ended, FileTransfer

PATIENCE_SECONDS = 0.3
RESULT = Ended(slot=0, key="key", attempt=1, item={"status": "completed"})


class Transfer(FileTransfer):
    """Its storage fails as often as it is told, then answers."""

    asked = failures = 0

    def bring(self, key, attempt, wanted=lambda: True):
        self.asked += 1
        if self.asked <= self.failures:
            raise StorageError("away")


@pytest.fixture
def transfer(tmp_path):
    return Transfer(str(tmp_path / "storage"), tmp_path / "trials", run="run")


def waited(transfer):
    deadline = time.monotonic() + 20
    while not (found := transfer.arrived()):
        assert time.monotonic() < deadline
        time.sleep(0.005)  # waiting for another thread, not for luck
    return found


def test_files_come_home_once_the_storage_answers_again(transfer):
    transfer.failures = 2
    transfer.bring_later(RESULT, lambda: True, PATIENCE_SECONDS)
    assert waited(transfer) == [RESULT]
    assert transfer.asked == 3
    assert transfer.arrived() == []


def test_a_storage_that_stays_away_is_asked_less_and_less_often_and_then_given_up(transfer):
    transfer.failures = 10**9
    began = time.monotonic()
    transfer.bring_later(RESULT, lambda: True, PATIENCE_SECONDS)
    (ended,) = waited(transfer)
    assert isinstance(ended.error, StorageError)
    assert time.monotonic() - began >= PATIENCE_SECONDS
    assert 3 < transfer.asked < 12


def test_a_result_that_is_another_attempt_s_now_is_waited_for_no_longer(transfer):
    transfer.failures, asked = 10**9, []

    def wanted():
        asked.append(True)
        return len(asked) < 2

    transfer.bring_later(RESULT, wanted, PATIENCE_SECONDS)
    deadline = time.monotonic() + 20
    while len(asked) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.005)  # waiting for another thread, not for luck
    assert len(asked) == 2
    assert transfer.asked == 1
    assert transfer.arrived() == []
