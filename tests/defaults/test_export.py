"""Settings in the words of other trainers: exact keys, the batch kept, files that read back the same."""

import dataclasses
import itertools
import json
import math
import re
from importlib.resources import files

import pytest
import yaml
from omegaconf import OmegaConf

from bios_sweep import defaults
from bios_sweep.config.compose import compose_config
from bios_sweep.defaults.exporters.quantities import quantities, split_batch
from bios_sweep.defaults.exporters.tools import Fixed
from bios_sweep.defaults.exporters.yaml_text import comment, scalar
from bios_sweep.defaults.model_config import lora_parameters_per_rank
from bios_sweep.errors import DefaultsError
from bios_sweep.settings import TrainingSettings, baseline_values, setting_names
from tests.defaults.entries import BASELINE, RANK, RATE, build, entry, verdict

LLAMA = {"family": "llama", "hidden_size": 4096}
SETTINGS = TrainingSettings(
    learning_rate=2.5e-5,
    batch_size=128,
    lora_rank=16,
    max_steps=700,
    lora_alpha=64.0,
    lora_dropout=0.05,
    schedule="cosine",
    warmup_fraction=0.03,
    weight_decay=0.01,
    max_grad_norm=0.5,
    max_length=2048,
    dtype="bfloat16",
)
PACKED = "the batch counts examples; packed, several are one"
# The keys of each tool, written down a second time from the sources that the tables name.
TRAINING = {
    "learning_rate": 2.5e-5,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 16,
    "max_steps": 700,
    "warmup_steps": 21,
    "lr_scheduler_type": "cosine",
    "optim": "adamw_torch",
    "adam_beta1": 0.9,
    "adam_beta2": 0.95,
    "adam_epsilon": 1e-8,
    "weight_decay": 0.01,
    "max_grad_norm": 0.5,
    "bf16": True,
}
LORA = {
    "r": 16,
    "lora_alpha": 64,
    "lora_dropout": 0.05,
    "target_modules": "all-linear",
    "use_rslora": False,
    "bias": "none",
    "task_type": "CAUSAL_LM",
}
EXPECTED = {
    "peft": {"LoraConfig": LORA, "TrainingArguments": TRAINING},
    "trl": {"SFTConfig": {**TRAINING, "max_length": 2048}, "LoraConfig": LORA},
    "axolotl": {
        "adapter": "lora",
        "lora_r": 16,
        "lora_alpha": 64,
        "lora_dropout": 0.05,
        "lora_target_linear": True,
        "peft_use_rslora": False,
        "learning_rate": 2.5e-5,
        "micro_batch_size": 4,
        "gradient_accumulation_steps": 16,
        "max_steps": 700,
        "warmup_steps": 21,
        "lr_scheduler": "cosine",
        "optimizer": "adamw_torch",
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "adam_epsilon": 1e-8,
        "weight_decay": 0.01,
        "max_grad_norm": 0.5,
        "sequence_len": 2048,
        "train_on_inputs": False,
        "bf16": True,
    },
    "llama-factory": {
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": 16,
        "lora_alpha": 64,
        "lora_dropout": 0.05,
        "lora_target": "all",
        "use_rslora": False,
        "cutoff_len": 2048,
        "train_on_prompt": False,
        **TRAINING,
    },
    "ms-swift": {
        "tuner_type": "lora",
        "lora_rank": 16,
        "lora_alpha": 64,
        "lora_dropout": 0.05,
        "target_modules": "all-linear",
        "use_rslora": False,
        "max_length": 2048,
        "truncation_strategy": "left",
        "loss_scale": "default",
        "torch_dtype": "bfloat16",
        **TRAINING,
    },
    "unsloth": {
        "training": {
            "training_type": "lora",
            "max_seq_length": 2048,
            "load_in_4bit": False,
            "learning_rate": 2.5e-5,
            "batch_size": 4,
            "gradient_accumulation_steps": 16,
            "warmup_steps": 21,
            "max_steps": 700,
            "weight_decay": 0.01,
            "train_on_completions": True,
        },
        "lora": {
            "lora_r": 16,
            "lora_alpha": 64,
            "lora_dropout": 0.05,
            "target_modules": "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
            "use_rslora": False,
        },
    },
    "hydra": {
        "baseline": {"learning_rate": 2.5e-5, "batch_size": 128, "lora_rank": 16},
        "budget": {"max_steps": 700},
        "method": {
            "lora_alpha": 64.0,
            "lora_dropout": 0.05,
            "schedule": "cosine",
            "warmup_fraction": 0.03,
            "adam_beta1": 0.9,
            "adam_beta2": 0.95,
            "adam_eps": 1e-08,
            "weight_decay": 0.01,
            "max_grad_norm": 0.5,
            "max_length": 2048,
            "dtype": "bfloat16",
        },
    },
}


