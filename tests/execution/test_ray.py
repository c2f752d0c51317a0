from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from bios_sweep.errors import BiosSweepError, ClusterError, ClusterLostError, ConfigError, DeviceError
from bios_sweep.execution.inline import InlineExecutor
from bios_sweep.execution.placement import refuse_unless_fits, waiting_line
from bios_sweep.execution.ray.mailbox import Mailbox
from bios_sweep.ports import ENDED, MEASURED, RETRIED, STARTED, Probe
from bios_sweep.request import Request
from bios_sweep.vocabulary import Failure, Status
from tests.conformance.sources import SETTINGS, ListSource, Log, numbers, timed_by, trials

ENGINE = "bios_sweep.engines.simulation.engine:PlantedEngine"
NOISE = {"seed_noise_percent": 1.0, "noise_percent": 0.2}
TWO_CPUS = [{"CPU": 2.0}]


def ray_run(ray_session, folder, source, *, engine=ENGINE, options=NOISE, act=lambda event: None, **asked):
    from bios_sweep.execution.ray.executor import RayTuneExecutor

    patience = {name: asked.pop(name) for name in ("silence_seconds",) if name in asked}
    executor = RayTuneExecutor(Request(**asked), storage_dir=folder / "ray", **patience)
    log = Log(source, act)
    executor.run(source, log, engine=engine, engine_options=options, trials_dir=folder / "trials")
    return log, executor


def process(worker):
    return int(worker.rpartition(":")[2])


def kill(event):
    os.kill(process(event.worker), signal.SIGKILL)


def inline_results(planned, folder):
    """The numbers of the same trials, undisturbed in this process, by key."""
    log = Log(source := ListSource(planned))
    InlineExecutor().run(source, log, engine=ENGINE, engine_options=NOISE, trials_dir=folder / "undisturbed")
    return {key: numbers(result) for key, result in log.results.items()}


def test_a_killed_worker_is_replaced_and_changes_no_number(ray_session, tmp_path):
    source = ListSource(trials({"baseline": SETTINGS}, seeds=range(4)))
    more = trials({"baseline": SETTINGS}, seeds=range(4, 400))
    victims, workers = [], set()

    def kill_once(event):
        if event.kind == STARTED:
            workers.add(event.worker)
        if not victims and event.kind == MEASURED and event.measurement.step > 0:
            victims.append(event)
            kill(event)
        if victims and event.kind == ENDED and len(workers) < 3:
            source.add(more.pop(0))  # so that the rest outlasts the start of a new worker

    options = {**NOISE, "pause_seconds": 0.05}
    log, executor = ray_run(ray_session, tmp_path, source, options=options, act=kill_once)

    victim, planned = victims[0], source.offered
    (retried,) = log.of(RETRIED)
    assert (retried.key, retried.attempt, retried.cause) == (victim.key, 2, "worker died")
    assert retried.failure == Failure.WORKER_LOST
    assert [event.attempt for event in log.of(STARTED, victim.key)] == [1, 2]
    assert sorted(event.key for event in log.of(ENDED)) == sorted(trial.key for trial in planned)
    assert log.results[victim.key].attempts == 2
    assert {key: numbers(result) for key, result in log.results.items()} == inline_results(planned, tmp_path)
    after = log.events[log.events.index(retried) :]
    assert len({event.worker for event in after if event.kind == STARTED}) == 2
    assert victim.worker not in {event.worker for event in after if event.kind == STARTED}
    assert set(executor.idle_seconds) == {0, 1}


POISONED = "tests.conformance.engines:PoisonedEngine"


def test_a_cuda_error_costs_its_process_and_one_try_and_not_the_trial(ray_session, tmp_path):
    planned = trials({"baseline": SETTINGS}, seeds=range(4))
    options = {**NOISE, "folder": str(tmp_path), "failures": 1}
    log, _ = ray_run(ray_session, tmp_path, ListSource(planned), engine=POISONED, options=options)
    [retried] = log.of(RETRIED)
    assert (retried.failure, retried.attempt) == (Failure.DEVICE, 2)
    assert retried.cause == "RuntimeError: CUDA error: an illegal memory access was encountered"
    assert {key: numbers(result) for key, result in log.results.items()} == inline_results(planned, tmp_path)
    after = log.events[log.events.index(retried) :]
    assert retried.worker not in {event.worker for event in after if event.kind == STARTED}


