from __future__ import annotations

import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from bios_sweep.errors import ClusterLostError, StorageError
from bios_sweep.execution.dispatch import Dispatch
from bios_sweep.execution.probing import Probing
from bios_sweep.execution.transfer.attempt_files import AttemptFiles, FileTransfer
from bios_sweep.ports import ENDED, RETRIED, Probe
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Failure, Status
from tests.conformance.sources import SETTINGS, ListSource, Log, trials

(ONE,) = trials({"baseline": SETTINGS}, seeds=(0,))
DONE = asdict(TrialResult(key=ONE.key, status=Status.COMPLETED))
LIMIT_SECONDS = 0.2


class Call:
    """In the place of an actor's method; the post goes nowhere."""

    def remote(self, *arguments):
        return None


class Mailbox:
    put = close = revoke = listen = Call()


class FailingTransfer(FileTransfer):
    """A real one, whose storage fails as often as it is told."""

    failures = 0

    def bring(self, key, attempt, *wanted):
        if self.failures:
            self.failures -= 1
            raise StorageError("cluster.storage: is away")
        super().bring(key, attempt, *wanted)


@pytest.fixture
def bridged(tmp_path):
    """A bridge whose only slot has its trial, the record of events, and the transfer."""
    from bios_sweep.execution.ray.bridge import Bridge

    log = Log(source := ListSource([ONE]))
    dispatch = Dispatch(source, log, max_attempts=1, clock=time.monotonic)
    transfer = FailingTransfer(str(tmp_path / "storage"), tmp_path / "trials", run="run")
    probing = Probing(None, workers=1, max_attempts=1)
    bridge = Bridge(dispatch, probing, slots=1, transfer=transfer, silence_seconds=LIMIT_SECONDS)
    bridge.connect(Mailbox())
    bridge._read(0, {"ready": "host:1", "node": "node"}, False)
    files = AttemptFiles(str(tmp_path / "storage"), ONE.key, fetch="", push=f"{ONE.key}.run-1")
    (files.directory / "checkpoint").write_text("step 6")
    files.keep()
    return bridge, log, transfer


def wait_until_it_ended(bridge, log):
    deadline = time.monotonic() + 20
    while not log.of(ENDED):
        assert time.monotonic() < deadline
        bridge._welcome()
        time.sleep(0.005)  # waiting for another thread, not for luck


def test_a_storage_that_fails_the_driver_for_a_moment_costs_nothing(bridged, tmp_path):
    bridge, log, transfer = bridged
    transfer.failures = 2
    bridge._read(0, {"key": ONE.key, "attempt": 1, "item": DONE}, False)
    assert not log.of(ENDED)
    wait_until_it_ended(bridge, log)
    assert log.results[ONE.key].status == Status.COMPLETED
    assert not log.of(RETRIED)
    assert (tmp_path / "trials" / ONE.key / "checkpoint").read_text() == "step 6"
    assert list((tmp_path / "storage").iterdir()) == []


def test_a_storage_that_stays_away_costs_the_attempt_and_not_the_run(bridged):
    bridge, log, transfer = bridged
    transfer.failures = 10**9
    bridge._read(0, {"key": ONE.key, "attempt": 1, "item": DONE}, False)
    wait_until_it_ended(bridge, log)
    result = log.results[ONE.key]
    assert (result.status, result.failure) == (Status.FAILED, Failure.STORAGE)
    assert result.cause == "cluster.storage: is away (attempt 1 of 1)"
    bridge.raise_failure()


def test_a_slot_tells_of_its_storage_after_a_pause_in_which_it_gives_signs_of_life(monkeypatch):
    from bios_sweep.execution.ray.slot import WorkerSlot

    slot = object.__new__(WorkerSlot)  # its engine and its mailbox play no part
    slot._config = {"pause_seconds": 0.2}
    slot._items = slot._files = slot._loss = None
    slot._engine, slot._job = object(), {"key": ONE.key, "attempt": 1}

    def away(engine):
        raise StorageError("cluster.storage: is away")

    monkeypatch.setattr(slot, "_open", away)
    began = time.monotonic()
    assert slot._work() == {}
    while not (report := slot._work()):
        assert time.monotonic() < began + 20
    assert time.monotonic() - began >= 0.2
    assert report == {**slot._job, "lost": {"failure": Failure.STORAGE, "cause": "cluster.storage: is away"}}


