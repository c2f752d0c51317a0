"""Random schedules of faults over small sweeps: what comes out is what comes out undisturbed.

A schedule that fails is shrunk to a smallest one, and printed as the command that repeats it.
"""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings

from bios_sweep.records.replay import Entry
from tests.e2e.harness import KINDS, Rig, hold, names, of_sessions, starts_of, undisturbed
from tests.e2e.schedules import Fault, Schedule, Step, schedule_of, schedules, text_of
from tests.mirror import postgres

AGAIN = ("started", "ended", "started")
KILLS, LONG_TRIALS = 100, 60
EVERYTHING = (
    "kill-driver@5+3 stop@4+0 lose-reply@1+0 pause@2+0 full-disk@3+0 clock-back@2+0 kill-server@1+0 "
    "kill-driver@2+9 upgrade@0+0 lose-reply@3+0 stop-now@6+1"
)

Runner = Callable[[str, Schedule], Rig]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory, tracking_server) -> Runner:
    """Runs a schedule; the undisturbed sweep of each kind is run once."""
    root, numbers = tmp_path_factory.mktemp("schedules"), itertools.count()
    calm: dict[str, Rig] = {}

    def run(kind: str, schedule: Schedule) -> Rig:
        if kind not in calm:
            calm[kind] = undisturbed(kind, root / kind)
        return hold(kind, schedule, root / str(next(numbers)), calm[kind], tracking_server)

    return run


def holds(runner: Runner, kind: str, examples: int, most: int) -> None:
    """Whether so many random schedules of at most so many steps change nothing."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(schedules(KINDS[kind].faults, most))
    def one(schedule: Schedule) -> None:
        runner(kind, schedule)

    one()


def test_every_fault_that_needs_no_cluster_in_one_sweep_changes_nothing(runner):
    runner("served", schedule_of(EVERYTHING))


@pytest.mark.parametrize(
    ("kind", "examples", "most"),
    [
        ("inline", 1, 2),
        *(pytest.param(*words, marks=pytest.mark.slow) for words in [("inline", 30, 6), ("served", 20, 6)]),
        *(pytest.param(*words, marks=pytest.mark.slow) for words in [("ray", 6, 3), ("real", 3, 3)]),
    ],
)
def test_random_schedules_change_nothing(kind, examples, most, runner):
    if KINDS[kind].served and postgres.missing():
        pytest.skip(postgres.missing())
    holds(runner, kind, examples, most)


@pytest.mark.slow
def test_a_hundred_kills_at_random_moments_over_one_run_leave_nothing_broken_different_or_double(runner):
    """Sixty trials of ten measurements. A fifth of the kills falls into a start, the rest among lines."""
    choice = random.Random(19)
    kills = []
    for number in range(KILLS):
        lines, most = (0, 600) if number % 5 == 0 else (choice.randint(1, 5), 20)
        kills.append(Step(Fault.KILL_DRIVER, lines, choice.randint(0, most)))
    struck = runner("long", tuple(kills)).struck
    assert [code for code, _ in struck] == [-signal.SIGKILL] * KILLS
    assert struck[-1][1] < LONG_TRIALS, "the sweep was over before the last kill"
    print(f"{KILLS} kills, trials ended at each tenth: {[ended for _, ended in struck[9::10]]}")


def test_a_schedule_is_read_back_from_its_text():
    assert text_of(schedule_of(EVERYTHING)) == EVERYTHING
    assert {step.fault for step in schedule_of(EVERYTHING)} == set(KINDS["served"].faults)


def test_the_harness_sees_a_trial_that_was_trained_again_a_file_too_many_and_a_process_left(tmp_path):
    """The meta-test, with the least that each rule must see."""
    with pytest.raises(AssertionError, match="was trained again"):
        starts_of(Entry(seq=0, time="", kind=kind, fields={"key": "a"}) for kind in AGAIN)
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "0123456789abcdef.tmp").touch()
    assert names(tmp_path) == {"trials/*.tmp"}
    left = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        assert of_sessions([left.pid]) == [left.pid]
    finally:
        left.kill()
        left.wait()
    assert of_sessions([left.pid]) == []
