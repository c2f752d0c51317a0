"""Every key of an exported file is one that the tool takes, whatever is trained and by which objective.

The lists are those of the tools' own classes, read from their released packages; `source` says which.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bios_sweep import defaults
from bios_sweep.errors import DefaultsError
from bios_sweep.settings import TrainingSettings

ACCEPTED = json.loads((Path(__file__).parent / "accepted_keys.json").read_text(encoding="utf-8"))
SETTINGS = TrainingSettings(learning_rate=1e-4, batch_size=8, lora_rank=32, max_steps=100)
RARE = {"neftune_alpha": 5.0, "schedule": "wsd", "max_length": 1024, "dtype": "bfloat16"}
OF_ADAPTERS = {"targets": "mlp", "embeddings": True, "lora_dropout": 0.1}
CASES = {
    "lora": SETTINGS,
    "everything": replace(SETTINGS, **RARE, **OF_ADAPTERS),
    "an initialisation": replace(SETTINGS, init="gaussian"),
    "an alpha rule": replace(SETTINGS, alpha_rule="rank", lora_rank=64),
    "dora": replace(SETTINGS, method="dora", **RARE, **OF_ADAPTERS),
    "qlora": replace(SETTINGS, method="qlora", **RARE, **OF_ADAPTERS),
    "full": replace(SETTINGS.changed({"method": "full"}), **RARE),
    "dpo": replace(SETTINGS, dpo_beta=0.1, **RARE, **OF_ADAPTERS),
    "dpo by length": replace(SETTINGS, dpo_beta=5.0, dpo_length_normalised=True),
    "full dpo": replace(SETTINGS.changed({"method": "full"}), dpo_beta=0.1),
}
# (tool, case) -> what it cannot be told, in the refusal's words
REFUSED = {
    ("peft", "full"): "cannot be written for PEFT",
    ("peft", "dpo"): "objective: dpo",
    ("peft", "dpo by length"): "objective: dpo",
    ("peft", "full dpo"): "cannot be written for PEFT",
    ("llama-factory", "an initialisation"): "init: 'gaussian'",
    ("llama-factory", "dpo by length"): "dpo_length_normalised",
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tool", ACCEPTED)
def test_every_key_of_an_exported_file_is_one_of_the_tools_own(tool, case):
    if (tool, case) in REFUSED:
        with pytest.raises(DefaultsError, match=REFUSED[tool, case]):
            defaults.export(CASES[case], to=tool)
        return
    exported = defaults.export_file(CASES[case], to=tool)
    for part in (exported.values, exported.aside):
        for section, values in part.items():
            assert set(values) <= set(ACCEPTED[tool][section]), (tool, section)


def test_embeddings_that_learn_have_the_key_of_each_tool():
    asked = replace(SETTINGS, embeddings=True)
    lora, axolotl, factory, swift = (
        defaults.export(asked, to=tool) for tool in ("trl", "axolotl", "llama-factory", "ms-swift")
    )
    both = ["embed_tokens", "lm_head"]
    assert (lora["LoraConfig"]["modules_to_save"], lora["LoraConfig"]["ensure_weight_tying"]) == (both, True)
    assert (axolotl["lora_modules_to_save"], axolotl["peft_ensure_weight_tying"]) == (both, True)
    assert factory["additional_target"] == "embed_tokens,lm_head"
    assert swift["modules_to_save"] == both
    assert "may call them otherwise" in defaults.export_file(asked, to="trl").text()
    with pytest.raises(DefaultsError, match="embeddings: True cannot be written for Unsloth Studio"):
        defaults.export(asked, to="unsloth")
    for tool in ("trl", "axolotl", "llama-factory", "ms-swift"):
        assert "modules_to_save" not in defaults.export_file(SETTINGS, to=tool).text()