@pytest.mark.parametrize("tool", defaults.TOOLS)
def test_every_tool_gets_its_exact_keys(tool):
    assert defaults.export(SETTINGS, to=tool, gpus=2, micro_batch=4) == EXPECTED[tool]


@pytest.mark.parametrize("tool", defaults.TOOLS)
def test_no_setting_is_forgotten_by_a_tool_and_none_is_written_and_left_out(tool):
    table = defaults.TOOLS[tool]
    known = quantities(SETTINGS, split_batch(128))
    cells = [cell for keys in table.keys.values() for cell in keys.values() if not isinstance(cell, Fixed)]
    written = {known[cell].setting for cell in cells}
    assert (written - {"settings", "objective"}) | set(table.left_out) == set(setting_names())
    assert not written & set(table.left_out)
    assert table.source


@pytest.mark.parametrize("tool", defaults.TOOLS)
def test_a_file_reads_back_the_same_in_pyyaml_and_omegaconf(tool, tmp_path):
    exported = defaults.export_file(SETTINGS, to=tool, gpus=2, micro_batch=4)
    text = exported.text()
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="utf-8")
    assert yaml.safe_load(text) == EXPECTED[tool]
    assert OmegaConf.to_container(OmegaConf.load(path)) == EXPECTED[tool]


@pytest.mark.parametrize("tool", defaults.TOOLS)
def test_every_number_of_a_file_is_one_of_at_most_four_digits_commented_out_or_not(tool):
    rough = dataclasses.replace(
        SETTINGS, learning_rate=4.906789e-5, weight_decay=0.0123456, adam_beta2=0.999951234, max_length=512
    )
    file = defaults.export_file(rough, to=tool)
    if tool == "hydra":  # the next study's baseline: another digit would be another trial
        assert yaml.safe_load(file.text())["baseline"]["learning_rate"] == 4.906789e-5
        return
    text = re.sub(r"(?m)^(\s*)# (\w+: \S+)", r"\1\2", file.text().replace("# @package", "# "))
    numbers = dict(_numbers(yaml.safe_load(text)))
    assert (numbers["learning_rate"], numbers["weight_decay"]) == (4.907e-5, 0.01235)
    assert numbers.get("adam_beta2", 0.99995123) == 0.99995123  # four digits of its distance from 1
    for name, value in numbers.items():
        digits = f"{value:.15g}".replace(".", "").strip("0").partition("e")[0]
        assert name == "adam_beta2" or len(digits) <= 4, name
    assert "learning_rate: 4.907e-5\n" in text
    texts = [value for _, value in _flat(yaml.safe_load(text)) if isinstance(value, str)]
    assert not [value for value in texts if value[0].isdigit()]


@pytest.mark.parametrize("tool", defaults.TOOLS)
def test_length_number_format_and_packing_of_our_own_are_commented_out_and_the_evidence_is_not(tool):
    ours = {"max_length", "sequence_len", "cutoff_len", "truncation_strategy", "packing", "sample_packing"}
    ours |= {"max_seq_length", "bf16", "fp16", "float32", "dtype", "torch_dtype"}
    file = defaults.export_file(defaults.recommend(**LLAMA, examples=2000), to=tool)
    written = dict(_flat(yaml.safe_load(file.text())))
    assert not ours & set(written)
    assert set(written) == set(dict(_flat(file.to_dict())))
    aside = {key: value for values in file.aside.values() for key, value in values.items()}
    assert aside
    assert set(aside) <= ours
    for key, value in aside.items():
        assert re.search(rf"(?m)^ *# {key}: {scalar(value)}(  # .*)?$", file.text())
    for name, value in (("max_length", 1024), ("dtype", "bfloat16")):  # a user's own choice is a condition
        chosen = defaults.export_file(dataclasses.replace(BASELINE, **{name: value}), to=tool)
        written = {key for keys in chosen.values.values() for key in keys} & ours
        assert written or f"{name} {value}" in chosen.text()