@pytest.mark.slow
def test_a_gpu_that_fails_on_every_try_fails_its_trial_by_name(ray_session, tmp_path):
    planned = trials({"baseline": SETTINGS}, seeds=(0,))
    options = {**NOISE, "folder": str(tmp_path), "failures": 9}
    log, _ = ray_run(
        ray_session, tmp_path, ListSource(planned), engine=POISONED, options=options, max_attempts=2
    )
    [result] = log.results.values()
    assert (result.status, result.failure) == (Status.FAILED, Failure.DEVICE)
    assert result.cause.endswith("(attempt 2 of 2)")


def test_in_this_process_a_cuda_error_ends_the_run_and_leaves_the_rest_for_the_next(tmp_path):
    planned = trials({"baseline": SETTINGS}, seeds=range(2))
    log, options = Log(source := ListSource(planned)), {**NOISE, "folder": str(tmp_path), "failures": 1}
    with pytest.raises(
        ClusterLostError, match=r"the GPU failed and this process with it \(RuntimeError: CUDA"
    ):
        InlineExecutor().run(source, log, engine=POISONED, engine_options=options, trials_dir=tmp_path)
    assert [event.key for event in log.of(ENDED)] == [planned[0].key]


@pytest.mark.slow
def test_a_cuda_error_while_the_engine_is_built_costs_its_process_and_no_trial(ray_session, tmp_path, caplog):
    planned = trials({"baseline": SETTINGS}, seeds=range(3))
    options = {**NOISE, "folder": str(tmp_path), "failures": 1, "while_built": True}
    log, _ = ray_run(ray_session, tmp_path, ListSource(planned), engine=POISONED, options=options)
    assert {key: numbers(result) for key, result in log.results.items()} == inline_results(planned, tmp_path)
    assert not log.of(RETRIED)
    assert "PoisonedEngine could not be built: RuntimeError: CUDA error" in caplog.text
    assert "the worker gets a new process" in caplog.text


@pytest.mark.slow
def test_a_gpu_on_which_no_engine_can_be_built_ends_the_run(ray_session, tmp_path, caplog):
    options = {**NOISE, "folder": str(tmp_path), "failures": 99, "while_built": True}
    with pytest.raises(BiosSweepError, match=r"workers die before their engine is ready \(2 times"):
        ray_run(
            ray_session, tmp_path, ListSource(trials({"baseline": SETTINGS}, seeds=(0,))), engine=POISONED,
            options=options, max_attempts=2, max_concurrent=1,
        )  # fmt: skip
    assert caplog.text.count("could not be built: RuntimeError: CUDA error") == 2


def test_in_this_process_a_cuda_error_while_the_engine_is_built_ends_the_run_and_fails_no_trial(tmp_path):
    planned = trials({"baseline": SETTINGS}, seeds=range(2))
    options = {**NOISE, "folder": str(tmp_path), "failures": 1, "while_built": True}
    log = Log(source := ListSource(planned))
    with pytest.raises(
        ClusterLostError, match=r"the GPU failed and this process with it \(engine .* CUDA error"
    ):
        InlineExecutor().run(source, log, engine=POISONED, engine_options=options, trials_dir=tmp_path)
    assert not log.of(ENDED)


def test_a_gpu_is_set_aside_when_it_failed_twice():
    gpu, other = "GPU 0 of node a", "GPU 1 of node a"

    async def failures() -> list[object]:
        box = Mailbox()
        first, between = await box.failed([gpu]), await box.set_aside([gpu])
        again = await box.failed([gpu])
        return [first, between, again, await box.set_aside([gpu]), await box.set_aside([other])]

    assert asyncio.run(failures()) == [[], False, [gpu], True, False]


@pytest.mark.slow
def test_the_last_lost_attempt_fails_the_trial_and_the_others_go_on(ray_session, tmp_path):
    planned = trials({"cursed": SETTINGS, "baseline": SETTINGS}, seeds=(0,))

    def kill_the_cursed(event):
        if event.kind == MEASURED and event.key == "cursed-0":
            kill(event)

    options = {"pause_seconds": 0.05}
    log, _ = ray_run(
        ray_session, tmp_path, ListSource(planned), options=options, act=kill_the_cursed, max_attempts=1
    )
    assert log.results["cursed-0"].status == Status.FAILED
    assert log.results["cursed-0"].cause == "worker died (attempt 1 of 1)"
    assert log.results["cursed-0"].failure == Failure.WORKER_LOST
    assert log.results["baseline-0"].status == Status.COMPLETED