def test_a_run_whose_every_gpu_is_set_aside_ends_with_their_names(bridged, caplog, monkeypatch):
    bridge, _, _ = bridged
    monkeypatch.setattr("bios_sweep.execution.ray.bridge.ray.get", lambda gpus: gpus)
    bridge.connect(
        SimpleNamespace(failed=SimpleNamespace(remote=lambda gpus: gpus), put=Call(), close=Call())
    )
    bridge._read(0, {"leaving": True, "failed_gpus": ["GPU 3 of node ab"]}, False)
    assert "GPU 3 of node ab failed twice and is set aside" in caplog.text
    with pytest.raises(
        ClusterLostError, match=r"every GPU failed twice and is set aside \(GPU 3 of node ab\)"
    ):
        bridge._read(0, {"aside": ["GPU 3 of node ab"]}, False)


class Posts:
    """A mailbox in this process: what is posted, and whom it has heard. It answers at once."""

    def __init__(self, noticed=()):
        self.posted, self.revoked, self.listened = [], [], []
        self._noticed = list(noticed)

    def __getattr__(self, name):
        return SimpleNamespace(remote=getattr(self, f"on_{name}"))

    def on_put(self, worker, order):
        self.posted.append((worker, order))

    def on_revoke(self, worker):
        self.revoked.append(worker)

    def on_listen(self, workers, limit):
        self.listened.append(workers)
        return {"silent": {}, "noticed": [one for one in workers if one in self._noticed]}


@pytest.fixture
def timing(monkeypatch, tmp_path):
    """A bridge whose only worker times the arms, and its post; `lose` lets that worker's process die."""
    from bios_sweep.execution.ray import bridge as module

    monkeypatch.setattr(module.ray, "get", lambda answer, timeout=None: answer)
    dispatch = Dispatch(ListSource([ONE]), lambda event: None, max_attempts=1, clock=time.monotonic)
    probe = Probe(settings=(SETTINGS,), repeats=2, heard=lambda answer: None)
    transfer = FileTransfer(str(tmp_path / "storage"), tmp_path / "trials", run="run")
    bridge = module.Bridge(
        dispatch,
        Probing(probe, workers=1, max_attempts=1),
        slots=1,
        transfer=transfer,
        silence_seconds=LIMIT_SECONDS,
    )
    bridge.connect(posts := Posts(noticed=["host:1", "host:2"]))
    return bridge, posts


def test_a_worker_that_is_taken_away_twice_while_it_times_ends_nothing(timing):
    bridge, posts = timing
    dead = SimpleNamespace(config={"slot": 0}, get_pickled_error=lambda: None)
    for worker in ("host:1", "host:2"):
        bridge._read(0, {"here": worker, "node": "node"}, False)
        bridge._lose(dead)
    assert posts.listened == [["host:1"], ["host:2"]], "its last word is asked for"
    bridge._read(0, {"here": "host:3", "node": "node"}, False)
    assert [worker for worker, order in posts.posted if "time" in order] == ["host:1", "host:2", "host:3"]


def test_a_worker_that_is_silent_while_it_times_is_given_up(timing):
    bridge, posts = timing
    bridge._read(0, {"here": "host:8", "node": "node"}, False)
    bridge._listen()
    assert posts.listened == [["host:8"]]
    bridge._actors[0] = object()
    bridge._give_up("host:8", 9.0)
    assert posts.revoked == ["host:8"]
    bridge._read(0, {"here": "host:9", "node": "node"}, False)
    assert [worker for worker, order in posts.posted if "time" in order] == ["host:8", "host:9"]