@pytest.mark.parametrize(
    "name, value, key", [("max_length", 512, "max_length"), ("dtype", "float32", "bf16")]
)
def test_a_length_or_number_format_that_a_study_judged_is_written(name, value, key):
    other = {"max_length": 1024, "dtype": "bfloat16"}[name]
    tuned = build(verdict(name, "confirm", value, value, [other]))
    assert key in defaults.export(tuned, to="trl")["SFTConfig"]
    assert key not in defaults.export(build(RATE), to="trl")["SFTConfig"]


def test_a_comment_stands_where_there_is_evidence_or_a_warning_and_nowhere_else():
    comments = defaults.export_file(build(RATE, RANK), to="trl").comments
    assert set(comments["LoraConfig"]) == {"r"}
    assert set(comments["SFTConfig"]) == {"learning_rate", "packing"}
    of_settings = defaults.export_file(SETTINGS, to="trl").comments
    assert of_settings == {
        "SFTConfig": {"warmup_steps": "0.03 of 700 steps", "packing": PACKED},
        "LoraConfig": {},
    }
    text = defaults.export_file(defaults.recommend(**LLAMA), to="axolotl").text()
    above = {
        line.partition(":")[0]: before.startswith("# ")
        for before, line in itertools.pairwise(text.splitlines())
        if re.match(r"\w+: \S", line)
    }
    assert {key for key, told in above.items() if told} == {
        "lora_r", "learning_rate", "micro_batch_size", "max_steps",
    }  # fmt: skip


def test_the_batch_is_stated_as_its_product():
    text = defaults.export_file(defaults.recommend(**LLAMA), to="trl", gpus=4, micro_batch=2).text()
    assert "accumulation 16 x micro-batch 2 x 4 GPUs = 128 examples per optimizer step" in text
    assert text.count("batch_size 128 = accumulation 16 x micro-batch 2 x 4 GPUs; published") == 1


@pytest.mark.parametrize("gpus", [1, 2, 4, 8])
@pytest.mark.parametrize("micro_batch", [None, 1, 4, 16])
@pytest.mark.parametrize("tool", ["trl", "axolotl"])
def test_the_effective_batch_is_kept(tool, gpus, micro_batch):
    got = defaults.export(SETTINGS, to=tool, gpus=gpus, micro_batch=micro_batch)
    flat = got.get("SFTConfig", got)
    per_gpu = flat.get("per_device_train_batch_size", flat.get("micro_batch_size"))
    assert gpus * per_gpu * flat["gradient_accumulation_steps"] == 128
    assert micro_batch in (None, per_gpu)


@pytest.mark.parametrize(
    "batch_size, gpus, micro_batch, nearest",
    [
        (100, 1, 16, "batch_size: 100 does not divide by gpus 1 x micro_batch 16 = 16; the nearest that do "
         "are batch size 96 or 112; micro_batch 10 or 20"),
        (128, 3, None, "batch size 126 or 129; gpus 2 or 4"),
        (128, 4, 24, "batch size 96 or 192; micro_batch 16 or 32"),
        (8, 16, 1, "batch size 16; gpus 8"),
        (128, 0, None, "gpus: 0 is not allowed"),
        (128, 1, 0, "micro_batch: 0 is not allowed"),
        (128, 1, 2.0, "micro_batch: 2.0 is not allowed"),
    ],
)  # fmt: skip
def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_that_do(
    batch_size, gpus, micro_batch, nearest
):
    settings = dataclasses.replace(SETTINGS, batch_size=batch_size)
    with pytest.raises(DefaultsError, match=re.escape(nearest)):
        defaults.export(settings, to="trl", gpus=gpus, micro_batch=micro_batch)


@pytest.mark.parametrize("batch_size, chosen", [(128, 8), (12, 6), (7, 7), (22, 2), (11, 1)])
def test_without_a_micro_batch_the_largest_up_to_eight_that_divides_is_taken(batch_size, chosen):
    assert split_batch(batch_size).micro_batch == chosen