def test_a_worker_told_to_leave_does_so_at_its_next_measurement_and_that_is_no_failed_try(
    ray_session, tmp_path
):
    planned = trials({"baseline": SETTINGS}, seeds=range(4))
    undisturbed = inline_results(planned, tmp_path)
    noticed = []

    def notify(event):
        if not noticed and event.kind == MEASURED and event.measurement.step > 0:
            noticed.append(event)
            os.kill(process(event.worker), signal.SIGTERM)

    log, _ = ray_run(
        ray_session,
        tmp_path,
        ListSource(planned),
        options={**NOISE, "pause_seconds": 0.1},
        act=notify,
        max_attempts=1,
        storage=str(tmp_path / "storage"),
    )
    (retried,) = log.of(RETRIED)
    assert (retried.failure, retried.cause) == (Failure.PREEMPTED, "its worker was told to leave")
    first = [event.measurement.step for event in log.of(MEASURED, retried.key) if event.attempt == 1]
    assert len(first) == 3, "one more measurement after the notice, then it left"
    after = [event for event in log.of(STARTED) if event.worker == noticed[0].worker]
    assert retried.key not in {event.key for event in after if event.attempt == 2}
    assert log.results[retried.key].status == Status.COMPLETED
    assert {key: numbers(result) for key, result in log.results.items()} == undisturbed


@pytest.mark.slow
def test_a_scheduler_that_ends_worker_and_script_at_once_costs_no_try(ray_session, tmp_path):
    (tmp_path / "train.py").write_text(
        "import json, os, pathlib, signal, sys\n"
        "if not pathlib.Path('told').exists():\n"
        "    pathlib.Path('told').touch()\n"
        "    guard = pathlib.Path(f'/proc/{os.getppid()}/stat').read_text().rpartition(')')[2]\n"
        "    os.kill(int(guard.split()[1]), signal.SIGTERM)  # the worker\n"
        "    raise SystemExit(1)  # as torchrun, when it is told to end\n"
        "print(json.dumps({'eval_loss': 2.5}))\n"
    )
    log, _ = ray_run(
        ray_session,
        tmp_path,
        ListSource(trials({"baseline": SETTINGS}, seeds=(0,))),
        engine="bios_sweep.engines.scripted.engine:CommandEngine",
        options={"run": f"{sys.executable} -S train.py", "cwd": str(tmp_path), "metric": "eval_loss"},
        max_attempts=1,
        storage=str(tmp_path / "storage"),
    )
    (retried,) = log.of(RETRIED)
    assert (retried.failure, retried.cause) == (Failure.PREEMPTED, "its worker was told to leave")
    assert [result.status for result in log.results.values()] == [Status.COMPLETED]


@pytest.mark.slow
def test_a_script_with_a_metrics_file_goes_on_on_another_worker(ray_session, tmp_path):
    (tmp_path / "train.py").write_text(
        "import pathlib, sys, time\n"
        "metrics, state = (pathlib.Path(sys.argv[1], name) for name in ('m.jsonl', 'state'))\n"
        "lost = not state.exists()\n"
        "state.touch()\n"
        "with metrics.open('a') as file:\n"
        '    file.write(\'{"step": 2, "eval_loss": 3}\\n\' if lost else \'{"step": 6, "eval_loss": 2}\\n\')\n'
        "if lost: time.sleep(600)\n"
    )
    log, _ = ray_run(
        ray_session,
        tmp_path,
        ListSource(trials({"baseline": SETTINGS}, seeds=(0,))),
        engine="bios_sweep.engines.scripted.engine:CommandEngine",
        options={
            "run": f"{sys.executable} -S train.py {{trial_dir}}",
            "cwd": str(tmp_path),
            "metric": "eval_loss",
            "metrics_file": "{trial_dir}/m.jsonl",
            "time_limit_seconds": 60.0,
            "resumes": True,
        },
        act=lambda event: kill(event) if event.kind == MEASURED and event.attempt == 1 else None,
        storage=str(tmp_path / "storage"),
    )
    (retried,) = log.of(RETRIED)
    assert retried.failure == Failure.WORKER_LOST
    [result] = log.results.values()
    assert (result.status, result.attempts) == (Status.COMPLETED, 2)
    assert [(point.step, point.eval_loss) for point in result.curve] == [(2, 3.0), (6, 2.0)]


