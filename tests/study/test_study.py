from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace

import pytest

from bios_sweep.claims import REPEAT
from bios_sweep.errors import ConfigError, PlanError
from bios_sweep.method import Method
from bios_sweep.settings import LORA_SETTINGS, TrainingSettings
from bios_sweep.study.design import Budget, DecisionRule, Origin, Study
from bios_sweep.study.factors import Factor, Nuisance, natural_ends
from bios_sweep.study.plan import build_plan
from bios_sweep.study.scenario import DataFacts, Metric, ModelFacts, Scenario
from bios_sweep.study.trials import Measurement, TrialResult, short_hash, trial_key
from bios_sweep.vocabulary import Status
from tests.scenarios import PLANTED as SCENARIO

BASELINE = TrainingSettings(learning_rate=1e-3, batch_size=128, lora_rank=32, max_steps=1000)
RATE = Factor(name="learning_rate", multiply=(0.5, 2))


def study(*factors, seeds=(0, 1, 2), **changes):
    known = {
        "name": "demo",
        "question": "Is the default right?",
        "scenario": SCENARIO,
        "baseline": BASELINE,
        "factors": factors or (RATE,),
        "seeds": seeds,
        "decision": DecisionRule(looks=(len(seeds),) if seeds else (3,)),
    }
    return Study(**{**known, **changes})


def refused(message, make, *arguments, kind=PlanError, **values):
    with pytest.raises(kind) as caught:
        make(*arguments, **values)
    assert str(caught.value) == message
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


# settings


@pytest.mark.parametrize("value", [0, -1e-3, math.nan, math.inf, "fast", True, None])
def test_a_learning_rate_is_a_finite_number_above_0(value):
    message = f"learning_rate: {value!r} is not allowed; it must be a finite number above 0"
    values = {**BASELINE.to_dict(), "learning_rate": value}
    refused(message, TrainingSettings.from_dict, values, kind=ConfigError)


@pytest.mark.parametrize("name", ["batch_size", "lora_rank", "max_steps", "max_length"])
@pytest.mark.parametrize("value", [0, -8, 2.5, "8", True, math.nan])
def test_counts_are_whole_numbers_of_at_least_1(name, value):
    message = f"{name}: {value!r} is not allowed; it must be a whole number of at least 1"
    refused(message, TrainingSettings.from_dict, {**BASELINE.to_dict(), name: value}, kind=ConfigError)


def test_the_same_refusals_meet_a_level():
    for factor, message in [
        (Factor(name="lora_rank", values=(0,)), "lora_rank: 0 is not allowed"),
        (Factor(name="batch_size", values=(0,)), "batch_size: 0 is not allowed"),
        (Factor(name="max_steps", values=(0,)), "max_steps: 0 is not allowed"),
        (Factor(name="learning_rate", values=("fast",)), "learning_rate: 'fast' is not allowed"),
        (Factor(name="learning_rate", values=(math.nan,)), "learning_rate: nan is not allowed"),
        (Factor(name="schedule", values=("steps",)), "schedule: 'steps' is not allowed; choose from linear"),
    ]:
        with pytest.raises(ConfigError, match=message):
            build_plan(study(factor))


# factors


def test_a_factor_that_is_no_setting_names_those_that_are():
    message = (
        r"factor 'lr' is no setting \(did you mean learning_rate\?\); choose from learning_rate, batch_size"
    )
    with pytest.raises(PlanError, match=message):
        study(Factor(name="lr", values=(1,)))


def test_a_factor_has_either_multiply_or_values():
    message = "factor learning_rate: give either multiply or values, for example {multiply: [0.5, 2]}"
    refused(message, Factor, name="learning_rate")
    refused(message, Factor, name="learning_rate", multiply=(2,), values=(1e-3,))


@pytest.mark.parametrize("number", [0, -1, math.nan, math.inf, "2", True])
def test_a_multiplier_is_a_finite_number_above_0(number):
    message = f"factor learning_rate: multiply {number!r} is not a finite number above 0"
    refused(message, Factor, name="learning_rate", multiply=(number,))


def test_only_numbers_can_be_multiplied():
    refused(
        "factor schedule: 'linear' cannot be multiplied; use values",
        build_plan,
        study(Factor(name="schedule", multiply=(2,))),
    )
    refused(
        "factor repeat: it has no value to multiply; use values, for example [1]",
        Factor,
        name=REPEAT,
        multiply=(2,),
    )