@pytest.mark.parametrize(
    "fraction, steps, warmup", [(0.0, 1000, 0), (0.03, 1000, 30), (0.03, 250, 8), (0.1, 7, 1)]
)
def test_warmup_is_absolute_and_the_same_as_in_our_own_training(fraction, steps, warmup):
    settings = dataclasses.replace(SETTINGS, warmup_fraction=fraction, max_steps=steps)
    assert defaults.export(settings, to="axolotl")["warmup_steps"] == warmup
    assert warmup == round(fraction * steps)


@pytest.mark.parametrize("fraction, name", [(0.0, "constant"), (0.1, "constant_with_warmup")])
def test_a_constant_schedule_keeps_its_warmup(fraction, name):
    settings = dataclasses.replace(SETTINGS, schedule="constant", warmup_fraction=fraction)
    assert defaults.export(settings, to="peft")["TrainingArguments"]["lr_scheduler_type"] == name


def test_a_fractional_alpha_is_refused_where_the_tool_takes_whole_numbers():
    settings = dataclasses.replace(SETTINGS, lora_alpha=22.6)
    assert defaults.export(settings, to="peft")["LoraConfig"]["lora_alpha"] == 22.6
    for tool in ("axolotl", "llama-factory", "ms-swift"):
        with pytest.raises(DefaultsError, match=r"lora_alpha: 22\.6 cannot be written"):
            defaults.export(settings, to=tool)


@pytest.mark.parametrize("tool", defaults.TOOLS)
def test_noise_on_embeddings_has_a_key_where_it_is_on(tool):
    texts = [
        defaults.export_file(dataclasses.replace(SETTINGS, neftune_alpha=alpha), to=tool).text()
        for alpha in (None, 5.0)
    ]
    key = "neftune_alpha" if tool == "hydra" else "neftune_noise_alpha"
    assert "neftune" not in texts[0]
    told = "neftune_alpha 5 (conditions" if tool == "unsloth" else f"{key}: 5.0"
    assert told in texts[1]


def test_hydra_has_a_key_for_every_setting_that_a_baseline_gives():
    rare = {"neftune_alpha": 5.0, "alpha_rule": "rank", "targets": "mlp", "init": "gaussian"}
    rare |= {"embeddings": True}
    rare |= {"schedule": "wsd", "decay_fraction": 0.3, "dpo_beta": 0.2, "dpo_length_normalised": True}
    changed = dataclasses.replace(SETTINGS, adam_beta2=0.99, **rare)
    written = defaults.export(changed, to="hydra")
    assert written["method"].pop("objective") == "dpo"
    given = {name: group for group, values in baseline_values().items() for name in values}
    assert written["method"]["adam_beta2"] == 0.99
    assert {n: g for g, names in written.items() for n in names} | {"train_examples": "baseline"} == given


def test_tuned_defaults_are_exported_per_profile_with_verdict_and_bounds():
    batch = verdict("batch_size", "confirm", 32, 32, [16, 64], claim="balanced")
    quality = verdict("batch_size", "refine", 32, 16, [16, 64], claim="quality", lower=None)
    tuned = build(RATE, RANK, batch, quality, profiles={"quality": {"batch_size": 16}})
    usual = defaults.export(tuned, to="trl", micro_batch=8)["SFTConfig"]
    best = defaults.export(tuned, to="trl", micro_batch=8, profile="quality")["SFTConfig"]
    assert (usual["learning_rate"], usual["gradient_accumulation_steps"], usual["max_steps"]) == (
        1e-4,
        4,
        100,
    )
    assert (best["learning_rate"], best["gradient_accumulation_steps"], best["max_steps"]) == (1e-4, 2, 200)
    comments = defaults.export_file(tuned, to="trl", profile="quality").comments["SFTConfig"]
    assert "measured: refine: 0.0001 instead of 0.00005" in comments["learning_rate"]
    assert "gain +1.40 %, bounds +0.90 to +1.90 %, margin 0.5 %, 3 seeds" in comments["learning_rate"]
    assert "bounds unbounded to +1.90 %" in comments["gradient_accumulation_steps"]
    assert "at batch size 16" in comments["max_steps"]
    assert "weight_decay" not in comments
    with pytest.raises(DefaultsError, match="profile: 'cheap'"):
        defaults.export(tuned, to="trl", profile="cheap")


