"""What a plan says of three margins, and that its quick simulation is the procedure's own."""

from __future__ import annotations

import json
import time

import pytest

from bios_sweep.cli.main import main
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare
from bios_sweep.rehearsal.chances import rehearse
from bios_sweep.rehearsal.noise import stated_noise
from bios_sweep.rehearsal.quick import Design, chances_of

WORLD = ("sweeps=learning_rate", "model=planted", "cluster=inline", "tracking=none", "workspace=ws")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def margins(capsys, *words):
    assert main(["plan", *WORLD, *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["margins"]


def design(**changes):
    plain = {"levels": 4, "tried": 4, "looks": (3, 5, 8), "fresh": 5, "alpha": 0.05}
    return Design(**{**plain, "noise": 0.35, "margin": 0.5, **changes})


def test_a_plan_tells_half_of_its_margin_the_margin_and_twice_it(capsys):
    table = margins(capsys)
    assert [row["percent"] for row in table["rows"]] == [0.5, 1.0, 2.0]
    assert [row["chosen"] for row in table["rows"]] == [False, True, False]
    chances, trials = ([row[key] for row in table["rows"]] for key in ("confirms", "trials"))
    assert chances == sorted(chances)
    assert trials == sorted(trials, reverse=True)
    assert (table["noise_source"], table["lever"]) == ("guess", "")


def test_a_margin_that_is_given_is_the_chosen_one(capsys):
    assert margins(capsys, "decision.margin_percent=3")["rows"][1]["percent"] == 3.0


def test_a_score_is_told_in_points_and_no_noise_is_taken_as_typical_of_it(capsys):
    table = margins(
        capsys, "+model.planted.metrics.eval_accuracy={value: 80}", "+method.metric=eval_accuracy"
    )
    assert [row["points"] for row in table["rows"]] == [1.0, 2.0, 4.0]
    assert {row["confirms"] for row in table["rows"]} == {None}


def test_what_a_margin_equals_is_told_once_the_studys_trials_are_there(capsys):
    quiet = ("model.planted.noise_percent=0.01", "baseline.learning_rate=1e-3", "decision.looks=[3]")
    assert main(["run", *WORLD, *quiet]) == 0
    capsys.readouterr()
    row = margins(capsys, *quiet, "seeds=[0,1,2]")["rows"][1]
    assert row["learning_rate_factor"] == pytest.approx(2 ** (1.0 / 0.8) ** 0.5, rel=0.2)
    assert row["absolute"] == pytest.approx(0.02, rel=0.05)


def test_the_cheapest_lever_is_named_where_an_answer_is_unlikely(capsys):
    lever = margins(capsys, "decision.margin_percent=0.5")["lever"]
    assert lever.startswith(("a margin twice as coarse", "decision.looks="))
    assert lever.endswith("trials")


def test_the_quick_simulation_says_what_the_table_of_the_default_design_says():
    """docs/statistics.md: four levels, looks at 3, 5 and 8, noise 0.35 and 0.2, margin 0.5 %."""
    assert chances_of(design()).confirmed == pytest.approx(0.36, abs=0.04)
    assert chances_of(design(noise=0.2)).confirmed == pytest.approx(0.95, abs=0.03)


@pytest.mark.slow  # about half a minute: the procedure itself, sweep by sweep
def test_the_quick_simulation_agrees_with_a_rehearsal():
    plan = prepare(Invocation(overrides=(*WORLD, "decision.purpose=publish"))).plan
    (row,) = rehearse(plan, stated_noise(0.35), sweeps=150, effects=(0.0,))
    quick = chances_of(design())
    assert row.confirm.value == pytest.approx(quick.confirmed, abs=0.13)


def test_it_takes_a_tenth_of_a_second():
    chances_of.cache_clear()
    started = time.process_time()
    chances_of(design())
    assert time.process_time() - started < 0.2