def test_a_script_that_fails_while_a_run_here_stops_is_left_for_the_next_run(tmp_path):
    source = ListSource(trials({"baseline": SETTINGS}, seeds=(0,)))

    def stop(event):
        source.stopping = True

    log = Log(source, stop)
    options = {"run": f"{sys.executable} -S -c 1/0", "cwd": str(tmp_path), "metric": "eval_loss"}
    engine = "bios_sweep.engines.scripted.engine:CommandEngine"
    InlineExecutor().run(source, log, engine=engine, engine_options=options, trials_dir=tmp_path / "trials")
    assert [event.kind for event in log.events] == [STARTED]


class StoppedLate(ListSource):
    """Is stopping from the third time on that it is asked: while a script ends after its measurement."""

    asked = 0

    @property
    def stopping(self):
        self.asked += 1
        return self.asked > 2

    @stopping.setter
    def stopping(self, value):
        pass


@pytest.mark.parametrize(
    "line, kinds",
    [
        ({"eval_loss": 2.5, "step": 3}, [STARTED, MEASURED]),
        ({"eval_loss": 2.5}, [STARTED, MEASURED]),
        ({"eval_loss": 2.5, "step": SETTINGS.max_steps}, [STARTED, MEASURED, ENDED]),
    ],
    ids=["half way", "no step", "done"],
)
def test_a_script_that_ends_well_while_a_run_here_stops_is_believed_only_at_its_last_step(
    tmp_path, line, kinds
):
    source = StoppedLate(trials({"baseline": SETTINGS}, seeds=(0,)))
    log = Log(source)
    (tmp_path / "train.py").write_text(f"print({json.dumps(line)!r})")
    options = {"run": f"{sys.executable} -S train.py", "cwd": str(tmp_path), "metric": "eval_loss"}
    engine = "bios_sweep.engines.scripted.engine:CommandEngine"
    InlineExecutor().run(source, log, engine=engine, engine_options=options, trials_dir=tmp_path / "trials")
    assert [event.kind for event in log.events] == kinds


def test_a_worker_that_stalls_loses_its_trial_and_what_it_says_later_is_not_heard(ray_session, tmp_path):
    planned = trials({"baseline": SETTINGS}, seeds=range(4))
    undisturbed = inline_results(planned, tmp_path)
    diary, stalled = tmp_path / "diary", []

    def stall(event):
        if not stalled and event.kind == MEASURED and event.measurement.step > 0:
            stalled.append(event)  # and then in the middle of its next step
            Timer(0.2, os.kill, (process(event.worker), signal.SIGSTOP)).start()
        if event.kind == RETRIED:
            os.kill(process(stalled[0].worker), signal.SIGCONT)

    log, _ = ray_run(
        ray_session,
        tmp_path,
        ListSource(planned),
        engine="tests.conformance.engines:DiaryEngine",
        options={**NOISE, "pause_seconds": 0.4, "diary": str(diary)},
        act=stall,
        silence_seconds=2.0,
        storage=str(tmp_path / "storage"),
    )
    key = stalled[0].key
    (retried,) = log.of(RETRIED)
    assert (retried.key, retried.failure) == (key, Failure.WORKER_LOST)
    assert retried.cause.startswith("no sign of life for ")
    heard = [event.measurement.step for event in log.of(MEASURED, key) if event.attempt == 1]
    written = [line.split()[1] for line in diary.read_text().splitlines() if line.startswith(f"{key} ")]
    assert written.count(written[0]) > len(heard), "it woke and went on: there was something not to hear"
    assert {event.attempt for event in log.events[log.events.index(retried) + 1 :] if event.key == key} == {2}
    assert len(log.of(ENDED, key)) == 1
    assert {key: numbers(result) for key, result in log.results.items()} == undisturbed
    assert not list((tmp_path / "storage").rglob("files.json")), "what has ended is in the workspace alone"
    assert (tmp_path / "trials" / key / "checkpoint.jsonl").read_bytes() == (
        tmp_path / "undisturbed" / key / "checkpoint.jsonl"
    ).read_bytes()