def test_a_recommendation_is_exported_for_the_goal_it_was_made_for():
    got = defaults.recommend(**LLAMA, goal="speed")
    assert defaults.export(got, to="hydra", profile="speed")["baseline"]["batch_size"] == 256
    with pytest.raises(DefaultsError, match="recommend them with goal='quality'"):
        defaults.export(got, to="hydra", profile="quality")
    with pytest.raises(DefaultsError, match="plain settings have one value each"):
        defaults.export(SETTINGS, to="hydra", profile="quality")


def test_preference_settings_are_exported_in_the_words_of_tools_that_have_them():
    got = defaults.recommend(**LLAMA, objective="preference")
    trl, axolotl, factory = (defaults.export(got, to=name) for name in ("trl", "axolotl", "llama-factory"))
    assert (trl["DPOConfig"]["beta"], trl["DPOConfig"]["loss_type"]) == (0.1, ["sigmoid"])
    assert trl["LoraConfig"]["r"] == 16
    assert "SFTConfig" not in trl
    assert (axolotl["rl"], axolotl["rl_beta"], axolotl["dpo_loss_type"]) == ("dpo", 0.1, ["sigmoid"])
    assert (factory["stage"], factory["pref_beta"], factory["pref_loss"]) == ("dpo", 0.1, "sigmoid")
    assert "DPOTrainer" in defaults.export_file(got, to="trl").use
    assert defaults.export(got, to="hydra")["method"]["objective"] == "dpo"
    with pytest.raises(
        DefaultsError, match=r"objective: dpo cannot be written .*trl, axolotl, llama-factory, hydra$"
    ):
        defaults.export(got, to="peft")
    by_token = dataclasses.replace(got.settings, dpo_length_normalised=True)
    assert defaults.export(by_token, to="trl")["DPOConfig"]["loss_type"] == ["sigmoid_norm"]
    assert defaults.export(by_token, to="axolotl")["dpo_loss_type"] == ["sigmoid_norm"]
    with pytest.raises(DefaultsError, match="dpo_length_normalised: cannot be written for LLaMA-Factory"):
        defaults.export(by_token, to="llama-factory")


def test_a_stable_schedule_is_exported_with_the_steps_of_its_decay():
    got = dataclasses.replace(SETTINGS, schedule="wsd", max_steps=1000)
    config = defaults.export(got, to="trl")["SFTConfig"]
    assert config["lr_scheduler_type"] == "warmup_stable_decay"
    assert config["lr_scheduler_kwargs"] == {"num_decay_steps": 200, "decay_type": "linear"}


