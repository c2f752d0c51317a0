"""One suite for every executor and every engine. A new one is one more parameter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bios_sweep.errors import BiosSweepError
from bios_sweep.execution.attempts import load_engine
from bios_sweep.execution.inline import InlineExecutor
from bios_sweep.ports import ENDED, LEFT, MEASURED, STARTED, Executor, Probe, Timed
from bios_sweep.request import Request
from bios_sweep.vocabulary import Status
from tests.conformance.sources import SETTINGS, ListSource, Log, numbers, timed_by, trials

EXECUTORS = ("inline", "ray")
ENGINES = ("planted", "lora")
QUICK_PAIRS = [  # where another test has the slow pair in the normal run
    ("inline", "planted"),
    ("inline", "lora"),
    ("ray", "planted"),
    pytest.param("ray", "lora", marks=pytest.mark.slow),
]
MEASUREMENTS = 3

GOOD = trials({"baseline": SETTINGS, "rank=8": replace(SETTINGS, lora_rank=8)}, seeds=(0, 1))
BAD = trials({"bad": SETTINGS}, seeds=(2,))
WILD = trials({"wild": replace(SETTINGS, learning_rate=30.0)}, seeds=(0,))
LATER = trials({"baseline": SETTINGS}, seeds=(3, 4))


@dataclass(frozen=True, kw_only=True)
class EngineCase:
    """sabotage: makes the trial named `bad` raise an exception in a given trials folder."""

    engine: str
    options: Mapping[str, Any]
    sabotage: Callable[[Path], None]


@pytest.fixture(scope="module")
def planted() -> EngineCase:
    return EngineCase(
        engine="bios_sweep.engines.simulation.engine:PlantedEngine",
        options={
            "truth": {"lora_rank": {"optimum": 4, "curvature": 1.0}},
            "seed_noise_percent": 1.0,
            "noise_percent": 0.2,
            "wall": 1.0,
            "measurements": MEASUREMENTS,
            "fail": {"bad/2": "a planted failure\nwith a second line"},
            "t0_seconds": 0.2,
            "examples_per_second": 40,
            "time_cv": 0.05,
        },
        sabotage=lambda folder: None,
    )


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> EngineCase:
    from tests.conformance.tiny_model import tiny_scenario

    folder = tmp_path_factory.mktemp("lora")
    return EngineCase(
        engine="bios_sweep.engines.training.engine:LoraEngine",
        options={**tiny_scenario(folder), "measurements": MEASUREMENTS, "threads": 1, "device": "cpu"},
        sabotage=lambda trials_dir: (trials_dir / BAD[0].key / "checkpoint.pt" / "in the way").mkdir(
            parents=True
        ),
    )


@pytest.fixture(scope="module")
def run_with(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], tuple[Log, Path]]:
    """The everyday run, once per executor and engine: good, failing, diverging trials, a second stage."""

    @cache
    def everyday(executor: str, engine: str) -> tuple[Log, Path]:
        case: EngineCase = request.getfixturevalue(engine)
        folder = tmp_path_factory.mktemp("everyday")
        case.sabotage(folder)
        source = ListSource([*GOOD, *BAD, *WILD], then=LATER)
        return run(request, executor, case, source, folder), folder

    return everyday


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> str:
    return request.param


def make_executor(request: pytest.FixtureRequest, name: str, folder: Path) -> Executor:
    if name == "inline":
        return InlineExecutor()
    request.getfixturevalue("ray_session")
    from bios_sweep.execution.ray.executor import RayTuneExecutor

    return RayTuneExecutor(Request(), storage_dir=folder / "ray")


def run(
    request: pytest.FixtureRequest,
    executor: str,
    case: EngineCase,
    source: ListSource,
    folder: Path,
    **log: Any,
) -> Log:
    record = Log(source, **log)
    make_executor(request, executor, folder).run(
        source, record, engine=case.engine, engine_options=case.options, trials_dir=folder
    )
    return record


def test_every_trial_taken_is_ended_exactly_once(run_with, executor, engine):
    log, _ = run_with(executor, engine)
    everything = [trial.key for trial in (*GOOD, *BAD, *WILD, *LATER)]
    assert Counter(event.key for event in log.of(ENDED)) == Counter(everything)
    assert Counter(event.key for event in log.of(STARTED)) == Counter(everything)
    assert log.events[-1].kind == ENDED


def test_measurements_come_in_order_from_step_0_and_make_the_curve(run_with, executor, engine):
    log, _ = run_with(executor, engine)
    for trial in (*GOOD, *LATER):
        assert log.steps(trial.key) == [0, 2, 4, 6]
        measured = tuple(event.measurement for event in log.of(MEASURED, trial.key))
        assert measured == log.results[trial.key].curve
        assert log.results[trial.key].status == Status.COMPLETED
        assert log.results[trial.key].attempts == 1


def test_trials_added_while_running_are_run(run_with, executor, engine):
    log, _ = run_with(executor, engine)
    ends = [event.key for event in log.of(ENDED)]
    assert set(ends[-2:]) == {trial.key for trial in LATER}


def test_an_exception_fails_its_trial_only_and_leaves_a_log(run_with, executor, engine):
    log, folder = run_with(executor, engine)
    failed = log.results[BAD[0].key]
    assert [key for key, result in log.results.items() if result.status == Status.FAILED] == [BAD[0].key]
    kind, _, message = failed.cause.partition(": ")
    assert kind.endswith("Error")
    assert message
    assert "\n" not in failed.cause
    assert message in (folder / BAD[0].key / "error.log").read_text()
    assert failed.final == {}


def test_divergence_is_an_outcome_not_a_failure(run_with, executor, engine):
    log, _ = run_with(executor, engine)
    diverged = log.results[WILD[0].key]
    assert diverged.status == Status.DIVERGED
    assert diverged.finished
    assert diverged.cause
    assert log.steps(WILD[0].key)[0] == 0


def test_every_executor_gives_the_same_numbers_to_the_bit(run_with, engine):
    by_executor = {name: run_with(name, engine)[0].results for name in EXECUTORS}
    for trial in (*GOOD, *WILD, *LATER):
        found = {numbers(results[trial.key]) for results in by_executor.values()}
        assert len(found) == 1, trial.key


@pytest.mark.parametrize(("executor", "engine"), QUICK_PAIRS)
def test_a_stopped_run_leaves_the_rest_and_a_second_one_goes_on_with_the_same_numbers(
    run_with, request, executor, engine, tmp_path
):
    case: EngineCase = request.getfixturevalue(engine)
    undisturbed, _ = run_with("inline", engine)
    source = ListSource(GOOD)

    def stop(event):
        source.stopping = source.stopping or (event.kind == MEASURED and event.measurement.step == 2)

    first = run(request, executor, case, source, tmp_path, act=stop)
    assert not first.of(ENDED)
    assert 0 < len(first.of(STARTED)) < len(GOOD)
    begun = {event.key for event in first.of(STARTED)}
    assert any(list((tmp_path / key).glob("checkpoint.*")) for key in begun)

    second = run(request, executor, case, ListSource(GOOD), tmp_path)
    assert Counter(event.key for event in second.of(ENDED)) == Counter(trial.key for trial in GOOD)
    for trial in GOOD:
        assert second.steps(trial.key) == [0, 2, 4, 6]
        assert numbers(second.results[trial.key]) == numbers(undisturbed.results[trial.key])


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_trial_that_nobody_wants_is_left_at_its_checkpoint_and_the_others_end(
    request, executor, planted, tmp_path
):
    source = ListSource(GOOD)

    def give_up(event):
        if event.kind == MEASURED and not source.given_up:
            source.given_up.add(event.key)

    log = run(request, executor, planted, source, tmp_path, act=give_up)
    left = [event.key for event in log.of(LEFT)]  # none where it ended before its worker had heard
    assert set(left) <= source.given_up
    assert Counter([*left, *log.results]) == Counter(trial.key for trial in GOOD)
    assert all(list((tmp_path / key).glob("checkpoint.*")) for key in left)
    assert left or executor != "inline"


def test_a_source_that_is_open_but_offers_nothing_is_an_error_not_a_wait(
    request, executor, planted, tmp_path
):
    class Stuck(ListSource):
        closed = False

    with pytest.raises(BiosSweepError, match="open but offers no trial while none is running"):
        run(request, executor, planted, Stuck([]), tmp_path)


def test_nothing_to_do_returns_at_once(request, executor, planted, tmp_path):
    assert run(request, executor, planted, ListSource([]), tmp_path).events == []


def test_what_record_raises_ends_the_run_in_its_own_words(request, executor, planted, tmp_path):
    def refuse(event):
        raise BiosSweepError("the journal cannot be written")

    with pytest.raises(BiosSweepError, match=r"^the journal cannot be written$"):
        run(request, executor, planted, ListSource(GOOD), tmp_path, act=refuse)


@pytest.mark.parametrize(("executor", "engine"), QUICK_PAIRS)
def test_every_executor_times_arms_row_by_row_and_names_the_hardware(request, executor, engine, tmp_path):
    case: EngineCase = request.getfixturevalue(engine)
    arms = [SETTINGS, replace(SETTINGS, batch_size=32)]
    timed = timed_by(
        make_executor(request, executor, tmp_path),
        arms, engine=case.engine, options=case.options, repeats=2, folder=tmp_path,
    )  # fmt: skip
    assert isinstance(timed, Timed)
    assert [len(row) for row in timed.seconds] == [2, 2]
    small, large = map(min, zip(*timed.seconds, strict=True))  # the least disturbed of each arm's timings
    assert 0 < small < large
    built = load_engine(case.engine, case.options)
    assert timed.hardware == built.hardware != ""
    if engine == "planted":  # its clock is simulated, so that the very numbers must come through
        assert timed.seconds == built.time_steps(arms, 2)


def test_a_probe_that_stumbles_says_so_in_one_line(request, executor, tmp_path):
    with pytest.raises(BiosSweepError, match=r"^the timing probe failed: RuntimeError: the clock stopped$"):
        timed_by(
            make_executor(request, executor, tmp_path),
            [SETTINGS], engine="tests.conformance.engines:TimedEngine",
            options={"stumble": True}, repeats=2, folder=tmp_path,
        )  # fmt: skip


def test_a_probe_whose_engine_cannot_be_built_says_why(request, executor, tmp_path):
    with pytest.raises(BiosSweepError, match="could not be built: ConfigError: unknown option 'nonsense'"):
        timed_by(
            make_executor(request, executor, tmp_path),
            [SETTINGS], engine="bios_sweep.engines.simulation.engine:PlantedEngine",
            options={"nonsense": 1}, repeats=2, folder=tmp_path,
        )  # fmt: skip


@pytest.mark.parametrize(("executor", "engine"), QUICK_PAIRS)
def test_an_engine_that_was_timed_trains_with_the_numbers_of_a_fresh_one(
    run_with, request, executor, engine, tmp_path
):
    case: EngineCase = request.getfixturevalue(engine)
    undisturbed, _ = run_with("inline", engine)
    one = make_executor(request, executor, tmp_path)
    heard: list[Any] = []
    probe = Probe(settings=(SETTINGS,), repeats=1, heard=heard.append)
    source = ListSource(GOOD[:1])
    log = Log(source, act=lambda event: heard.append(event.kind))
    one.run(source, log, engine=case.engine, engine_options=case.options, trials_dir=tmp_path, probe=probe)
    assert isinstance(heard[0], Timed), "heard before the first trial begins"
    assert heard[1] == STARTED
    assert numbers(log.results[GOOD[0].key]) == numbers(undisturbed.results[GOOD[0].key])


@pytest.mark.parametrize(
    "name, message",
    [
        ("not an import string", "is no import string; write it as module:Class"),
        ("bios_sweep.nowhere:Engine", "importing its module failed: ModuleNotFoundError"),
        ("bios_sweep.engines.simulation.engine:Nobody", "has no class Nobody with a method run"),
    ],
)
def test_an_engine_that_is_not_there_is_named(name, message, tmp_path):
    with pytest.raises(BiosSweepError, match=message):
        InlineExecutor().run(ListSource(GOOD), print, engine=name, engine_options={}, trials_dir=tmp_path)