@pytest.mark.slow
def test_on_one_machine_a_worker_that_stalls_is_ended_before_another_gets_its_trial(ray_session, tmp_path):
    planned = trials({"baseline": SETTINGS}, seeds=range(4))
    stalled = []

    def stall(event):
        if not stalled and event.kind == MEASURED:
            stalled.append(event)
            os.kill(process(event.worker), signal.SIGSTOP)

    options = {**NOISE, "pause_seconds": 0.1}
    log, _ = ray_run(
        ray_session, tmp_path, ListSource(planned), options=options, act=stall, silence_seconds=2.0
    )
    (retried,) = log.of(RETRIED)
    assert retried.cause.startswith("no sign of life for ")
    assert not Path(f"/proc/{process(stalled[0].worker)}").exists()
    assert {key: numbers(result) for key, result in log.results.items()} == inline_results(planned, tmp_path)


def test_a_trial_that_needs_too_much_memory_says_so_and_the_next_one_runs(tmp_path):
    planned = trials({"baseline": SETTINGS}, seeds=(0, 1))
    log = Log(source := ListSource(planned))
    InlineExecutor().run(
        source,
        log,
        engine="tests.conformance.engines:HungryEngine",
        engine_options={"hungry": planned[0].key},
        trials_dir=tmp_path,
    )
    failed = log.results[planned[0].key]
    assert (failed.failure, failed.attempts) == (Failure.OUT_OF_MEMORY, 1)
    assert failed.cause == "MemoryError: no room for the activations"
    assert log.results[planned[1].key].status == Status.COMPLETED


@pytest.mark.slow
def test_a_storage_that_is_away_for_a_moment_does_not_cost_a_trial_all_its_tries(ray_session, tmp_path):
    storage = tmp_path / "storage"
    storage.write_text("a file where a folder should be")

    def repair(event):
        if event.kind == STARTED and event.attempt == 1:
            Timer(0.5, storage.unlink).start()

    log, _ = ray_run(
        ray_session,
        tmp_path,
        ListSource(trials({"baseline": SETTINGS}, seeds=(0,))),
        act=repair,
        max_attempts=2,
        storage=str(storage),
        silence_seconds=3.0,
    )
    assert [event.failure for event in log.of(RETRIED)] == [Failure.STORAGE]
    assert [result.status for result in log.results.values()] == [Status.COMPLETED]


@pytest.mark.slow
def test_a_storage_that_fails_costs_a_try_and_is_named(ray_session, tmp_path):
    (tmp_path / "storage").write_text("a file where a folder should be")
    log, _ = ray_run(
        ray_session,
        tmp_path,
        ListSource(trials({"baseline": SETTINGS}, seeds=(0,))),
        max_attempts=2,
        storage=str(tmp_path / "storage"),
        silence_seconds=3.0,
    )
    (result,) = log.results.values()
    assert (result.status, result.failure, result.attempts) == (Status.FAILED, Failure.STORAGE, 2)
    assert result.cause.endswith("(attempt 2 of 2)")
    assert [event.failure for event in log.of(RETRIED)] == [Failure.STORAGE]


def test_every_end_of_a_worker_is_a_death_to_tune_and_told_by_its_kind():
    from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayActorError, RayTaskError
    from ray.tune.execution import tune_controller

    from bios_sweep.execution.ray.losses import every_loss_is_a_death, loss_of

    before = tune_controller.RayActorManager
    with every_loss_is_a_death():
        manager = tune_controller.RayActorManager
        assert issubclass(manager, before)
        assert "_actor_task_failed" in vars(manager)
        assert callable(before._actor_task_failed), "a newer Ray renamed what is adapted here"
    assert tune_controller.RayActorManager is before
    assert loss_of(OutOfMemoryError("the node is running low on memory")).failure == Failure.OUT_OF_MEMORY
    wrapped = RayActorError(error_msg="OutOfMemoryError: workers were killed: the node running low on memory")
    assert loss_of(wrapped).failure == Failure.OUT_OF_MEMORY
    assert loss_of(NodeDiedError("its node has died")).failure == Failure.NODE_LOST
    assert loss_of(ActorDiedError()).failure == Failure.WORKER_LOST
    assert loss_of(RayActorError(error_msg="drained", preempted=True)).failure == Failure.PREEMPTED
    assert loss_of(KeyError("slot")).cause == "worker failed: KeyError: 'slot'"
    there = RayTaskError("step", "Traceback (most recent call last): ...", ValueError("bad slot"))
    for error in (there, there.as_instanceof_cause()):
        assert loss_of(error).cause == "worker failed: ValueError: bad slot"