@pytest.mark.parametrize("tool", [name for name in defaults.TOOLS if name != "peft"])
def test_full_fine_tuning_is_exported_without_a_key_of_an_adapter(tool):
    got = defaults.recommend(**LLAMA, method="full")
    exported = defaults.export_file(got, to=tool)
    text = exported.text()
    keys = [line.partition(":")[0].strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = {key for key in keys if "lora" in key.casefold() or "peft" in key or key == "adapter"}
    assert found == ({"lora_rank"} if tool == "hydra" else set())  # which that group must have, as auto
    assert yaml.safe_load(text) == exported.to_dict()
    lora = defaults.export(defaults.recommend(**LLAMA), to=tool)
    for section, values in exported.to_dict().items():
        assert section in lora
        if isinstance(values, dict):
            assert set(values) <= {*lora[section], "trains"}
    assert "LoraConfig" not in exported.use
    assert "peft_config=" not in text
    assert "2.856" in text.replace("0.00002856", "2.856")


def test_full_fine_tuning_is_nothing_for_peft_and_hydra_says_what_the_script_trains(tmp_path):
    got = defaults.recommend(**LLAMA, method="full")
    with pytest.raises(DefaultsError, match="method: full cannot be written for PEFT"):
        defaults.export(got, to="peft")
    (tmp_path / "baseline").mkdir()
    (tmp_path / "baseline" / "tuned.yaml").write_text(defaults.export_file(got, to="hydra").text())
    words = ["sweeps=learning_rate", "baseline=tuned"]
    values = compose_config([*words, "method=command"], tmp_path).values
    assert (values["method"]["trains"], values["baseline"]["lora_rank"]) == ("full", "auto")
    assert defaults.export(got, to="llama-factory")["finetuning_type"] == "full"


@pytest.mark.parametrize("tool", defaults.TOOLS)
def test_what_a_script_was_never_told_is_not_exported(tool):
    tuned = build(RATE, RANK, told=("learning_rate", "lora_rank", "max_steps"))
    exported = defaults.export_file(tuned, to=tool, gpus=3)
    known = quantities(SETTINGS, split_batch(128))
    for section, keys in defaults.TOOLS[tool].keys.items():
        for key, cell in keys.items():
            if not isinstance(cell, Fixed) and known[cell].setting not in tuned.told:
                assert exported.values.get(section, {}).get(key, "auto") == "auto", key
    assert (
        "Not told to the script of the evidence, so not here: batch_size, method, lora_alpha"
        in exported.text()
    )
    assert "32 examples per optimizer step" not in exported.text()
    assert "as in the evidence" not in exported.text()
    assert "measured: refine" in exported.text()


def test_an_unknown_tool_is_refused_with_the_known_ones():
    with pytest.raises(DefaultsError, match=r"choose from peft, trl, .*, ms-swift, unsloth, hydra"):
        defaults.export(SETTINGS, to="torchtune")


def test_a_file_says_which_conditions_of_the_evidence_its_tool_has_no_key_for():
    text = defaults.export_file(SETTINGS, to="unsloth").text()
    [line] = [line for line in text.splitlines() if line.startswith("# Not in this file: ")]
    for condition in ("schedule cosine", "adam_beta2 0.95", "max_grad_norm 0.5", "dtype bfloat16"):
        assert condition in line
    of_peft = defaults.export_file(SETTINGS, to="peft").text()
    assert "Not in this file: max_length 2048 tokens per example" in of_peft
    assert "Not in this file" not in defaults.export_file(SETTINGS, to="trl").text()
    merely_ran = defaults.export_file(dataclasses.replace(SETTINGS, dtype="float32"), to="unsloth").text()
    assert "dtype" not in merely_ran


def test_the_hydra_file_is_the_next_studys_baseline(tmp_path):
    (tmp_path / "baseline").mkdir()
    file = defaults.export_file(SETTINGS, to="hydra", title="a model")
    (tmp_path / "baseline" / "tuned.yaml").write_text(file.text(), encoding="utf-8")
    words = ["sweeps=learning_rate", "model=planted", "baseline=tuned"]
    values = compose_config(words, tmp_path).values
    for group, expected in EXPECTED["hydra"].items():
        assert {name: values[group][name] for name in expected} == expected
    assert compose_config([*words, "budget.max_steps=5"], tmp_path).values["budget"]["max_steps"] == 5


def test_texts_of_a_file_cannot_leave_their_comment_or_become_a_key():
    tuned = dataclasses.replace(
        build(RATE),
        provenance=dataclasses.replace(build(RATE).provenance, sweep="demo\nevil: true\r# \x1b[2J"),
    )
    text = defaults.export_file(tuned, to="axolotl", title="a\nbase_model: evil").text()
    assert set(yaml.safe_load(text)) == set(EXPECTED["axolotl"]) - {"bf16", "sequence_len"}
    assert "\x1b" not in text
    assert comment("a\n\tb") == "# a b"
    assert [scalar(word) for word in ("lora", "no", "a: b", "x\ny")] == ["lora", '"no"', '"a: b"', '"x\\ny"']


def test_the_doubts_of_a_recommendation_travel_with_its_file():
    text = defaults.export_file(defaults.recommend(family="gemma3", hidden_size=2560), to="trl").text()
    assert "# To bear in mind: learning_rate: no exponent is published for family 'gemma3'" in text


@pytest.mark.parametrize(
    "value, text",
    [
        (4.9e-4, "0.00049"), (4e-5, "4.0e-5"), (2.856e-5, "2.856e-5"), (1e-8, "1.0e-8"), (-3e-7, "-3.0e-7"),
        (0.0, "0.0"), (2e20, "200000000000000000000.0"), (32, "32"),
    ],
)  # fmt: skip
def test_a_number_is_written_as_pyyaml_and_omegaconf_read_it(value, text, tmp_path):
    assert scalar(value) == text
    (tmp_path / "file.yaml").write_text(f"x: {text}\n")
    assert yaml.safe_load(f"x: {text}") == {"x": value}
    assert OmegaConf.load(tmp_path / "file.yaml").x == value


def test_a_number_in_a_comment_is_a_decimal_too():
    assert comment("5e-05 * 2.5E8, 1e-4 and hash e5e-05x") == "# 0.00005 * 2.5E8, 0.0001 and hash e5e-05x"


def test_the_next_studys_baseline_has_all_digits_so_that_its_trials_are_those_of_the_last():
    rate = defaults.recommend(**LLAMA).learning_rate
    text = defaults.export_file(defaults.recommend(**LLAMA), to="hydra").text()
    assert math.isclose(yaml.safe_load(text)["baseline"]["learning_rate"], rate, rel_tol=0.0)
    assert defaults.export(defaults.recommend(**LLAMA), to="axolotl")["learning_rate"] == 0.0002856
    assert defaults.export(BASELINE, to="axolotl")["learning_rate"] == BASELINE.learning_rate


@pytest.mark.slow
def test_exported_files_are_accepted_by_transformers_and_peft(tmp_path):
    from peft import LoraConfig
    from transformers import TrainingArguments

    for settings in (SETTINGS, BASELINE, dataclasses.replace(SETTINGS, schedule="constant")):
        values = yaml.safe_load(defaults.export_file(settings, to="peft").text())
        lora = LoraConfig(**values["LoraConfig"])
        assert {name: _plain(getattr(lora, name)) for name in LORA} == values["LoraConfig"]
        for section, cpu in (
            (values["TrainingArguments"], True),
            (_training_part(defaults.export(settings, to="llama-factory")), True),
        ):
            arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=cpu, report_to="none", **section)
            assert {name: _plain(getattr(arguments, name)) for name in section} == section


