"""What a plan says it will take before any trial was timed, and what it offers instead of a long one."""

import json
import math
import shlex
import shutil
import struct
import time

import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.driver.cost import prices_of, rate_of
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.planned import planned
from bios_sweep.driver.prepare import prepare
from bios_sweep.engines.training.decoder_shape import shape_of
from bios_sweep.engines.training.operations import multiplied, trained
from bios_sweep.execution.speed import is_like, speed_of_cpu, speed_of_gpus
from bios_sweep.records.journal import Journal
from bios_sweep.records.reading import read_state
from bios_sweep.records.sweep_state import sweep_facts
from bios_sweep.report.content.plan_cost import cheaper_lines, cost_lines
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Status

# the published config.json of meta-llama/Llama-3.1-8B
LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "hidden_act": "silu",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PARAMETERS = 8_030_261_248  # of its weights
H100 = ("cluster=existing", "cluster.accelerator_type=H100", "cluster.price_per_gpu_hour=3")


@pytest.fixture(scope="module")
def eight_billion(tmp_path_factory):
    """Overrides of a study of an 8B shape: 1000 steps of 128 examples of 512 tokens. No weight is there."""
    folder = tmp_path_factory.mktemp("cost")
    model = folder / "llama-8b"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(LLAMA_8B))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base_model_path() / name, model)
    header = json.dumps({"all": {"dtype": "BF16", "shape": [PARAMETERS], "data_offsets": [0, 0]}}).encode()
    (model / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    data = folder / "long.jsonl"
    data.write_text(
        "".join(json.dumps({"text": f"{place} " + "a b c d " * 140}) + "\n" for place in range(60))
    )
    return (
        f"model.path={model}",
        f"data.path={data}",
        "data.eval_examples=30",
        "method.max_length=512",
        "budget.max_steps=1000",
        f"workspace={folder / 'runs'}",
    )


def plan_of(*overrides):
    return planned(prepare(Invocation(overrides=overrides, verb="plan"))).summary


def test_operations_of_a_llama_of_eight_billion_are_four_for_each_number_and_token():
    shape = shape_of(LLAMA_8B, PARAMETERS)
    assert multiplied(shape) == 7_504_658_432  # all parameters but the embedding and the norms
    settings = TrainingSettings(learning_rate=1e-4, batch_size=128, lora_rank=32, max_steps=100)
    once, again = (trained(shape, settings, 512, 4096, twice=twice) for twice in (False, True))
    assert once / (4 * multiplied(shape)) == pytest.approx(1.0, abs=0.04)
    assert again / once == pytest.approx(1.5, abs=0.02)


def test_the_first_night_of_eight_billion_takes_at_most_thirty_h100_hours(eight_billion):
    cost = plan_of("sweeps=first_night", *H100, *eight_billion).cost
    assert cost.estimated
    assert 20 < cost.most_gpu_hours <= 30
    assert cost.most_money == pytest.approx(3 * cost.most_gpu_hours, abs=0.01)
    by_hand = 4 * 7.5e9 * 1000 * 128 * 512 / (0.3 * 989e12) / 3600
    assert cost.trial_hours == pytest.approx(by_hand, rel=0.06)


def test_a_plan_longer_than_a_night_names_what_takes_less_and_what_to_type(eight_billion):
    overrides = ("sweeps=defaults", *H100, *eight_billion)
    summary = plan_of(*overrides)
    assert summary.trials == 88
    assert 150 < summary.cost.gpu_hours < 210
    hours = {one.kind: one.gpu_hours for one in summary.cost.cheaper}
    assert set(hours) == {"first night", "fewer looks", "staged", "fewer steps"}
    assert list(hours.values()) == sorted(hours.values())
    for one in summary.cost.cheaper:  # what is typed plans what was said
        typed = plan_of(*shlex.split(one.command)[2:])
        assert typed.cost.most_gpu_hours == pytest.approx(one.gpu_hours, rel=0.01), one.kind
        assert typed.most_trials == one.trials
        assert one.command.startswith("bios-sweep run ")
    told = "\n".join([*cost_lines(summary.cost, 1), *cheaper_lines(summary.cost)])
    assert "30 % of the 989 TFLOP/s of H100 in bfloat16" in told
    assert "sweeps=first_night" in told


def test_the_trials_of_the_first_night_are_those_of_the_studies_that_follow(eight_billion):
    keys = {
        sweep: {
            trial.key
            for trial in prepare(Invocation(overrides=(f"sweeps={sweep}", *H100, *eight_billion))).plan.trials
        }
        for sweep in ("first_night", "learning_rate", "defaults")
    }
    assert len(keys["first_night"]) == 15
    assert keys["first_night"] < keys["learning_rate"] < keys["defaults"]


def test_a_short_plan_offers_nothing_cheaper(tmp_path):
    cost = plan_of("sweeps=first_night", "budget=demo", f"workspace={tmp_path}").cost
    assert cost.estimated
    assert cost.gpu_hours is None
    assert cost.money is None
    assert not cost.cheaper
    assert "a rough rate for any CPU" in "\n".join(cost_lines(cost, 1))


def test_the_estimate_of_the_demo_is_within_a_factor_of_two_of_what_was_measured(tmp_path):
    cost = plan_of("sweeps=demo", "cluster=inline", f"workspace={tmp_path}").cost
    measured = (19.0, 20.5)  # seconds of its first two trials, on a machine with other work
    assert all(0.5 < 3600 * cost.trial_hours / seconds < 2 for seconds in measured)


def test_an_unknown_gpu_gives_no_estimate(eight_billion):
    other = ("cluster=existing", "cluster.accelerator_type=Unheard-Of")
    assert plan_of("sweeps=first_night", *other, *eight_billion).cost is None


def test_a_planted_model_has_no_arithmetic(tmp_path):
    prepared = prepare(
        Invocation(overrides=("sweeps=learning_rate", "model=planted", f"workspace={tmp_path}"))
    )
    assert rate_of(prepared) is None


def test_the_slowest_gpu_counts_in_the_number_format_and_shared():
    slow = speed_of_gpus(["NVIDIA H100 80GB HBM3", "NVIDIA L4"], "bfloat16", 2)
    assert slow.name == "NVIDIA L4"
    assert slow.per_second == pytest.approx(0.3 * 121e12 / 2)
    assert speed_of_gpus(["L4"], "float32", 1).peak == 30.3
    assert speed_of_gpus(["L4", "Unheard-Of"], "float32", 1) is None
    assert math.isclose(speed_of_cpu(4).per_second, 4 * speed_of_cpu(1).per_second)


def test_only_trials_of_such_a_device_tell_how_long_one_takes():
    assert is_like("AMD EPYC", None)
    assert not is_like("NVIDIA H100 80GB HBM3", None)
    assert is_like("NVIDIA H100 80GB HBM3", ["H100"])
    assert not is_like("NVIDIA L4", ["H100"])
    assert not is_like("AMD EPYC", ["H100"])
    assert is_like("NVIDIA L4", [])


FULL = ("full", False)  # as `what_learns` has it


def test_arms_of_another_method_are_priced_by_their_own_operations(eight_billion):
    """Full fine-tuning of a large model takes about 1.5 times LoRA's operations, forwards and all."""
    prepared = prepare(Invocation(overrides=("sweeps=lora_or_full", *eight_billion), verb="plan"))
    prices = prices_of(prepared, rate_of(prepared), 1)
    assert list(prices.weights) == [FULL]
    assert 1.3 < prices.weights[FULL] < 1.5  # evaluation costs both alike
    trials = prepared.plan.trials
    full = [one for one in trials if one.settings.method == "full"]
    each = trials[0].settings.batch_size * trials[0].settings.max_steps
    alone = each * (len(trials) - len(full) + prices.weights[FULL] * len(full))
    assert prices.weighed(trials) == pytest.approx(alone)
    assert prices.weighed([]) == 0.0


def test_dora_and_embeddings_are_priced_by_what_they_take_beyond_an_adapter(eight_billion):
    words = (
        "sweeps=defaults", "~sweeps.factors",
        "+sweeps.factors={method:{values:[dora]},embeddings:{values:[true]}}", *eight_billion,
    )  # fmt: skip
    prepared = prepare(Invocation(overrides=(*words, *H100), verb="plan"))
    weights = prices_of(prepared, rate_of(prepared), 1).weights
    assert list(weights) == [("dora", False), ("lora", True)]
    assert 1.1 < weights["dora", False] < 1.5  # its products alone would be 1.01
    assert 1.01 < weights["lora", True] < 1.05  # the gradient of the head


def test_decoding_is_priced_as_time_in_a_rate_and_beside_it(eight_billion, tmp_path):
    """A score that takes most of a trial takes as much whatever is trained: methods then differ little."""
    data = tmp_path / "asked.jsonl"
    row = {"prompt": "a b c d " * 100, "completion": "a b c d " * 40}
    data.write_text("".join(json.dumps({**row, "prompt": f"{i} {row['prompt']}"}) + "\n" for i in range(60)))
    words = ("sweeps=lora_or_full", *eight_billion, f"data.path={data}", "budget.max_steps=5")
    scored = (*words, "data.score=exact_match", "data.score_tokens=256")
    plain, slow = (prepare(Invocation(overrides=those, verb="plan")) for those in (words, scored))
    rates = [rate_of(one).seconds_per_example for one in (plain, slow)]
    weights = [prices_of(one, rate_of(one), 1).weights[FULL] for one in (plain, slow)]
    added = rates[1] - rates[0]  # answers, in both methods
    assert weights[1] == pytest.approx((weights[0] * rates[0] + added) / rates[1], rel=0.02)
    assert weights[1] < weights[0] - 0.1


def test_a_rate_that_full_trials_told_is_not_weighed_again(eight_billion, tmp_path):
    """A workspace that has trials of full fine-tuning alone: they set the pace of LoRA by its operations."""
    words = ("sweeps=lora_or_full", *eight_billion, f"workspace={tmp_path}")
    prepared = prepare(Invocation(overrides=words, verb="plan"))
    trial = next(one for one in prepared.plan.trials if one.settings.method == "full")
    with Journal(prepared.workspace.journal_file("full-00000001")) as journal:
        journal.opened(sweep_facts(prepared.plan))
        journal.planned([trial])
        journal.started(trial.key)
        time.sleep(0.05)
        journal.ended(TrialResult(key=trial.key, status=Status.COMPLETED))
    [told] = read_state(prepared.workspace.journal_file("full-00000001")).trials.values()
    rate = rate_of(prepared)
    assert rate.trials == 1
    priced = prices_of(prepared, rate, 1).weighed([trial]) * rate.seconds_per_example
    assert priced == pytest.approx((told.ended - told.started) / 1000)


def test_the_reference_of_pairs_is_counted_once():
    prepared = prepare(Invocation(overrides=("sweeps=preference",), verb="plan"))
    prices = prices_of(prepared, rate_of(prepared), 1)
    data, trials = prepared.plan.study.scenario.data, prepared.plan.trials
    examples = sum(one.settings.max_steps * one.settings.batch_size for one in trials)
    assert prices.weighed(trials) == examples + prices.once
    # one pass forward where training takes three and more, and evaluations are passes, too
    assert 0.05 * data.train_examples < prices.once < data.train_examples / 2
