from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from bios_sweep.errors import BiosSweepError, DataError, StorageError
from bios_sweep.execution.attempts import kind_of
from bios_sweep.execution.dispatch import Dispatch, Loss
from bios_sweep.ports import ENDED, LEFT, MEASURED, RETRIED
from bios_sweep.study.trials import RETRIED_IN_VAIN, Measurement, TrialResult
from bios_sweep.vocabulary import Failure, Status
from tests.conformance.sources import SETTINGS, ListSource, Log, trials

DIED = Loss(failure=Failure.WORKER_LOST, cause="worker died")
NOTICE = Loss(failure=Failure.PREEMPTED, cause="its worker was told to leave")
SILENT = Loss(failure=Failure.WORKER_LOST, cause="no sign of life for 31 s")
ONE, TWO = trials({"baseline": SETTINGS}, seeds=(0, 1))
DONE = asdict(TrialResult(key=ONE.key, status=Status.COMPLETED))
POINT = asdict(Measurement(step=0, fraction=0.0, examples=0, tokens=0, eval_loss=2.0))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def dispatching(planned, *, slots=1, max_attempts=3):
    """A dispatch whose slots are ready, its record of events, and its clock."""
    source, clock = ListSource(planned), Clock()
    log = Log(source)
    dispatch = Dispatch(source, log, max_attempts=max_attempts, clock=clock)
    for slot in range(slots):
        dispatch.ready(slot, f"host:{slot}")
    return dispatch, source, log, clock


def failed(failure):
    return asdict(TrialResult(key=ONE.key, status=Status.FAILED, cause="told", failure=failure))


def test_trials_are_given_to_free_slots_only_and_none_is_taken_ahead():
    dispatch, source, _, _ = dispatching([ONE, TWO])
    assert [(worker, job.trial) for worker, job in dispatch.assign()] == [("host:0", ONE)]
    assert dispatch.assign() == []
    assert source.take() == TWO


def test_a_late_item_of_an_older_attempt_is_ignored():
    dispatch, _, log, _ = dispatching([ONE])
    dispatch.assign()
    dispatch.lost(0, DIED)
    dispatch.ready(0, "host:9")
    dispatch.assign()
    assert not dispatch.item(0, ONE.key, 1, DONE)
    assert not log.of(ENDED)
    assert dispatch.item(0, ONE.key, 2, DONE)
    assert [event.worker for event in log.of(ENDED)] == ["host:9"]
    assert dispatch.finished()


def test_a_worker_that_wakes_with_a_trial_that_is_another_s_now_is_not_heard():
    dispatch, _, log, _ = dispatching([ONE, TWO], slots=2)
    dispatch.assign()
    dispatch.item(1, TWO.key, 1, {**DONE, "key": TWO.key})
    dispatch.away(0, SILENT)
    assert [(worker, job.attempt) for worker, job in dispatch.assign()] == [("host:1", 2)]
    for late in (POINT, DONE):
        assert not dispatch.item(0, ONE.key, 1, late)
    assert not log.of(MEASURED)
    assert dispatch.item(1, ONE.key, 2, DONE)
    assert log.results[ONE.key].key == ONE.key
    assert [event.worker for event in log.of(ENDED, ONE.key)] == ["host:1"]


def test_a_worker_that_was_silent_gets_trials_again_once_it_says_it_is_ready():
    dispatch, _, _, _ = dispatching([ONE])
    dispatch.away(0, SILENT)
    assert dispatch.assign() == []
    assert dispatch.present() == {}
    dispatch.ready(0, "host:0")
    assert [worker for worker, _ in dispatch.assign()] == ["host:0"]


def test_a_lost_trial_goes_first_and_fails_after_its_last_attempt():
    dispatch, _, log, _ = dispatching([ONE, TWO], slots=2, max_attempts=2)
    dispatch.assign()
    dispatch.lost(0, DIED)
    dispatch.ready(0, "host:2")
    assert [(job.trial, job.attempt) for _, job in dispatch.assign()] == [(ONE, 2)]
    dispatch.lost(0, DIED)
    assert log.results[ONE.key].cause == "worker died (attempt 2 of 2)"
    assert log.results[ONE.key].failure == Failure.WORKER_LOST
    assert log.results[ONE.key].attempts == 2
    assert not dispatch.finished()
    dispatch.item(1, TWO.key, 1, {**DONE, "key": TWO.key})
    assert dispatch.finished()


