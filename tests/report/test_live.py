"""The screen of a sweep that runs, and what it says of arms between two looks."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bios_sweep.ports import ENDED, MEASURED, STARTED, TrialEvent
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.state import Known
from bios_sweep.report.content.expense import Tariff
from bios_sweep.report.content.live import sparkline, standing_of
from bios_sweep.report.text.progress import LiveView
from bios_sweep.study.trials import Measurement
from bios_sweep.vocabulary import Status
from tests.procedure.planted import RATE_UP, lost, plan_of, planted

WORST = "learning_rate x4"


def standing(plan, count, *, outcome=planted, stopped=frozenset(), price=None):
    """Where the arms stand once so many trials of the plan have ended."""
    results = {trial.key: outcome(trial) for trial in plan.trials[:count]}
    state = state_of(plan, results, Known(stopped=stopped))
    return standing_of(plan, state, results, stopped, Tariff(gpus=1, per_gpu_hour=price))


def up(trial):
    return planted(trial, RATE_UP)


def test_arms_are_ranked_by_their_gain_and_one_seed_has_no_bounds():
    found = standing(plan_of(looks=(3, 5)), 5, outcome=up)
    labels = [row.arm.removeprefix("learning_rate ") for row in found.arms]
    assert labels[:2] == ["x2", "x0.5"]
    assert found.arms[0].gain == pytest.approx(1.5, abs=0.3)
    assert {(row.lower, row.upper, row.ended, row.planned) for row in found.arms} == {(None, None, 1, 3)}
    assert found.next_look == "no verdict before the look at 3 seeds (10 trials to go)"


def test_two_seeds_have_bounds_at_the_level_of_a_look_and_the_words_say_that_none_was():
    found = standing(plan_of(looks=(3, 5)), 10, outcome=up)
    best = found.arms[0]
    assert best.lower < best.gain < best.upper
    assert "before the look at 3 seeds" in found.next_look


def test_what_was_excluded_stopped_or_diverged_is_marked():
    near = {"learning_rate": {0.25e-3: -4, 0.5e-3: -3, 2e-3: 0.45, 4e-3: -4}}
    found = standing(plan_of(looks=(3, 5)), 15, outcome=lambda trial: planted(trial, near, sigma=0.2))
    words = {row.arm.removeprefix("learning_rate "): row.word for row in found.arms}
    assert words == {"x2": "", **dict.fromkeys(("x0.5", "x4", "x0.25"), "excluded at a look")}
    halted = standing(plan_of(), 5, stopped=frozenset({WORST}))
    assert [row.arm for row in halted.arms if row.word == "stopped by hand"] == [WORST]
    wild = standing(
        plan_of(),
        5,
        outcome=lambda trial: lost(trial, Status.DIVERGED) if trial.arm == WORST else planted(trial),
    )
    assert (wild.arms[-1].arm, wild.arms[-1].word, wild.arms[-1].gain) == (WORST, "diverged at 1 seed", None)
    (failure,) = wild.failures
    assert (failure.arm, failure.cause) == (WORST, "the worker died")


def test_fresh_seeds_have_a_standing_of_their_own():
    plan = plan_of()
    results = {trial.key: up(trial) for trial in plan.trials}
    state = state_of(plan, results)
    found = standing_of(plan, state, results, frozenset(), Tariff())
    assert [(row.arm, row.ended, row.planned) for row in found.arms] == [("learning_rate x2", 0, 5)]
    assert found.next_look == "no verdict before all fresh seeds are in (10 trials to go)"


@pytest.mark.parametrize(
    ("values", "drawn"),
    [((3.0, 2.0, 1.0), "#=_"), ((1.0,), ""), ((), ""), ((2.0, 2.0), "__"), ((3.0, float("nan"), 1.0), "# _")],
)
def test_a_sparkline_has_a_mark_per_value(values, drawn):
    assert sparkline(values, "_=#") == drawn


def screen(width, *, color=None, encoding="utf-8", price=None):
    """What stands on a terminal of that width while four trials run."""
    plan, clock = plan_of(looks=(3, 5)), iter(range(10_000))
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    environment = {"TERM": "xterm-256color", **({"NO_COLOR": "1"} if color == "no" else {})}
    console = Console(
        file=stream, width=width, force_terminal=True, legacy_windows=False, _environ=environment
    )
    view = LiveView(
        console,
        planned=15,
        workers="local Ray: 2 workers x 1 CPU",
        title="learning_rate-1a2b3c4d",
        judged_on="eval_loss, smaller is better",
        standing=lambda: standing(plan, 10, outcome=up, price=price),
        clock=lambda: float(next(clock)),
    )
    with view:
        view.stage("screening", 15, 0)
        for trial in plan.trials[:10]:
            view.event(TrialEvent(kind=STARTED, key=trial.key), trial)
            view.event(TrialEvent(kind=ENDED, key=trial.key, result=up(trial)), trial)
        for trial in plan.trials[10:14]:
            view.event(TrialEvent(kind=STARTED, key=trial.key), trial)
            for step, loss in ((0, 3.0), (50, 2.4), (75, 2.1)):
                point = Measurement(step=step, fraction=step / 100, examples=0, tokens=0, eval_loss=loss)
                view.event(TrialEvent(kind=MEASURED, key=trial.key, measurement=point), trial)
        told = io.StringIO()
        options = {"force_terminal": color is not None, "legacy_windows": False, "_environ": environment}
        paper = Console(file=told, width=width, **options)
        paper.print(view.__rich__())
    return told.getvalue()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_screen_fits_and_says_who_leads_what_runs_and_what_a_verdict_waits_for(width):
    text = screen(width)
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines)
    assert len(lines) < 24
    flat = " ".join(text.split())
    assert "learning_rate-1a2b3c4d, screening" in flat
    assert "10/15 trials" in flat
    leading = next(line for line in lines if "learning_rate x2 " in line)
    assert "[+" in leading
    assert "2/3" in leading
    assert lines.index(leading) < next(i for i, line in enumerate(lines) if "learning_rate x0.5 " in line)
    assert "no verdict before the look at 3 seeds" in flat
    running = next(line for line in lines if "baseline seed 2" in line)
    assert "75 %" in running
    assert "eval_loss 2.1" in running
    assert ("█" in running) == ("step 75/100" in running) == (width >= 70)


def test_without_colours_nothing_is_coloured_and_what_runs_is_bold_all_the_same():
    assert "\x1b[36m" in screen(80, color="yes")
    assert "\x1b[36m" not in screen(80, color="no")


def test_what_the_trials_cost_is_told_where_an_hour_has_a_price():
    assert "at a price of" not in screen(140)


def test_a_pipe_gets_the_plain_lines_and_asks_for_no_standing():
    stream, plan = io.StringIO(), plan_of()

    def asked():
        raise AssertionError("a pipe shows no arms")

    with LiveView(
        Console(file=stream, width=80), planned=1, workers="", title="s", standing=asked, clock=lambda: 0.0
    ) as view:
        view.stage("screening", 1, 0)
        trial = plan.trials[0]
        view.event(TrialEvent(kind=STARTED, key=trial.key), trial)
        view.event(TrialEvent(kind=ENDED, key=trial.key, result=up(trial)), trial)
    assert "[1/1] baseline seed 0: completed" in stream.getvalue()
