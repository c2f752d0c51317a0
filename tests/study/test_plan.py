from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bios_sweep.claims import REPEAT
from bios_sweep.errors import PlanError
from bios_sweep.settings import TrainingSettings, setting_names
from bios_sweep.study.arms import combine
from bios_sweep.study.design import Budget, DecisionRule, Origin, Study
from bios_sweep.study.factors import Cross, Factor, Nuisance
from bios_sweep.study.plan import build_plan
from bios_sweep.study.stages import (
    FRESH_SEED_START,
    confirmation_seeds,
    confirmation_trials,
    most_confirmation_trials,
)
from bios_sweep.study.trials import TrialSpec, trial_key
from bios_sweep.vocabulary import Stage
from tests.scenarios import PLANTED as SCENARIO

BASELINE = TrainingSettings(learning_rate=1e-3, batch_size=128, lora_rank=32, max_steps=1000)
RATE = Factor(name="learning_rate", multiply=(0.5, 2))
RANK = Factor(name="lora_rank", values=(8, 128))
BATCH = Factor(name="batch_size", values=(48, 256))


def study(*factors, seeds=(0, 1, 2), **changes):
    known = {
        "name": "demo",
        "question": "Is the default right?",
        "scenario": SCENARIO,
        "baseline": BASELINE,
        "factors": factors or (RATE,),
        "seeds": seeds,
        "decision": DecisionRule(looks=(len(seeds),)),
    }
    return Study(**{**known, **changes})


def plan_of(*factors, **changes):
    return build_plan(study(*factors, **changes))


# arms


def test_the_baseline_comes_first_and_every_variation_changes_one_thing():
    plan = plan_of(RATE, RANK)
    names = ["baseline", "learning_rate x0.5", "learning_rate x2", "lora_rank=8", "lora_rank=128"]
    assert [arm.name for arm in plan.arms] == names
    assert plan.baseline.settings == BASELINE
    assert [dict(arm.changes) for arm in plan.arms] == [
        {},
        {"learning_rate": 0.5e-3},
        {"learning_rate": 2e-3},
        {"lora_rank": 8},
        {"lora_rank": 128},
    ]
    assert [arm.level for arm in plan.arms_of("lora_rank")] == [8, 128]
    assert plan.arm("lora_rank=8").label == "8"


def test_every_arm_runs_at_every_seed_and_seeds_come_first_so_that_blocks_are_whole():
    plan = plan_of(RATE, RANK, seeds=(4, 2))
    names = [arm.name for arm in plan.arms]
    assert [(trial.seed, trial.arm) for trial in plan.trials] == [(s, n) for s in (4, 2) for n in names]
    assert {trial.stage for trial in plan.trials} == {Stage.SCREENING}
    assert len({trial.key for trial in plan.trials}) == len(plan.trials) == 10


def test_equal_arms_merge_into_the_first_with_a_note():
    plan = plan_of(Factor(name="learning_rate", multiply=(1, 2)), Factor(name="lora_rank", values=(32, 8, 8)))
    assert [arm.name for arm in plan.arms] == ["baseline", "learning_rate x2", "lora_rank=8"]
    assert plan.notes == (
        "learning_rate x1 is the same as baseline and runs once",
        "lora_rank=32 is the same as baseline and runs once",
        "lora_rank=8 is the same as lora_rank=8 and runs once",
    )
    assert plan.baseline.notes == plan.notes[:2]


def test_no_variation_left_after_merging_is_refused():
    message = (
        "sweep demo: no variation is left beside the baseline; give at least one level that differs from it"
    )
    for factors in ((Factor(name="lora_rank", values=(32,)), Factor(name="learning_rate", multiply=(1,))),):
        with pytest.raises(PlanError) as caught:
            plan_of(*factors)
        assert str(caught.value) == message
    with pytest.raises(PlanError, match="no variation is left"):
        build_plan(replace(study(), factors=()))


def test_two_levels_with_one_name_are_refused():
    factor = Factor(name="learning_rate", values=(2e-3, 2.0000001e-3))
    with pytest.raises(PlanError) as caught:
        plan_of(factor)
    assert str(caught.value) == (
        "factor learning_rate: two levels are both called 0.002; give them further apart"
    )


def test_a_repeat_is_the_same_settings_run_again():
    plan = plan_of(Factor(name=REPEAT, values=(1, 2)))
    first, second = plan.arms_of(REPEAT)
    assert first.settings == second.settings == BASELINE
    assert (first.name, first.repeat, dict(first.changes)) == ("repeat=1", 1, {"repeat": 1})
    assert len({trial.key for trial in plan.trials}) == 9