def test_a_preemption_is_retried_without_counting_as_a_try():
    dispatch, _, log, _ = dispatching([ONE], max_attempts=2)
    for attempt in range(1, 6):
        assert [job.attempt for _, job in dispatch.assign()] == [attempt]
        dispatch.away(0, NOTICE)
        dispatch.lost(0, DIED)  # and then its process ends, which is no second loss
        dispatch.ready(0, f"host:{attempt}")
    assert not log.of(ENDED)
    assert {event.failure for event in log.of(RETRIED)} == {Failure.PREEMPTED}
    dispatch.assign()
    dispatch.lost(0, DIED)
    assert not log.of(ENDED)
    dispatch.ready(0, "host:7")
    dispatch.assign()
    dispatch.lost(0, DIED)
    assert log.results[ONE.key].cause == "worker died (attempt 2 of 2)"
    assert log.results[ONE.key].attempts == 7


@pytest.mark.parametrize("failure", sorted(RETRIED_IN_VAIN))
def test_what_would_end_the_same_is_not_tried_again(failure):
    dispatch, _, log, _ = dispatching([ONE])
    dispatch.assign()
    dispatch.lost(0, Loss(failure=failure, cause="told"))
    assert not log.of(RETRIED)
    assert (log.results[ONE.key].failure, log.results[ONE.key].cause) == (failure, "told")


@pytest.mark.parametrize("failure", Failure)
def test_a_result_that_blames_the_world_is_tried_again_and_any_other_is_final(failure):
    dispatch, _, log, _ = dispatching([ONE])
    dispatch.assign()
    dispatch.item(0, ONE.key, 1, failed(failure))
    if failure in (Failure.WORKER_LOST, Failure.NODE_LOST, Failure.PREEMPTED, Failure.DEVICE):
        assert [event.failure for event in log.of(RETRIED)] == [failure]
        assert [job.attempt for _, job in dispatch.assign()] == [2]
    else:
        assert log.results[ONE.key].failure == failure
        assert dispatch.finished()


@pytest.mark.parametrize(
    "status, failure", [(-15, Failure.WORKER_LOST), (143, Failure.WORKER_LOST), (1, Failure.CODE)]
)
def test_a_script_that_ends_while_the_sweep_stops_is_left_for_the_next_run(status, failure):
    dispatch, source, log, _ = dispatching([ONE], max_attempts=1)
    dispatch.assign()
    source.stopping = True
    dispatch.item(0, ONE.key, 1, {**failed(failure), "provenance": {"exit_status": status}})
    (retried,) = log.of(RETRIED)
    assert (retried.failure, retried.cause) == (
        Failure.PREEMPTED,
        "its script ended while the sweep was told to stop: told",
    )
    assert not log.of(ENDED)
    assert dispatch.finished()


@pytest.mark.parametrize(
    "fractions, believed", [((), False), ((0.0, 0.5), False), ((0.0, 1.0), True)], ids=str
)
def test_a_script_that_ends_well_while_the_sweep_stops_is_believed_only_at_its_last_step(fractions, believed):
    dispatch, source, log, _ = dispatching([ONE], max_attempts=1)
    dispatch.assign()
    source.stopping = True
    curve = tuple({**POINT, "fraction": fraction} for fraction in fractions)
    dispatch.item(0, ONE.key, 1, {**DONE, "curve": curve, "provenance": {"exit_status": 0}})
    assert (ONE.key in log.results) == believed
    told = "its script ended while the sweep was told to stop: with success, but not at its last step"
    assert [event.cause for event in log.of(RETRIED)] == ([] if believed else [told])


def test_a_warm_engine_s_result_is_believed_while_the_sweep_stops():
    dispatch, source, log, _ = dispatching([ONE])
    dispatch.assign()
    source.stopping = True
    dispatch.item(0, ONE.key, 1, {**DONE, "curve": (POINT,)})
    assert log.results[ONE.key].status == Status.COMPLETED


@pytest.mark.parametrize("provenance", [{}, {"exit_status": None}], ids=["no script", "its time limit"])
def test_a_failure_of_its_own_ends_a_trial_while_the_sweep_stops_too(provenance):
    dispatch, source, log, _ = dispatching([ONE])
    dispatch.assign()
    source.stopping = True
    dispatch.item(0, ONE.key, 1, {**failed(Failure.TIME_LIMIT), "provenance": provenance})
    assert log.results[ONE.key].failure == Failure.TIME_LIMIT


def test_workers_that_die_before_they_are_ready_end_the_run_but_those_of_lost_nodes_do_not():
    dispatch, _, _, _ = dispatching([ONE], slots=0, max_attempts=2)
    for _ in range(5):
        dispatch.lost(0, Loss(failure=Failure.NODE_LOST, cause="its node died"))
    dispatch.lost(0, DIED)
    with pytest.raises(BiosSweepError, match=r"die before their engine is ready \(2 times: worker died\)"):
        dispatch.lost(0, DIED)