def test_multiplied_counts_are_rounded_and_stay_at_least_1():
    levels = Factor(name="lora_rank", multiply=(0.001, 0.3, 2)).levels(BASELINE)
    assert levels == (("x0.001", 1), ("x0.3", 10), ("x2", 64))
    assert Factor(name="learning_rate", multiply=(0.25,)).levels(BASELINE) == (("x0.25", 0.25e-3),)


def test_labels_of_whole_numbers_are_written_in_full():
    levels = Factor(name="max_steps", values=(1_000_000, 1_000_001)).levels(BASELINE)
    assert [label for label, _ in levels] == ["1000000", "1000001"]


def names(factor, baseline=BASELINE):
    return tuple(claim.name for claim in factor.judged_claims(baseline))


def test_every_default_says_what_it_claims():
    claims = {
        name: (Factor(name=name, values=(1,)).role, *names(Factor(name=name, values=(1,))))
        for name in ("learning_rate", "batch_size", "lora_rank", "max_steps", "repeat", "weight_decay")
    }
    assert claims == {
        "learning_rate": ("optimum", "optimum"),
        "batch_size": ("trade-off", "balanced"),
        "lora_rank": ("enough", "enough"),
        "max_steps": ("enough", "enough"),
        "repeat": ("control", "identical"),
        "weight_decay": ("optimum", "optimum"),
    }


# budget, rule, seeds


@pytest.mark.parametrize(
    ("values", "claims"),
    [
        ((16,), ("balanced", "quality")),
        ((64,), ("balanced", "speed")),
        ((16, 64), ("balanced", "quality", "speed")),
        ((8, 128), ("balanced",)),
    ],
)
def test_half_the_batch_size_claims_quality_and_twice_it_speed(values, claims):
    factor = Factor(name="batch_size", values=values)
    assert names(factor, replace(BASELINE, batch_size=32)) == claims


def test_a_hundred_steps_claim_to_be_the_minimum():
    factor = Factor(name="max_steps", values=(100, 500))
    assert names(factor) == ("enough", "minimum")


def test_a_given_claim_is_judged_and_an_unknown_one_refused():
    assert names(Factor(name="batch_size", values=(1,), claims=("optimum",))) == ("optimum",)
    refused(
        "factor lora_rank: claim 'speed' is not allowed; choose from enough, optimum",
        Factor,
        name="lora_rank",
        values=(1,),
        claims=("speed",),
    )


def test_a_nuisance_is_a_ladder_or_a_scale():
    assert Nuisance(multiply=(0.5, 1, 2)).rungs(64, 32) == (1.0, 0.5, 2.0)
    assert Nuisance(scale="sqrt").rungs(128, 32) == (1.0, 2.0)
    refused(
        "nuisance learning_rate: give either multiply: [0.5, 1, 2] or scale: sqrt, not both or none", Nuisance
    )


def test_what_is_held_equal_is_examples_steps_tokens_or_epochs():
    told = "budget.hold: 'time' is not allowed; choose from examples, steps, tokens, epochs"
    refused(told, Budget, hold="time")
    refused("budget.measurements: 0 is not allowed; 1 to 10,000", Budget, measurements=0)


@pytest.mark.parametrize("looks", [(), (5, 3), (3, 3), (0,), (-1, 3)])
def test_looks_are_rising_numbers_of_seeds(looks):
    message = f"decision.looks: {list(looks)} is not allowed; rising numbers of seeds, such as [3, 5, 8]"
    refused(message, DecisionRule, looks=looks)


def test_a_first_look_of_one_seed_is_refused_and_one_seed_alone_is_not():
    with pytest.raises(PlanError, match="one seed decides nothing"):
        DecisionRule(looks=(1, 3))
    assert DecisionRule(looks=(1,)).looks == (1,)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("alpha", 0, "a number between 0 and 0.5"),
        ("alpha", 0.5, "a number between 0 and 0.5"),
        ("alpha", math.nan, "a number between 0 and 0.5"),
        ("confirmation_seeds", 1, "0 for none, else at least 2"),
        ("confirmation_seeds", -1, "0 for none, else at least 2"),
        ("margin_percent", 0, "a number above 0"),
        ("margin_percent", math.nan, "a number above 0"),
        ("margin_share", -0.1, "a number above 0"),
        ("margin_share", math.inf, "a number above 0"),
    ],
)
def test_the_decision_rule_refuses_what_it_cannot_use(name, value, allowed):
    refused(f"decision.{name}: {value!r} is not allowed; {allowed}", DecisionRule, **{name: value})