@pytest.mark.parametrize("value", [0, -1, 1.5, "twin", True])
def test_a_repeat_is_a_whole_number_from_1_on(value):
    with pytest.raises(PlanError) as caught:
        plan_of(Factor(name=REPEAT, values=(value,)))
    assert str(caught.value) == f"factor repeat: {value!r} is not allowed; whole numbers from 1 on"


def test_short_arms_are_flagged():
    plan = plan_of(Factor(name="max_steps", values=(99, 100)))
    assert plan.arm("max_steps=99").notes == ("99 steps are under 100",)
    assert plan.arm("max_steps=100").notes == ()


# what is held equal


def test_held_examples_change_the_steps_with_the_batch_size_and_round_up():
    plan = plan_of(BATCH)
    assert plan.baseline.examples() == 128_000
    small, large = plan.arms_of("batch_size")
    assert small.settings.max_steps == math.ceil(128_000 / 48) == 2667
    assert large.settings.max_steps == 500
    assert dict(small.changes) == {"batch_size": 48, "max_steps": 2667}


@given(batch=st.integers(1, 4096), steps=st.integers(1, 2000), size=st.integers(1, 512))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_no_arm_sees_fewer_examples_than_the_baseline_nor_a_batch_more(batch, steps, size):
    baseline = replace(BASELINE, batch_size=size, max_steps=steps)
    factor = Factor(name="batch_size", values=(batch, size + 1))
    for arm in plan_of(factor, baseline=baseline).arms_of("batch_size"):
        assert 0 <= arm.examples() - steps * size < arm.settings.batch_size


def test_held_steps_leave_the_steps():
    plan = plan_of(BATCH, budget=Budget(hold="steps"))
    assert {arm.settings.max_steps for arm in plan.arms if arm.duration is None} == {1000}


def test_the_default_trains_longer_and_shorter_where_a_batch_size_claims_to_be_the_balance():
    both = plan_of(Factor(name="batch_size", multiply=(0.25, 0.5, 2)))
    assert dict(both.durations) == {
        0.5: "max_steps x0.5",
        1.0: "baseline",
        2.0: "max_steps x2",
        4.0: "max_steps x4",
    }
    assert [arm.settings.max_steps for arm in both.arms if arm.duration] == [500, 2000, 4000]
    larger = plan_of(Factor(name="batch_size", multiply=(2,)), Factor(name="max_steps", multiply=(0.5,)))
    assert dict(larger.durations) == {0.5: "max_steps x0.5", 1.0: "baseline"}
    assert len(larger.arms) == 3
    assert not plan_of(Factor(name="batch_size", multiply=(2,), claims=("speed",))).durations


def test_the_ladder_of_a_nuisance_runs_at_every_level_and_at_the_default():
    ladder = Nuisance(multiply=(0.5, 1, 2))
    plan = plan_of(Factor(name="batch_size", multiply=(2,), nuisance=ladder, claims=("optimum",)))
    batch = 2 * BASELINE.batch_size
    assert plan.ladders["batch_size"] == {
        BASELINE.batch_size: ("baseline", "learning_rate x0.5", "learning_rate x2"),
        batch: ("batch_size x2", "batch_size x2, learning_rate x0.5", "batch_size x2, learning_rate x2"),
    }
    assert [factor.name for factor in plan.factors] == ["batch_size", "learning_rate"]
    assert [arm.name for arm in plan.levels_of("batch_size")] == ["batch_size x2"]
    assert len(plan.arms) == 6


def test_a_scaled_nuisance_runs_its_multiples_at_the_default_too():
    nuisance = Nuisance(scale="sqrt")
    plan = plan_of(
        Factor(name="batch_size", multiply=(0.25, 4), nuisance=nuisance, claims=("optimum",)),
        Factor(name="learning_rate", multiply=(0.5, 4)),
    )
    assert plan.ladders["batch_size"][BASELINE.batch_size] == (
        "baseline",
        "learning_rate x0.5",
        "learning_rate x2",
    )
    assert len(plan.arms) == 1 + 4 + 3


def test_steps_as_the_question_are_not_held():
    assert plan_of(Factor(name="max_steps", multiply=(2,))).arms[1].settings.max_steps == 2000