def test_a_stop_gives_out_nothing_and_ends_once_the_running_slot_has_left():
    dispatch, source, log, _ = dispatching([ONE, TWO], slots=2)
    dispatch.lost(1, DIED)
    dispatch.assign()
    source.stopping = True
    dispatch.ready(1, "host:3")
    assert dispatch.assign() == []
    assert not dispatch.finished()
    dispatch.away(0, None)
    assert dispatch.finished()
    assert not log.of(ENDED)


def test_idle_seconds_count_from_the_first_readiness_restarts_included():
    dispatch, _, _, clock = dispatching([ONE])
    clock.now = 1.0
    dispatch.assign()
    clock.now = 4.0
    dispatch.lost(0, DIED)
    clock.now = 9.0
    dispatch.ready(0, "host:9")
    dispatch.assign()
    clock.now = 10.0
    dispatch.item(0, ONE.key, 2, DONE)
    assert dispatch.idle_seconds() == {0: pytest.approx(6.0)}


def test_losses_that_are_no_numbers_come_back_as_they_were():
    dispatch, _, log, _ = dispatching([ONE])
    dispatch.assign()
    wild = TrialResult(key=ONE.key, status=Status.COMPLETED, final={"eval_loss": float("inf")})
    dispatch.item(0, ONE.key, 1, asdict(wild))
    assert log.results[ONE.key] == replace(wild)


class OutOfMemoryError(RuntimeError):
    """As torch's: told by its name, for torch is not loaded to find out."""


@pytest.mark.parametrize(
    "error, kind",
    [
        (MemoryError(), Failure.OUT_OF_MEMORY),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), Failure.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: out of memory"), Failure.OUT_OF_MEMORY),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
            Failure.OUT_OF_MEMORY,
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
            Failure.OUT_OF_MEMORY,
        ),
        (ValueError("the answer to 'out of memory' is not a number"), Failure.CODE),
        (DataError("line 3: no completion"), Failure.DATA),
        (StorageError("no space"), Failure.STORAGE),
        (OSError(28, "No space left on device"), Failure.STORAGE),
        (FileNotFoundError(2, "No such file"), Failure.CODE),
        (ZeroDivisionError("division by zero"), Failure.CODE),
    ],
)
def test_the_kind_of_an_engine_s_failure_is_told_by_its_exception(error, kind):
    assert kind_of(error) == kind
    assert kind in list(Failure)


def test_torch_s_own_error_is_named_as_it_is_here():
    import torch

    assert kind_of(torch.OutOfMemoryError("CUDA out of memory")) == Failure.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("CUDA error: device-side assert triggered"), Failure.DEVICE),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), Failure.DEVICE),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
            Failure.DEVICE,
        ),
        (RuntimeError("CUDA error: out of memory"), Failure.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), Failure.OUT_OF_MEMORY),
        (ValueError("CUDA error: only a text"), Failure.CODE),
        (type("AcceleratorError", (RuntimeError,), {})("an illegal memory access"), Failure.DEVICE),
    ],
)
def test_a_cuda_error_is_no_fault_of_the_trials(error, kind):
    assert kind_of(error) == kind
    assert (kind in RETRIED_IN_VAIN) == (kind != Failure.DEVICE)


def test_a_paused_run_starts_nothing_and_is_not_over():
    dispatch, source, _, _ = dispatching([ONE, TWO], slots=2)
    source.paused = True
    assert dispatch.assign() == []
    assert not dispatch.finished()
    source.paused = False
    assert [job.trial for _, job in dispatch.assign()] == [ONE, TWO]


def test_a_trial_that_nobody_wants_is_left_and_its_next_attempt_is_another():
    dispatch, source, log, _ = dispatching([ONE, TWO])
    dispatch.assign()
    source.given_up.add(ONE.key)
    assert dispatch.unwanted() == {0: "host:0"}
    dispatch.left(0)
    assert [event.key for event in log.of(LEFT)] == [ONE.key]
    assert dispatch.assign() == [], "until the worker says that it is ready"
    source.given_up.clear()
    source.add(ONE)
    dispatch.ready(0, "host:0")
    assert [job.trial for _, job in dispatch.assign()] == [TWO]
    dispatch.item(0, TWO.key, 1, {**DONE, "key": TWO.key})
    assert [(job.trial, job.attempt) for _, job in dispatch.assign()] == [(ONE, 2)]


def test_a_lost_trial_that_nobody_wants_is_not_tried_again():
    dispatch, source, log, _ = dispatching([ONE])
    dispatch.assign()
    dispatch.lost(0, DIED)
    source.given_up.add(ONE.key)
    dispatch.ready(0, "host:9")
    assert dispatch.assign() == []
    assert [event.key for event in log.of(LEFT)] == [ONE.key]
    assert dispatch.finished()
