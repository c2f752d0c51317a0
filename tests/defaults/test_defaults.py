"""Heuristics, recommendations and their reasons, on config.json files written by hand."""

import dataclasses
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from bios_sweep import defaults
from bios_sweep.defaults.model_config import lora_parameters_per_rank
from bios_sweep.defaults.rules import EXTRAPOLATED, MEASURED, PUBLISHED, family_of
from bios_sweep.errors import ConfigError, DefaultsError, ModelError
from bios_sweep.settings import (
    LORA_SETTINGS,
    RANGES,
    TrainingSettings,
    allowed_range,
    alpha_at,
    setting_names,
)

ROOT = Path(__file__).resolve().parents[2]

# The published values (LoRA; full fine-tuning takes a tenth), four digits.
PUBLISHED_RATES = [
    ("llama", 2048, "4.908e-04"),
    ("llama", 3072, "3.576e-04"),
    ("llama", 4096, "2.856e-04"),
    ("llama", 8192, "1.662e-04"),
    ("qwen", 2048, "4.991e-04"),
    ("qwen", 2560, "4.905e-04"),
    ("qwen", 4096, "4.730e-04"),
    ("qwen", 5120, "4.649e-04"),
]

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    """No test reads what happens to lie in the machine's own Hugging Face cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def folder(path: Path, config: dict) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return path


def cached(tmp_path: Path, name: str, revision: str, config: dict) -> Path:
    return folder(tmp_path / "hub" / f"models--{name.replace('/', '--')}" / "snapshots" / revision, config)


@pytest.mark.parametrize("family, hidden_size, published", PUBLISHED_RATES)
def test_published_learning_rates_to_four_digits_for_lora(family, hidden_size, published):
    choice = defaults.learning_rate(family=family, hidden_size=hidden_size)
    assert f"{choice.value:.3e}" == published
    assert choice.why.confidence == PUBLISHED
    assert choice.warnings == ()


@pytest.mark.parametrize("family, hidden_size, published", PUBLISHED_RATES)
def test_full_fine_tuning_takes_a_tenth(family, hidden_size, published):
    choice = defaults.learning_rate(family=family, hidden_size=hidden_size, method="full")
    assert f"{choice.value:.3e}" == f"{float(published) / 10:.3e}"


def test_llama_config_gives_every_default(tmp_path):
    got = defaults.recommend(folder(tmp_path / "model", LLAMA))
    assert f"{got.learning_rate:.3e}" == "2.856e-04"
    assert (got.batch_size, got.lora_rank, got.max_steps) == (128, 32, 1000)
    assert isinstance(got.settings, TrainingSettings)
    assert got.warnings == ()
    assert got.shape.origin == str(tmp_path / "model" / "config.json")


@pytest.mark.parametrize(
    "config, published",
    [
        ({"model_type": "qwen3", "hidden_size": 2560}, "4.905e-04"),
        (
            {
                "model_type": "qwen2_5_vl",
                "vision_config": {"hidden_size": 1280},
                "text_config": {"model_type": "qwen2_5_vl_text", "hidden_size": 2048},
            },
            "4.991e-04",
        ),
        ({"model_type": "qwen3_moe", "hidden_size": 2048, "num_experts": 128}, "4.991e-04"),
        (
            {
                "model_type": "mllama",
                "text_config": {"model_type": "mllama_text_model", "hidden_size": 4096},
            },
            "2.856e-04",
        ),
        ({"model_type": "llava", "text_config": {"model_type": "llama", "hidden_size": 4096}}, "2.856e-04"),
    ],
)
def test_nested_and_expert_configs_use_the_text_model(tmp_path, config, published):
    got = defaults.recommend(folder(tmp_path / "model", config))
    assert f"{got.learning_rate:.3e}" == published
    assert got.why["learning_rate"].confidence == PUBLISHED


def test_a_hub_id_is_read_from_the_local_cache_at_its_main_revision(tmp_path):
    old = cached(tmp_path, "org/some-model", "aaaa", LLAMA | {"hidden_size": 3072})
    cached(tmp_path, "org/some-model", "bbbb", LLAMA)
    reference = old.parent.parent / "refs" / "main"
    reference.parent.mkdir()
    reference.write_text("aaaa\n", encoding="utf-8")
    assert f"{defaults.recommend('org/some-model').learning_rate:.3e}" == "3.576e-04"


def test_a_hub_id_without_a_main_revision_takes_the_newest_snapshot(tmp_path):
    old = cached(tmp_path, "org/some-model", "zzzz", LLAMA | {"hidden_size": 3072})
    cached(tmp_path, "org/some-model", "aaaa", LLAMA)
    os.utime(old / "config.json", (1, 1))
    assert defaults.recommend("org/some-model").shape.hidden_size == 4096


def test_a_well_known_id_needs_neither_cache_nor_network():
    assert f"{defaults.recommend('meta-llama/Llama-3.1-8B-Instruct').learning_rate:.3e}" == "2.856e-04"
    assert defaults.recommend("Qwen/Qwen3-4B-Base").shape.hidden_size == 2560


def test_an_id_cannot_lead_out_of_the_cache(tmp_path):
    folder(tmp_path / "secret", LLAMA)
    for name in ("../secret", "org/../../secret", "org/..", "/org", "a/b/c"):
        with pytest.raises(ModelError, match="was not found"):
            defaults.model_shape(name)


def test_a_missing_model_names_every_place_searched(tmp_path):
    with pytest.raises(ModelError) as caught:
        defaults.recommend("org/nowhere")
    for place in ("no such folder", str(tmp_path / "hub"), "well-known", "family and hidden_size"):
        assert place in str(caught.value)


def test_explicit_facts_need_no_model_and_win_over_one(tmp_path):
    alone = defaults.recommend(family="Llama", hidden_size=4096)
    beside = defaults.recommend("org/nowhere", family="llama", hidden_size=4096)
    assert alone == beside
    model = folder(tmp_path / "model", LLAMA)
    assert defaults.recommend(model, hidden_size=3072).shape.hidden_size == 3072
    assert defaults.recommend(model, family="qwen").shape.family == "qwen"


@pytest.mark.parametrize("facts", [{}, {"family": "llama"}, {"hidden_size": 4096}])
def test_half_of_the_facts_are_refused(facts):
    with pytest.raises(DefaultsError, match="needs a model"):
        defaults.recommend(**facts)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "is not JSON"),
        ("[]", "holds list"),
        ('{"hidden_size": 64}', "model_type is None"),
        ('{"model_type": " ", "hidden_size": 64}', "model_type is ' '"),
        ('{"model_type": "llama"}', "hidden_size is None"),
        ('{"model_type": "llama", "hidden_size": 0}', "hidden_size is 0"),
        ('{"model_type": "llama", "hidden_size": true}', "hidden_size is True"),
        ('{"model_type": "llama", "hidden_size": "64"}', "hidden_size is '64'"),
    ],
)
def test_an_unusable_config_is_refused_with_its_path(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        defaults.recommend(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "config.json") in str(caught.value)


def test_a_folder_without_config_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"a model folder needs its config\.json"):
        defaults.recommend(tmp_path)


@pytest.mark.parametrize("family, hidden_size", [("llama", 128), ("llama", 16384), ("qwen", 896)])
def test_a_size_outside_the_published_ones_says_so(family, hidden_size):
    got = defaults.recommend(family=family, hidden_size=hidden_size)
    why = got.why["learning_rate"]
    assert why.confidence == EXTRAPOLATED
    assert f"hidden size {hidden_size} is outside 2048-" in why.evidence
    assert len(got.warnings) == 1
    assert "extrapolated" in got.warnings[0]


def test_an_unknown_family_is_never_a_silent_guess():
    got = defaults.recommend(family="gemma3", hidden_size=2560)
    why = got.why["learning_rate"]
    assert why.confidence == EXTRAPOLATED
    assert "chosen, not measured" in why.evidence
    assert "no exponent is published for family 'gemma3'" in got.warnings[0]
    assert math.isclose(got.learning_rate, 5e-4 * (2000 / 2560) ** 0.0775)


@pytest.mark.parametrize(
    "model_type, family",
    [
        ("llama", "llama"),
        ("LLaMA", "llama"),
        ("llama4_text", "llama"),
        ("qwen2_moe", "qwen"),
        ("qwen3_vl_text", "qwen"),
        ("gemma2", "gemma2"),
        ("llamafoo", "llamafoo"),
        ("notqwen", "notqwen"),
    ],
)
def test_families_are_told_by_model_type(model_type, family):
    assert family_of(model_type) == family


@pytest.mark.parametrize(
    "facts, message",
    [
        ({"hidden_size": 0}, "hidden_size: 0"),
        ({"hidden_size": 64.0}, "hidden_size: 64.0"),
        ({"family": ""}, "family: an empty name"),
        ({"goal": "fast"}, "goal: 'fast' is not allowed; choose from quality, balanced, speed"),
        ({"examples": 0}, "examples: 0"),
        ({"tokens": -1}, "tokens: -1"),
        ({"method": "ia3"}, "method: 'ia3' is not allowed; choose from lora, dora, qlora, full"),
    ],
)
def test_facts_out_of_range_are_refused(facts, message):
    with pytest.raises(DefaultsError) as caught:
        defaults.recommend(**({"family": "llama", "hidden_size": 4096} | facts))
    assert message in str(caught.value)


@pytest.mark.parametrize("goal, batch", [("quality", 64), ("balanced", 128), ("speed", 256)])
def test_batch_size_follows_the_goal(goal, batch):
    assert defaults.recommend(family="llama", hidden_size=4096, goal=goal).batch_size == batch


@pytest.mark.parametrize(
    "examples, steps",
    [(None, 1000), (1, 100), (4266, 100), (4267, 101), (10_000, 235), (42_666, 1000), (10**7, 1000)],
)
def test_steps_are_three_epochs_between_the_minimum_and_the_recommendation(examples, steps):
    got = defaults.recommend(family="llama", hidden_size=4096, examples=examples)
    assert got.max_steps == steps
    assert got.why["max_steps"].confidence == (PUBLISHED if examples is None else EXTRAPOLATED)


def test_many_epochs_of_small_data_are_warned_of():
    got = defaults.recommend(family="llama", hidden_size=4096, examples=500)
    assert got.warnings == ("max_steps: 100 steps are 25.6 epochs of 500 examples; watch for overfitting",)


def test_steps_that_see_a_part_of_large_data_are_warned_of():
    got = defaults.recommend(family="llama", hidden_size=4096, examples=10**7)
    assert got.max_steps == 1000
    (told,) = got.warnings
    assert told.startswith(
        "max_steps: 1000 steps are 0.0128 epochs of 10000000 examples, so not all are seen"
    )


@pytest.mark.parametrize("key", ["text_config", "llm_config", "language_config"])
def test_the_text_model_inside_another_is_what_counts(tmp_path, key):
    outer = {"model_type": "vision", "hidden_size": 1280, key: {"model_type": "qwen2", "hidden_size": 4096}}
    got = defaults.recommend(folder(tmp_path / "model", outer))
    assert (got.shape.family, got.shape.hidden_size) == ("qwen", 4096)


def test_a_well_known_model_grows_its_rank_with_the_tokens_without_its_config(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    got = defaults.recommend("meta-llama/Llama-3.1-8B", tokens=33 * lora_parameters_per_rank(LLAMA))
    assert (got.lora_rank, got.warnings) == (64, ())


@pytest.mark.parametrize("facts", [{"model": "Qwen/Qwen3-30B-A3B"}, {"family": "llama", "hidden_size": 4096}])
def test_tokens_that_cannot_be_compared_with_an_adapter_are_warned_of(facts, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    told = defaults.recommend(**facts, tokens=10**9).warnings
    assert any(one.startswith("lora_rank: not checked against 1000000000 completion tokens") for one in told)
    assert not any(one.startswith("lora_rank") for one in defaults.recommend(**facts).warnings)


@pytest.mark.parametrize(
    "name, near",
    [
        ("somebody/llama-3.2-1b", " (the nearest is meta-llama/Llama-3.2-1B)"),
        ("nobody/zz", "well-known models, and the hub"),
    ],
)
def test_a_model_that_is_not_found_names_the_nearest_known_one(name, near, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as refusal:
        defaults.recommend(name)
    assert near in str(refusal.value)


def test_lora_parameters_are_counted_from_the_config():
    # Llama 3.1 8B, per layer and rank: q 8192, k and v 5120 each, o 8192, three MLP matrices 18432 each.
    assert lora_parameters_per_rank(LLAMA) == 32 * (8192 + 2 * 5120 + 8192 + 3 * 18432)
    assert lora_parameters_per_rank(LLAMA | {"num_local_experts": 8}) is None
    assert lora_parameters_per_rank({"hidden_size": 64}) is None
    assert lora_parameters_per_rank(LLAMA | {"model_type": "phi3"}) is None  # its layers are fused


@pytest.mark.parametrize(
    "name, hidden, confidence",
    [
        ("google/gemma-3-4b-it", 2560, "extrapolated"),
        ("microsoft/Phi-4-mini-instruct", 3072, "extrapolated"),
        ("openai/gpt-oss-20b", 2880, "extrapolated"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 3584, "published"),
        ("mistralai/Mistral-Small-24B-Instruct-2501", 5120, "extrapolated"),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 5120, "published"),
        ("allenai/OLMo-2-1124-7B-SFT", 4096, "extrapolated"),
        ("ibm-granite/granite-3.3-8b-instruct", 4096, "extrapolated"),
        ("HuggingFaceTB/SmolLM3-3B", 2048, "extrapolated"),
        ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", 4096, "published"),
        ("unsloth/llama-3-8b-bnb-4bit", 4096, "published"),
        ("unsloth/Phi-4", 5120, "extrapolated"),
    ],
)
def test_the_models_most_fine_tuned_are_known_and_say_how_sure_their_rate_is(
    name, hidden, confidence, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    got = defaults.recommend(name)
    assert (got.shape.hidden_size, got.shape.origin) == (hidden, "known_models.json")
    assert got.why["learning_rate"].confidence == confidence


@pytest.mark.parametrize("enough, rank", [(1, 32), (32, 32), (33, 64), (64, 64), (65, 128), (128, 128)])
def test_the_rank_grows_until_lora_parameters_reach_the_tokens(tmp_path, enough, rank):
    model = folder(tmp_path / "model", LLAMA)
    tokens = enough * lora_parameters_per_rank(LLAMA)
    got = defaults.recommend(model, tokens=tokens)
    assert got.lora_rank == rank
    assert got.warnings == ()
    assert f"for {tokens} completion tokens" in got.why["lora_rank"].evidence


def test_more_tokens_than_the_largest_rank_has_parameters_are_warned_of(tmp_path):
    model = folder(tmp_path / "model", LLAMA)
    got = defaults.recommend(model, tokens=128 * lora_parameters_per_rank(LLAMA) + 1)
    assert got.lora_rank == 128
    assert "rank 129 would reach them" in got.warnings[0]


def test_tokens_of_a_model_whose_adapter_cannot_be_counted_leave_the_rank(tmp_path):
    experts = folder(tmp_path / "model", LLAMA | {"num_local_experts": 8})
    got = defaults.recommend(experts, tokens=10**12)
    assert got.lora_rank == 32
    assert "not checked" in got.why["lora_rank"].evidence


def test_preference_training_takes_a_lower_rate_and_rank():
    usual = defaults.recommend(family="llama", hidden_size=4096)
    got = defaults.recommend(family="llama", hidden_size=4096, objective="preference")
    assert (got.learning_rate, got.lora_rank, got.preference_beta) == (1e-5, 16, 0.1)
    assert got.learning_rate < usual.learning_rate
    assert got.lora_rank < usual.lora_rank
    assert usual.preference_beta is None
    assert "tinker-cookbook" in got.why["learning_rate"].source
    with pytest.raises(DefaultsError, match="choose from supervised, preference"):
        defaults.recommend(family="llama", hidden_size=4096, objective="dpo")


@pytest.mark.parametrize(
    "config, lora, full",
    [
        ({"model_type": "llama", "hidden_size": 4096}, "2.856e-04", "2.856e-05"),
        ({"model_type": "qwen3", "hidden_size": 2560}, "4.905e-04", "4.905e-05"),
        ({"model_type": "qwen3_vl", "text_config": {"hidden_size": 4096}}, "4.730e-04", "4.730e-05"),
        ({"model_type": "qwen3_moe", "hidden_size": 2048, "num_experts": 128}, "4.991e-04", "4.991e-05"),
    ],
)
def test_hub_style_configs_give_the_published_rates_for_lora_and_full(tmp_path, config, lora, full):
    model = folder(tmp_path / "model", config)
    for method, published in (("lora", lora), ("full", full)):
        got = defaults.recommend(model, method=method)
        assert (f"{got.learning_rate:.3e}", got.settings.method) == (published, method)
        assert got.why["learning_rate"].confidence == PUBLISHED
        assert got.warnings == ()


def test_full_fine_tuning_has_no_adapter_and_says_so():
    got = defaults.recommend(family="llama", hidden_size=4096, method="full", tokens=10**9)
    usual = defaults.recommend(family="llama", hidden_size=4096)
    for name in LORA_SETTINGS:
        assert getattr(got.settings, name) is None
        assert got.why[name].rule == "does not apply to full fine-tuning"
    assert got.lora_rank is None
    assert (got.batch_size, got.max_steps) == (usual.batch_size, usual.max_steps)
    plain = json.loads(json.dumps(got.to_dict()))
    assert (plain["method"], plain["lora_rank"]) == ("full", None)
    assert TrainingSettings.from_dict(got.settings.to_dict()) == got.settings
    assert defaults.explain(got, ["lora_rank"])[0]["default"] is None


def test_preference_training_in_full_is_an_extrapolation_and_says_so():
    got = defaults.recommend(family="llama", hidden_size=4096, method="full", objective="preference")
    assert (got.learning_rate, got.lora_rank) == (1e-6, None)
    assert got.why["learning_rate"].confidence == EXTRAPOLATED
    assert "published for LoRA alone" in got.warnings[0]


@pytest.mark.parametrize(
    "values, message",
    [
        ({"lora_rank": None}, "lora_rank: None is not allowed; it must be a whole number of at least 1"),
        ({"lora_rank": 8, "method": "full"}, "lora_rank: 8 is not allowed; it is an adapter's"),
        ({"lora_rank": None, "method": "full"}, "lora_alpha: 32.0 is not allowed; it is an adapter's"),
        ({"lora_rank": 8, "lora_dropout": 1.0}, "it must be a number from 0 up to, not including, 1"),
        ({"lora_rank": 8, "weight_decay": math.nan}, "it must be a finite number of at least 0"),
        ({"lora_rank": 8, "train_examples": 0}, "train_examples: 0 is not allowed"),
    ],
)
def test_an_adapters_settings_go_with_an_adapter(values, message):
    with pytest.raises(ConfigError) as caught:
        TrainingSettings(learning_rate=1e-4, batch_size=8, max_steps=10, **values)
    assert message in str(caught.value)


TABLE = [  # method, objective, alpha rule: rate, alpha at the default rank, is the rate published
    ("lora", "supervised", "constant", 2.856e-4, 32, True),
    ("lora", "supervised", "rank", 2.856e-4, 32, True),
    ("lora", "supervised", "sqrt_rank", 2.856e-4, 32, True),
    ("dora", "supervised", "constant", 2.856e-4, 32, False),
    ("dora", "supervised", "rank", 2.856e-4, 32, False),
    ("dora", "supervised", "sqrt_rank", 2.856e-4, 32, False),
    ("qlora", "supervised", "constant", 2.856e-4, 32, False),
    ("qlora", "supervised", "rank", 2.856e-4, 32, False),
    ("qlora", "supervised", "sqrt_rank", 2.856e-4, 32, False),
    ("full", "supervised", "constant", 2.856e-5, None, True),
    ("lora", "preference", "constant", 1e-5, 32, True),
    ("lora", "preference", "rank", 1e-5, 16, False),
    ("lora", "preference", "sqrt_rank", 1e-5, 32 / 2**0.5, False),
    ("dora", "preference", "constant", 1e-5, 32, False),
    ("qlora", "preference", "constant", 1e-5, 32, False),
    ("full", "preference", "constant", 1e-6, None, False),
]


@pytest.mark.parametrize("method, objective, rule, rate, alpha, published", TABLE)
def test_every_method_and_alpha_rule_has_a_default_with_source_and_confidence(
    method, objective, rule, rate, alpha, published
):
    found = defaults.recommend(
        family="llama", hidden_size=4096, method=method, objective=objective, alpha_rule=rule
    )
    assert found.learning_rate == pytest.approx(rate, rel=1e-3)
    assert alpha_at(found.settings) == (alpha if alpha is None else pytest.approx(alpha))
    why = found.why["learning_rate"]
    assert why.source.startswith("tinker-cookbook")
    assert why.confidence == (PUBLISHED if published else EXTRAPOLATED)
    assert any(text.startswith("learning_rate") for text in found.warnings) is not published
    if rule != "constant":
        told = found.why["alpha_rule"]
        assert (told.confidence, told.evidence) == (
            EXTRAPOLATED,
            "no learning-rate rule is published for it",
        )
        assert told.source.startswith({"rank": "alpha in proportion", "sqrt_rank": "rank-stabilised"}[rule])


def test_full_fine_tuning_has_no_alpha_rule_and_an_unknown_one_is_refused():
    facts = {"family": "llama", "hidden_size": 4096}
    with pytest.raises(DefaultsError, match="alpha_rule: 'rank' is not allowed; it is an adapter's"):
        defaults.recommend(**facts, method="full", alpha_rule="rank")
    with pytest.raises(DefaultsError, match="alpha_rule: 'root' is not allowed"):
        defaults.recommend(**facts, alpha_rule="root")


def test_the_ends_of_a_settings_range_are_those_that_it_may_reach():
    ends = {name: allowed_range(name)[0] for name in RANGES}
    usual = {"learning_rate": 1e-4, "batch_size": 8, "lora_rank": 8, "max_steps": 10}
    more = {"decay_fraction": {"schedule": "wsd"}}  # no other schedule has one
    for name, end in ends.items():
        if end is not None:
            assert getattr(TrainingSettings(**(usual | more.get(name, {}) | {name: end})), name) == end
        below = 0.0 if end is None else end - 1
        with pytest.raises(ConfigError, match=name):
            TrainingSettings(**(usual | {name: below}))
    assert (ends["lora_rank"], ends["lora_dropout"], ends["learning_rate"]) == (1, 0.0, None)


def test_every_setting_has_a_reason_and_the_file_agrees_with_the_class():
    got = defaults.recommend(family="llama", hidden_size=4096)
    assert tuple(got.why) == setting_names()
    plain = {field.name: field.default for field in dataclasses.fields(TrainingSettings)}
    for name, default in plain.items():
        if default is not dataclasses.MISSING:
            assert getattr(got.settings, name) == default, name
    for why in got.why.values():
        assert why.confidence in (MEASURED, PUBLISHED, EXTRAPOLATED)
        assert all(why.values())


def test_a_reason_reads_as_attribute_and_as_mapping():
    why = defaults.recommend(family="llama", hidden_size=4096).why["learning_rate"]
    assert dict(why) == dataclasses.asdict(why)
    assert why["rule"] == why.rule == "5e-05 * 10 * (2000 / 4096)^0.781 = 2.856e-04"
    with pytest.raises(KeyError):
        why["items"]


def test_a_recommendation_is_frozen_plain_and_travels():
    got = defaults.recommend(family="llama", hidden_size=4096)
    with pytest.raises(dataclasses.FrozenInstanceError):
        got.goal = "speed"
    assert pickle.loads(pickle.dumps(got)) == got
    answer = json.loads(json.dumps(got.to_dict()))
    said = got.settings.to_dict()
    assert {name: answer[name] for name in said} == said
    assert set(answer["why"]["batch_size"]) == {"rule", "source", "evidence", "confidence"}


def test_explain_gives_a_row_per_setting():
    got = defaults.recommend(family="llama", hidden_size=4096)
    rows = defaults.explain(got)
    assert [row["setting"] for row in rows] == list(defaults.MAIN_SETTINGS)
    assert rows[1]["default"] == 128
    assert json.loads(json.dumps(rows)) == rows
    everything = defaults.explain(got, setting_names())
    assert len(everything) == len(setting_names())
    for row in everything:
        assert row["does"]
        assert row["why"]
        assert row["source"]
        assert row["when_to_change"]


def test_ranges_of_the_heuristics_hold_their_defaults():
    for name, entry in defaults.heuristics()["settings"].items():
        if "range" in entry and entry["default"] != "automatic":
            low, high = entry["range"]
            assert low <= entry["default"] <= (math.inf if high is None else high), name
    for row in defaults.heuristics()["settings"]["batch_size"]["by_goal"].values():
        assert row["range"][0] <= row["value"] <= row["range"][1]


def foreign_modules(code: str) -> set[str]:
    """Top-level modules outside the standard library and bios_sweep that a fresh process loads for `code`."""
    program = (
        "import sys; before = set(sys.modules)\n"
        f"{code}\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names) - {'bios_sweep'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_defaults_load_nothing_outside_the_standard_library():
    code = "from bios_sweep import defaults; defaults.recommend(family='llama', hidden_size=4096)"
    assert foreign_modules(code) == set()


def test_the_probe_sees_a_foreign_module():
    assert "numpy" in foreign_modules("import numpy")