def test_more_trials_than_the_budget_allows_are_refused():
    with pytest.raises(PlanError) as caught:
        plan_of(RATE, budget=Budget(max_trials=18))
    assert str(caught.value) == (
        "the plan has 9 trials (3 arms x 3 seeds) and up to 10 more to confirm candidates, "
        "but budget.max_trials is 18; drop levels or seeds, or raise it"
    )
    assert len(plan_of(RATE, budget=Budget(max_trials=19)).trials) == 9
    alone = DecisionRule(looks=(3,), confirmation_seeds=0)
    assert len(plan_of(RATE, decision=alone, budget=Budget(max_trials=9)).trials) == 9
    with pytest.raises(PlanError, match=r"9 trials \(3 arms x 3 seeds\), but budget\.max_trials is 8"):
        plan_of(RATE, decision=alone, budget=Budget(max_trials=8))


def test_confirmation_never_needs_more_trials_than_the_plan_allowed_for():
    plan = plan_of(RATE, RANK)
    candidates = [plan.arms_of("learning_rate")[0], plan.arms_of("lora_rank")[0]]
    arms = [plan.baseline, *candidates, combine(plan.study, candidates)]
    assert len(confirmation_trials(plan.study, arms)) == most_confirmation_trials(plan.study)


# identity


def test_a_key_depends_on_everything_that_decides_the_outcome():
    base = trial_key(BASELINE, 0, 0, SCENARIO)
    other = {
        "learning_rate": 2e-3,
        "lora_alpha": 16.0,
        "max_length": 256,
        "dtype": "bfloat16",
        "schedule": "cosine",
        "decay_fraction": 0.4,
        "method": "dora",
        "alpha_rule": "rank",
        "targets": "attention",
        "init": "gaussian",
        "embeddings": True,
        "dpo_length_normalised": True,
    }
    for name in setting_names():
        value = other.get(name)
        if value is None:
            start = 7 if getattr(BASELINE, name) is None else getattr(BASELINE, name)
            value = start + 1 if isinstance(start, int) else start / 2 + 0.01
        start = replace(BASELINE, schedule="wsd") if name == "decay_fraction" else BASELINE
        other_key = trial_key(replace(start, **{name: value}), 0, 0, SCENARIO)
        assert other_key not in (base, trial_key(start, 0, 0, SCENARIO)), name
    assert trial_key(BASELINE, 1, 0, SCENARIO) != base
    assert trial_key(BASELINE, 0, 1, SCENARIO) != base
    for changed in (
        replace(SCENARIO, model=replace(SCENARIO.model, fingerprint="other")),
        replace(SCENARIO, data=replace(SCENARIO.data, fingerprint="other")),
        replace(SCENARIO, data=replace(SCENARIO.data, evaluation_fingerprint="other")),
        replace(SCENARIO, engine_version="2"),
        replace(SCENARIO, engine="bios_sweep.engines.training.engine:LoraEngine"),
        replace(SCENARIO, software={"torch": "2.14.0"}),
    ):
        assert trial_key(BASELINE, 0, 0, changed) != base


def test_a_key_knows_no_names_no_paths_and_no_way_of_running():
    base = trial_key(BASELINE, 0, 0, SCENARIO)
    model = replace(SCENARIO.model, name="other", path="/elsewhere", family="x", hidden_size=1, parameters=9)
    data = replace(
        SCENARIO.data, name="other", file="/elsewhere", source="x", eval_tokens=1, train_examples=1
    )
    for same in (
        replace(SCENARIO, model=model),
        replace(SCENARIO, data=data),
        replace(SCENARIO, engine_options={"threads": 8, "device": "cuda"}),
    ):
        assert trial_key(BASELINE, 0, 0, same) == base
    renamed = plan_of(RATE, name="other", question="?", origins={"learning_rate": Origin(rule="x")})
    assert [t.key for t in renamed.trials] == [t.key for t in plan_of(RATE).trials]
    levels = plan_of(Factor(name="learning_rate", values=(0.5e-3, 2e-3)))
    assert [t.key for t in levels.trials] == [t.key for t in plan_of(RATE).trials]


def test_a_number_has_one_key_however_it_is_written():
    whole, decimal = replace(BASELINE, lora_alpha=16), replace(BASELINE, lora_alpha=16.0)
    assert trial_key(whole, 0, 0, SCENARIO) == trial_key(decimal, 0, 0, SCENARIO)


def test_sweeps_share_the_trials_they_have_in_common():
    narrow = {t.key for t in plan_of(RATE).trials}
    wide = {t.key for t in plan_of(RANK, RATE, seeds=(0, 1, 2, 3)).trials}
    assert narrow < wide