def test_an_engine_that_cannot_be_built_ends_the_run_with_its_cause(ray_session, tmp_path):
    source = ListSource(trials({"baseline": SETTINGS}, seeds=(0, 1)))
    with pytest.raises(BiosSweepError, match="could not be built: ConfigError: unknown option 'nonsense'"):
        ray_run(ray_session, tmp_path, source, options={"nonsense": 1})


def test_workers_that_die_while_they_load_end_the_run_instead_of_dying_for_ever(ray_session, tmp_path):
    source = ListSource(trials({"baseline": SETTINGS}, seeds=(0,)))
    with pytest.raises(BiosSweepError, match="workers die before their engine is ready"):
        ray_run(ray_session, tmp_path, source, engine="tests.conformance.engines:DyingEngine", max_attempts=1)


def test_a_request_the_cluster_cannot_satisfy_is_refused_before_anything_starts(ray_session, tmp_path):
    source = ListSource(trials({"baseline": SETTINGS}, seeds=(0,)))
    message = (
        r"^cluster.gpus_per_trial=1 needs 1 GPU per trial, the local machine offers 0 GPUs; "
        r"use cluster.gpus_per_trial=0$"
    )
    with pytest.raises(ClusterError, match=message):
        ray_run(ray_session, tmp_path, source, gpus_per_trial=1)
    assert not (tmp_path / "ray").exists()


def time_on_ray(folder, *, cpus=1, max_attempts=3, **options):
    from bios_sweep.execution.ray.executor import RayTuneExecutor

    executor = RayTuneExecutor(
        Request(cpus_per_trial=cpus, max_attempts=max_attempts), storage_dir=folder / "ray"
    )
    engine, told = "tests.conformance.engines:TimedEngine", {"folder": str(folder), **options}
    return timed_by(
        executor, [SETTINGS, SETTINGS], engine=engine, options=told, repeats=3, folder=folder / "trials"
    )


@pytest.mark.slow
def test_a_probe_whose_worker_dies_is_tried_once_more(ray_session, tmp_path):
    timed = time_on_ray(tmp_path, deaths=1)
    assert timed.seconds == [[1.0, 1.0]] * 3
    assert timed.hardware.startswith("a stopwatch in process ")
    assert len(list(tmp_path.glob("died-*"))) == 1


@pytest.mark.slow
def test_a_probe_whose_worker_dies_twice_ends_in_one_sentence(ray_session, tmp_path):
    with pytest.raises(BiosSweepError, match=r"^the timing probe's worker died twice") as caught:
        time_on_ray(tmp_path, deaths=9)
    assert "\n" not in str(caught.value)
    assert len(list(tmp_path.glob("died-*"))) == 2


def test_a_cuda_error_in_a_probe_costs_its_process_and_not_the_run(ray_session, tmp_path, caplog):
    assert time_on_ray(tmp_path, poison=2).seconds == [[1.0, 1.0]] * 3
    told = "the timing probe failed: RuntimeError: CUDA error: an illegal memory access was encountered"
    assert caplog.text.count(f"{told}; the probe gets a new process") == 2
    assert "CUDA kernel errors" not in caplog.text


@pytest.mark.slow
def test_a_gpu_that_fails_in_every_probe_is_said_after_as_many_tries_as_a_trial_has(ray_session, tmp_path):
    heard = time_on_ray(tmp_path, poison=9, max_attempts=2)
    assert isinstance(heard, DeviceError)
    assert str(heard).startswith("the timing probe failed: RuntimeError: CUDA error: an illegal")
    assert len(list(tmp_path.glob("failed-*"))) == 2


