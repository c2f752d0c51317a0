"""Which worker times the arms, and what the others do meanwhile."""

import pytest

from bios_sweep.errors import BiosSweepError, DeviceError, NoClockError
from bios_sweep.execution.dispatch import Loss
from bios_sweep.execution.probing import BUILD, GATHER_SECONDS, Probing
from bios_sweep.ports import Probe, Timed
from bios_sweep.vocabulary import Failure
from tests.conformance.sources import SETTINGS

DEATH = Loss(failure=Failure.WORKER_LOST, cause="worker died")
TIME = {"time": [SETTINGS.to_dict()], "repeats": 2}
POISON = {"broken": "a GPU failed", "kind": "DeviceError"}


def probing(*, workers=2, max_attempts=2):
    heard = []
    asked = Probe(settings=(SETTINGS,), repeats=2, heard=heard.append)
    return Probing(asked, workers=workers, max_attempts=max_attempts), heard


def test_without_a_probe_a_worker_builds_at_once():
    told = Probing(None, workers=2, max_attempts=1)
    told.here(0, "a", 0.0)
    assert told.orders(0.0) == [("a", BUILD)]
    assert told.orders(0.0) == []


def test_one_times_and_the_others_build_once_it_has():
    told, heard = probing()
    told.here(1, "b", 0.0)
    assert told.orders(0.0) == [], "the other still imports"
    told.here(0, "a", 1.0)
    assert told.orders(1.0) == [("b", TIME)]
    assert told.orders(2.0) == []
    told.answered(1, {"seconds": [[1.0]], "hardware": "a stopwatch"})
    assert heard == [Timed(seconds=[[1.0]], hardware="a stopwatch")]
    assert told.over
    assert told.orders(3.0) == [("a", BUILD)]


def test_workers_that_never_come_are_not_waited_for_for_ever():
    told, _ = probing(workers=8)
    told.here(3, "d", 5.0)
    assert told.orders(5.0 + GATHER_SECONDS - 0.1) == []
    assert told.orders(5.0 + GATHER_SECONDS) == [("d", TIME)]


@pytest.mark.parametrize("leaves", [Probing.away, lambda told, slot: told.lost(slot, DEATH)])
def test_the_next_worker_times_where_the_first_is_lost(leaves):
    told, _ = probing()
    for slot, worker in enumerate("ab"):
        told.here(slot, worker, 0.0)
    assert told.orders(0.0) == [("a", TIME)]
    leaves(told, 0)
    assert told.orders(GATHER_SECONDS) == [("b", TIME)]


def test_the_second_worker_that_dies_in_the_probe_ends_the_run():
    told, _ = probing(workers=1)
    told.here(0, "a", 0.0)
    told.orders(0.0)
    assert told.lost(0, DEATH)
    told.here(0, "b", 1.0)
    assert told.orders(1.0) == [("b", TIME)]
    with pytest.raises(BiosSweepError, match=r"^the timing probe's worker died twice \(worker died\)"):
        told.lost(0, DEATH)


@pytest.mark.parametrize("failure", [Failure.PREEMPTED, Failure.NODE_LOST])
def test_workers_that_are_taken_away_in_the_probe_end_nothing(failure):
    told, _ = probing(workers=1)
    for turn, worker in enumerate("abcd"):
        told.here(0, worker, float(turn))
        assert told.orders(float(turn)) == [(worker, TIME)]
        assert told.present() == {0: worker}
        assert told.lost(0, Loss(failure=failure, cause="its worker was told to leave"))
    assert told.present() == {}


def test_the_death_of_a_worker_that_waits_is_no_death_in_the_probe():
    told, _ = probing()
    for slot, worker in enumerate("ab"):
        told.here(slot, worker, 0.0)
    told.orders(0.0)
    assert not told.lost(1, DEATH)


def test_a_gpu_that_fails_is_given_as_many_tries_as_a_trial_has():
    told, heard = probing(workers=1)
    for tries in (1, 2):
        told.here(0, "a", 0.0)
        told.orders(0.0)
        told.answered(0, POISON)
        assert told.over == (tries == 2)
    assert [type(one) for one in heard] == [DeviceError]


def test_an_engine_without_a_clock_is_heard_and_one_that_stumbles_ends_the_run():
    told, heard = probing(workers=1)
    told.here(0, "a", 0.0)
    told.orders(0.0)
    told.answered(0, {"broken": "no clock", "kind": "NoClockError"})
    assert [type(one) for one in heard] == [NoClockError]
    told, heard = probing(workers=1)
    told.here(0, "a", 0.0)
    told.orders(0.0)
    with pytest.raises(BiosSweepError, match="the clock stopped"):
        told.answered(0, {"broken": "the clock stopped", "kind": "BiosSweepError"})
    assert not heard