@pytest.mark.slow
def test_exported_files_are_accepted_by_trl_where_it_is_installed(tmp_path):
    trl = pytest.importorskip(
        "trl", reason="TRL is no dependency; PYTHONPATH=FOLDER after pip install --target"
    )
    for settings in (SETTINGS, BASELINE, defaults.recommend(**LLAMA, method="full")):
        values = yaml.safe_load(defaults.export_file(settings, to="trl").text())["SFTConfig"]
        config = trl.SFTConfig(output_dir=str(tmp_path), use_cpu=True, report_to="none", **values)
        assert {name: _plain(getattr(config, name)) for name in values} == values


@pytest.mark.slow
def test_trl_trains_the_adapter_and_the_batch_that_were_exported(tmp_path):
    trl = pytest.importorskip(
        "trl", reason="TRL is no dependency; PYTHONPATH=FOLDER after pip install --target"
    )
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = files("bios_sweep.assets") / "base_model"
    settings = dataclasses.replace(BASELINE, batch_size=8, lora_rank=4, max_steps=2, max_length=64)
    values = yaml.safe_load(defaults.export_file(settings, to="trl", micro_batch=2).text())
    told = [{"prompt": f"What is {n}?", "completion": f" It is {n}."} for n in range(16)]
    trainer = trl.SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        args=trl.SFTConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            **values["SFTConfig"],
        ),
        train_dataset=Dataset.from_list(told),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(**values["LoraConfig"]),
    )
    trainer.train()
    trained = sum(weight.numel() for weight in trainer.model.parameters() if weight.requires_grad)
    assert trained == 4 * lora_parameters_per_rank(json.loads((base / "config.json").read_text()))
    assert trainer.state.global_step == 2
    assert trainer.state.epoch == 1.0  # 2 steps of 8 are the 16 examples
    assert trainer.args.gradient_accumulation_steps == 4


def _flat(values):
    """Keys and values of all sections."""
    for key, value in values.items():
        yield from _flat(value) if isinstance(value, dict) else [(key, value)]


def _numbers(values):
    return ((key, value) for key, value in _flat(values) if isinstance(value, float))


def _training_part(values):
    return {name: values[name] for name in TRAINING if name in values}  # bf16 may stand commented out


def _plain(value):
    return getattr(value, "value", value)


def test_what_a_script_tuned_by_dpo_is_written_for_hydra_with_its_objective(tmp_path):
    tuned = entry(3e-6, objective="dpo", runner="command")
    file = defaults.export_file(tuned, to="hydra")
    assert "method=command" in file.use
    (tmp_path / "baseline").mkdir()
    (tmp_path / "baseline" / "tuned.yaml").write_text(file.text())
    config = compose_config(["sweeps=batch_size", "method=command", "baseline=tuned"], tmp_path)
    assert config.values["method"]["objective"] == "dpo"
    assert "objective" not in defaults.export(entry(), to="hydra").get("method", {})