def test_in_this_process_a_cuda_error_in_a_probe_ends_the_run_with_the_way_out(tmp_path):
    with pytest.raises(ClusterLostError, match=r"the GPU failed .* the same command goes on from here"):
        timed_by(
            InlineExecutor(), [SETTINGS], engine="tests.conformance.engines:TimedEngine",
            options={"folder": str(tmp_path), "poison": 1}, repeats=2, folder=tmp_path,
        )  # fmt: skip


def test_a_probe_the_cluster_cannot_satisfy_is_refused_as_trials_are(ray_session, tmp_path):
    from bios_sweep.execution.ray.executor import RayTuneExecutor

    executor = RayTuneExecutor(Request(gpus_per_trial=1), storage_dir=tmp_path)
    with pytest.raises(ClusterError, match=r"^cluster.gpus_per_trial=1 needs 1 GPU per trial"):
        timed_by(executor, [SETTINGS], engine=ENGINE, options={"t0_seconds": 1.0}, repeats=2, folder=tmp_path)


def test_while_one_worker_times_no_other_has_an_engine_and_it_trains_with_the_one_it_timed(
    ray_session, tmp_path
):
    from bios_sweep.execution.ray.executor import RayTuneExecutor

    source, folder = ListSource(trials({"baseline": SETTINGS}, seeds=(0, 1, 2))), tmp_path / "diary"
    folder.mkdir()
    RayTuneExecutor(Request(), storage_dir=tmp_path / "ray").run(
        source, Log(source), engine="tests.conformance.engines:NotedEngine",
        engine_options={"t0_seconds": 1.0, "folder": str(folder), "workers": 2}, trials_dir=tmp_path,
        probe=Probe(settings=(SETTINGS,), repeats=1, heard=lambda answer: (folder / "heard").touch()),
    )  # fmt: skip
    lines = [line.split() for line in (folder / "diary").read_text().splitlines()]
    first = lines[0][1]
    assert lines[:2] == [["built", first], ["timed", first]]
    assert [what for what, _ in lines].count("built") == 2, "one engine per worker"
    assert ["trained", first] in lines


class LeavesWhenTold:
    """Standard error of a driver that waits: at the first word of it, what fills the cluster goes."""

    def __init__(self):
        import ray

        filler = ray.remote(num_cpus=2)(type("Filler", (), {"there": lambda self: True})).remote()
        assert ray.get(filler.there.remote())
        self._leaves = Timer(20, ray.kill, (filler,))  # a driver that says nothing fails its test, too
        self._leaves.start()
        self.lines = []

    def write(self, text):
        if "waiting for a worker" in text:
            if not self.lines:
                self._leaves.cancel()
                self._leaves.function(*self._leaves.args)
            self.lines.append(text)

    def flush(self):
        pass


TOLD = (
    r"bios-sweep: waiting for a worker for \d+ s: a trial needs 2 CPUs on one node; "
    r"free on all nodes together: 0 of 2 CPUs\n"
)


def test_a_run_on_a_cluster_that_others_fill_says_that_it_waits_and_for_what(
    ray_session, tmp_path, monkeypatch
):
    monkeypatch.setattr("bios_sweep.execution.ray.start.CAPACITY_SECONDS", 0.5)
    told = LeavesWhenTold()
    monkeypatch.setattr(sys, "stderr", told)
    source = ListSource(trials({"baseline": SETTINGS}, seeds=(0,)))
    log, _ = ray_run(ray_session, tmp_path, source, cpus_per_trial=2)
    assert re.fullmatch(TOLD, told.lines[0])
    assert [result.status for result in log.results.values()] == [Status.COMPLETED]


@pytest.mark.slow
def test_a_probe_on_a_cluster_that_others_fill_says_that_it_waits_and_for_what(
    ray_session, tmp_path, monkeypatch
):
    monkeypatch.setattr("bios_sweep.execution.ray.start.CAPACITY_SECONDS", 0.5)
    told = LeavesWhenTold()
    monkeypatch.setattr(sys, "stderr", told)
    timed = time_on_ray(tmp_path, cpus=2)
    assert re.fullmatch(TOLD, told.lines[0])
    assert timed.hardware.startswith("a stopwatch")