def test_the_plan_hash_holds_trials_and_rule_and_nothing_else():
    base = plan_of(RATE)
    assert base.sweep_id == f"demo-{base.hash}"
    assert plan_of(RATE, question="?", budget=Budget(max_trials=50)).hash == base.hash
    for changed in (
        plan_of(RATE, RANK),
        plan_of(RATE, seeds=(0, 1, 3)),
        plan_of(RATE, decision=DecisionRule(looks=(3,), margin_percent=2.0)),
        plan_of(RATE, decision=DecisionRule(looks=(2, 3))),
        plan_of(RATE, decision=DecisionRule(looks=(3,), confirmation_seeds=4)),
        plan_of(RATE, budget=Budget(hold="steps")),
    ):
        assert changed.hash != base.hash


def test_a_trial_survives_its_plain_form():
    for trial in plan_of(RATE, RANK).trials:
        assert TrialSpec.from_dict(trial.to_dict()) == trial


# confirmation and combination


@pytest.mark.parametrize("seeds", [(0, 1, 2), (FRESH_SEED_START, 5, FRESH_SEED_START + 2)])
def test_confirmation_seeds_are_fresh_and_the_same_for_every_candidate(seeds):
    asked = study(RATE, RANK, seeds=seeds)
    plan = build_plan(asked)
    fresh = confirmation_seeds(asked)
    assert len(set(fresh)) == 5
    assert not set(fresh) & set(seeds)
    arms = (plan.baseline, plan.arm("lora_rank=8"), plan.arm("learning_rate x2"))
    trials = confirmation_trials(asked, arms)
    assert [(t.seed, t.arm) for t in trials] == [(s, a.name) for s in fresh for a in arms]
    assert {t.stage for t in trials} == {Stage.CONFIRMATION}
    assert not {t.key for t in trials} & {t.key for t in plan.trials}


def test_a_combination_takes_every_candidates_value_and_holds_the_examples():
    plan = plan_of(RATE, RANK, BATCH)
    both = combine(
        plan.study, [plan.arm("learning_rate x2"), plan.arm("lora_rank=8"), plan.arm("batch_size=256")]
    )
    assert both.name == "combination learning_rate x2, lora_rank=8, batch_size=256"
    assert dict(both.changes) == {
        "learning_rate": 2e-3,
        "batch_size": 256,
        "lora_rank": 8,
        "max_steps": 500,
    }
    assert both.examples() == plan.baseline.examples()


def test_a_combination_with_steps_keeps_the_steps_that_were_asked():
    plan = plan_of(BATCH, Factor(name="max_steps", multiply=(2,)))
    both = combine(plan.study, [plan.arm("batch_size=256"), plan.arm("max_steps x2")])
    assert (both.settings.batch_size, both.settings.max_steps) == (256, 2000)


def test_a_crossed_study_asks_everything_again_in_every_cell():
    cross = (Cross(setting="lora_rank", values=(8, BASELINE.lora_rank)),)
    plan = plan_of(Factor(name="learning_rate", multiply=(0.5, 2)), cross=cross)
    assert [cell.cell for cell in plan.cells] == [f"lora_rank={BASELINE.lora_rank}", "lora_rank=8"]
    assert [arm.name for arm in plan.arms] == [
        "baseline",
        "learning_rate x0.5",
        "learning_rate x2",
        "baseline @ lora_rank=8",
        "learning_rate x0.5 @ lora_rank=8",
        "learning_rate x2 @ lora_rank=8",
    ]
    assert {arm.settings.lora_rank for arm in plan.cells[1].arms} == {8}
    assert len({trial.key for trial in plan.trials}) == len(plan.trials) == 6 * len(plan.study.seeds)
    assert Study.from_dict(json.loads(json.dumps(plan.study.to_dict()))) == plan.study


def test_a_data_size_is_a_moderator_and_no_larger_than_the_data():
    cross = (Cross(setting="train_examples", values=(100, 200)),)
    plan = plan_of(Factor(name="lora_rank", values=(8,)), cross=cross)
    assert [arm.settings.train_examples for arm in plan.arms] == [100, 100, 200, 200]
    with pytest.raises(PlanError, match="train_examples: 999999999 is more than the"):
        plan_of(Factor(name="lora_rank", values=(8,)), cross=(replace(cross[0], values=(100, 999_999_999)),))


def test_a_moderator_that_is_a_factor_too_is_refused():
    with pytest.raises(PlanError, match="cross learning_rate: it is also a factor; drop it from one of them"):
        plan_of(RATE, cross=(Cross(setting="learning_rate", values=(1e-4, 1e-3)),))