def test_seeds_are_distinct_whole_numbers_from_0_on():
    refused("seeds: 1 is given twice; a repeated seed is not a replicate", study, seeds=(0, 1, 1))
    refused("seeds: at least one is needed, for example seeds=[0,1,2]", study, seeds=())
    for seed in (-1, 0.5, "a", True):
        refused(f"seeds: {seed!r} is not allowed; whole numbers from 0 on", study, seeds=(seed,))


def test_the_last_look_is_the_number_of_seeds():
    refused("decision.looks ends at 5 seeds but there are 3", study, decision=DecisionRule(looks=(3, 5)))


# round trips


def test_a_study_survives_json_with_the_same_plan():
    original = study(
        RATE,
        Factor(name="batch_size", values=(64, 256)),
        Factor(name="schedule", values=("cosine",)),
        Factor(name=REPEAT, values=(1,)),
        origins={"learning_rate": Origin(rule="formula", confidence="published")},
        budget=Budget(hold="steps", measurements=3, max_hours=2.5),
        metric=Metric(name="eval_bits_per_byte", unit="bits per byte"),
    )
    back = Study.from_dict(json.loads(json.dumps(original.to_dict())))
    assert back == original
    assert build_plan(back) == build_plan(original)
    assert build_plan(back).hash == build_plan(original).hash


def test_a_result_survives_json_and_a_diverged_loss_comes_back_as_nan():
    curve = (Measurement(step=0, fraction=0.0, examples=0, tokens=0, eval_loss=math.nan),)
    result = TrialResult(
        key="k", status=Status.DIVERGED, curve=curve, final={"eval_loss": math.inf}, cause="nan"
    )
    back = TrialResult.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    assert math.isnan(back.final["eval_loss"])
    assert math.isnan(back.curve[0].eval_loss)
    assert (back.status, back.cause, back.finished) == (Status.DIVERGED, "nan", True)
    whole = TrialResult(key="k", status=Status.COMPLETED, final={"eval_loss": 2.0}, tokens=7)
    assert TrialResult.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    assert not TrialResult(key="k", status=Status.FAILED).finished


def test_a_hash_refuses_what_it_cannot_hash_exactly():
    with pytest.raises(ValueError, match="JSON compliant"):
        short_hash({"loss": math.nan})
    with pytest.raises(TypeError, match="not JSON serializable"):
        short_hash({"path": object()})


def test_full_fine_tuning_has_no_factor_of_an_adapter():
    full = TrainingSettings.from_dict(
        {"learning_rate": 1e-4, "batch_size": 8, "max_steps": 100, "method": "full"}
        | dict.fromkeys(LORA_SETTINGS)
    )
    for factor in (Factor(name="lora_rank", values=(8,)), Factor(name="lora_alpha", multiply=(2.0,))):
        with pytest.raises(PlanError, match=f"factor {factor.name}: it is an adapter's"):
            build_plan(study(factor, baseline=full))
    plan = build_plan(study(Factor(name="learning_rate", multiply=(0.5,)), baseline=full))
    assert {arm.settings.lora_rank for arm in plan.arms} == {None}


def test_the_key_of_a_lora_trial_is_for_ever():
    facts = {"name": "m", "fingerprint": "a"}
    scenario = Scenario(
        model=ModelFacts(path="p", family="llama", hidden_size=64, **facts),
        data=DataFacts(file="f", evaluation_fingerprint="c", train_examples=9, eval_examples=3, **facts),
        method=Method(),
        engine="x:Y",
        engine_version="1",
        engine_options={},
        software={"torch": "2"},
    )
    settings = TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=100)
    assert (
        trial_key(settings, 0, 0, scenario) == "de19ae06a59930c5"
    )  # as of the version before full fine-tuning


def test_the_ends_of_what_there_is():
    assert natural_ends("lora_rank") == (1,)
    assert natural_ends("warmup_fraction") == (0.0,)
    assert natural_ends("train_examples", 500) == (1, 500)
    assert natural_ends("train_examples", 0) == (1,)  # how many the data has is not known
    assert natural_ends("learning_rate") == natural_ends(REPEAT) == ()