def test_what_is_waited_for_is_told_with_all_that_a_trial_takes():
    request = Request(
        cpus_per_trial=1, gpus_per_trial=0.5, accelerator_type="A100", resources_per_trial={"fast": 1}
    )
    free, total = {"CPU": 3.0}, {"CPU": 8.0, "GPU": 1.0, "fast": 2.0, "accelerator_type:A100": 1.0}
    assert waiting_line(request, free=free, total=total) == (
        "a trial needs 1 CPU and 0.5 GPUs and the accelerator A100 and 1 fast on one node; "
        "free on all nodes together: 3 of 8 CPUs, 0 of 1 GPU, 0 of 2 fast"
    )


def test_check_says_where_trials_will_run(ray_session, tmp_path):
    from bios_sweep.execution.ray.executor import RayTuneExecutor

    assert RayTuneExecutor(Request(), storage_dir=tmp_path).check() == "local Ray: 2 workers x 1 CPU"
    one = RayTuneExecutor(Request(max_concurrent=1), storage_dir=tmp_path)
    assert one.check() == "local Ray: 1 worker x 1 CPU"


def test_an_address_where_nothing_listens_and_too_many_cpus_are_refused_without_starting_ray():
    script = """
import ray
from bios_sweep.errors import ClusterError
from bios_sweep.execution.ray.cluster import open_cluster
from bios_sweep.request import Request
for request in (Request(address="127.0.0.1:1"), Request(num_cpus=2, cpus_per_trial=4)):
    try:
        open_cluster(request)
    except ClusterError as error:
        print(error, ray.is_initialized())
"""
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    first, second = found.stdout.splitlines()
    assert first.startswith("cluster.address=127.0.0.1:1: no Ray cluster could be joined there")
    assert second == (
        "cluster.cpus_per_trial=4 needs 4 CPUs per trial, the local machine offers 2 CPUs; "
        "use cluster.cpus_per_trial=2 False"
    )


@pytest.mark.parametrize(
    "cpus, gpus, nodes, expected",
    [
        (1, 0.0, [{"CPU": 8.0}], 8),
        (3, 0.0, [{"CPU": 8.0}, {"CPU": 4.0}], 3),
        (1, 1.0, [{"CPU": 8.0, "GPU": 2.0}], 2),
        (1, 0.1, [{"CPU": 64.0, "GPU": 2.0}], 20),
        (1, 0.4, [{"CPU": 64.0, "GPU": 2.0}], 4),
        (4, 0.25, [{"CPU": 8.0, "GPU": 1.0}, {"CPU": 64.0}], 2),
    ],
)
def test_a_trial_never_spans_two_nodes_nor_a_fraction_two_gpus(cpus, gpus, nodes, expected):
    request = Request(cpus_per_trial=cpus, gpus_per_trial=gpus)
    assert refuse_unless_fits(request, nodes) == expected


def test_cpus_and_gpus_on_different_nodes_do_not_fit_one_trial():
    request = Request(address="auto", cpus_per_trial=8, gpus_per_trial=1)
    with pytest.raises(ClusterError, match="8 CPUs and 1 GPU on one node, and no node offers both"):
        refuse_unless_fits(request, [{"CPU": 64.0}, {"CPU": 2.0, "GPU": 8.0}])


@pytest.mark.parametrize(
    "values, message",
    [
        ({"cpus_per_trial": 0}, "cluster.cpus_per_trial: 0 is not allowed; a whole number of at least 1"),
        ({"gpus_per_trial": 1.5}, "cluster.gpus_per_trial: 1.5 is not allowed; above 1 only whole GPUs"),
        ({"gpus_per_trial": -1}, "cluster.gpus_per_trial: -1 is not allowed"),
        ({"max_concurrent": 0}, "cluster.max_concurrent: 0 is not allowed"),
        ({"address": "ray://head:10001"}, "use auto on a node of the cluster, or host:port"),
    ],
)
def test_requests_that_mean_nothing_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Request(**values)


def test_an_engine_that_ends_without_a_result_fails_its_trial(tmp_path):
    (one,) = trials({"baseline": SETTINGS}, seeds=(0,))
    log = Log(source := ListSource([one]))
    InlineExecutor().run(
        source,
        log,
        engine="tests.conformance.engines:ForgetfulEngine",
        engine_options={},
        trials_dir=tmp_path,
    )
    assert log.results[one.key].cause == "BiosSweepError: the engine stopped without a result"
    assert len(log.results[one.key].curve) == 1
    assert log.results[one.key].failure == Failure.CODE
