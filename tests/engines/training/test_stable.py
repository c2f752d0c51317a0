"""Arms of one stable part: trained once, with the numbers that each would have had alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.driver.stable import asked_stable, stable_notes
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.engines.training.loop import learning_rate_at
from bios_sweep.engines.training.stable import stable_of
from bios_sweep.settings import TrainingSettings, decay_steps
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.study.stable import ends_of, followers, leader_of, shared_ends, stable_part, steps_saved
from bios_sweep.study.trials import SHARED_STEPS
from tests.engines.training.test_training import model_path, options, outcome, run, spec
from tests.scenarios import RECORDED

__all__ = ["model_path", "options"]  # fixtures
WSD = TrainingSettings(learning_rate=2e-3, batch_size=12, lora_rank=4, max_steps=10, schedule="wsd")


def test_the_rate_stays_at_its_peak_until_it_falls_to_zero():
    settings = replace(WSD, warmup_fraction=0.2)
    assert settings.decay_fraction == 0.2
    rates = [learning_rate_at(settings, step) / 2e-3 for step in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 1, 1, 0.5])
    longer = replace(WSD, decay_fraction=0.5)
    assert [learning_rate_at(longer, step) / 2e-3 for step in range(5, 10)] == pytest.approx(
        [1, 0.8, 0.6, 0.4, 0.2]
    )
    assert replace(WSD, schedule="linear", decay_fraction=0.5).decay_fraction is None
    assert decay_steps(replace(WSD, decay_fraction=0.99, warmup_fraction=0.5)) == 5


def test_arms_share_what_the_longest_trains_where_their_warm_up_is_the_same():
    arms = [replace(WSD, max_steps=steps) for steps in (10, 20, 5)]
    ends = shared_ends(arms)
    assert ends == [ends_of(one) for one in arms]
    assert followers(arms[1], ends) == (arms[0], arms[2])
    assert followers(arms[0], ends) == ()
    assert shared_ends([replace(WSD, max_steps=steps, warmup_fraction=0.1) for steps in (10, 20)]) == []
    assert shared_ends([WSD, replace(WSD, learning_rate=1e-3)]) == []
    assert stable_part(replace(WSD, schedule="linear")) is None
    trials = [spec(seed, schedule="wsd", max_steps=steps) for seed in (3, 4) for steps in (10, 20, 5)]
    assert leader_of(trials[0], trials) == trials[1]
    assert leader_of(trials[1], trials) is None
    assert steps_saved(trials) == {
        one.key: {10: 8, 5: 4}[one.settings.max_steps] for one in trials if one.settings.max_steps < 20
    }
    assert steps_saved(trials[:1]) == {}


def test_a_shorter_arm_begins_where_the_longest_left_its_part_to_the_bit(options, tmp_path):
    long, short = (spec(schedule="wsd", max_steps=steps) for steps in (12, 8))
    ends = [ends_of(one.settings) for one in (long, short)]
    shared = {**options, "stable": {"ends": ends, "scenario": tmp_path.name}}
    alone = {
        name: run(LoraEngine(options), one, tmp_path / name) for name, one in (("a", long), ("b", short))
    }
    together = {
        name: run(LoraEngine(shared), one, tmp_path / f"{name}2") for name, one in (("a", long), ("b", short))
    }
    for name, result in together.items():
        assert outcome(result, tmp_path / f"{name}2") == outcome(alone[name], tmp_path / name)
    assert SHARED_STEPS not in together["a"].provenance
    assert together["b"].provenance[SHARED_STEPS] == 6
    again = run(LoraEngine(shared), short, tmp_path / "c")  # what was left is taken once
    assert SHARED_STEPS not in again.provenance
    assert outcome(again, tmp_path / "c") == outcome(alone["b"], tmp_path / "b")


def test_nothing_stays_for_an_arm_that_has_ended(options, tmp_path, monkeypatch):
    """Neither where it came too early and trained itself, nor where a longer arm is trained after it."""
    monkeypatch.setattr("bios_sweep.engines.training.stable.kept_root", lambda kind: tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    long, short = (spec(schedule="wsd", max_steps=steps) for steps in (6, 4))
    ends = [ends_of(one.settings) for one in (long, short)]

    def left():
        return sorted(path.name for path in (tmp_path / "kept").glob("*/*"))

    sharing = {**options, "stable": {"ends": ends, "scenario": "s"}}
    run(LoraEngine(sharing), long, tmp_path / "a")
    assert left() == ["4 steps, decay 0.2"]
    run(LoraEngine(sharing), short, tmp_path / "b")
    assert left() == []
    part = stable_part(short.settings)
    finished = {**sharing["stable"], "finished": [[short.seed, part, ends_of(short.settings)]]}
    run(LoraEngine({**sharing, "stable": finished}), long, tmp_path / "c")
    assert left() == []
    another = {**sharing["stable"], "finished": [[short.seed + 1, part, ends_of(short.settings)]]}
    run(LoraEngine({**sharing, "stable": another}), long, tmp_path / "d")
    assert left() == ["4 steps, decay 0.2"]


def wsd_plan(*factors):
    return build_plan(
        Study(
            name="demo",
            question="?",
            scenario=replace(RECORDED, engine=LORA_ENGINE),
            baseline=WSD,
            factors=factors,
            seeds=(0, 1),
            decision=DecisionRule(looks=(2,)),
        )
    )


def test_an_arm_without_a_decay_is_followed_by_those_that_have_one():
    none, fifth = (replace(WSD, decay_fraction=share) for share in (0.0, 0.2))
    assert followers(none, shared_ends([fifth, none])) == (fifth,)
    assert shared_ends([none, replace(none, max_steps=20)]) == []
    assert shared_ends([replace(WSD, max_steps=1, decay_fraction=0.9), none]) == []  # none of it is stable
    plan = wsd_plan(Factor(name="decay_fraction", values=(0.0,)))
    assert "16 of 40 steps are saved" in stable_notes(plan)[0]


def test_a_longest_arm_leaves_its_part_for_arms_of_its_own_rate_whatever_another_rate_has_ended(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("bios_sweep.engines.training.stable.kept_root", lambda kind: tmp_path)
    steps = Factor(name="max_steps", values=(5, 20), nuisance=None)
    rates = Factor(name="learning_rate", values=(1e-3,))
    plan = wsd_plan(steps, rates)
    other = [replace(one, settings=replace(one.settings, learning_rate=1e-3)) for one in plan.trials]
    plan = replace(plan, trials=(*plan.trials, *(replace(one, key=f"{one.key}b") for one in other)))
    ended = {one.key for one in plan.trials if one.settings.learning_rate == 1e-3}
    asked = asked_stable(plan, ended.__contains__)["stable"]
    longest = [one for one in plan.trials if one.settings.max_steps == 20]
    assert {(one.settings.learning_rate, len(stable_of(one, asked, ()).followers)) for one in longest} == {
        (2e-3, 2),
        (1e-3, 0),
    }
