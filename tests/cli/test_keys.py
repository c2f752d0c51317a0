"""`bios-sweep keys`: what can be configured, found by words."""

from __future__ import annotations

import json

from bios_sweep.cli.main import main
from tests.json_schemas import wrong


def test_a_key_is_found_by_its_name_with_its_default_and_meaning(capsys):
    assert main(["keys", "decision.margin_percent"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "margin_percent=" in line]
    key, kind, meaning = line.strip().split("  ")
    assert key == "decision.margin_percent=null"
    assert kind == "(number above 0 | null; percent)"
    assert meaning == "percent of the baseline's metric"


def test_every_word_must_be_met_in_name_option_or_meaning(capsys):
    assert main(["keys", "cluster", "GPU", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    found = answer["keys"]
    assert wrong("keys", answer) == ""
    assert {"type", "nullable", "choices", "range", "unit"} <= found[0].keys()
    for key in found:
        told = " ".join((key["path"], key["option"], key["comment"], *key["choices"])).lower()
        assert "cluster" in told
        assert "gpu" in told


def test_settings_that_no_file_lists_are_keys_too(capsys):
    assert main(["keys", "adam_beta2"]) == 0
    assert "  method.adam_beta2=0.95" in capsys.readouterr().out


def test_a_misspelt_word_is_met_with_the_nearest_key(capsys):
    assert main(["keys", "lora_rnak"]) == 2
    assert "(did you mean lora_rank or lora_alpha?)" in capsys.readouterr().err


def test_words_that_no_key_is_about_are_refused(capsys):
    assert main(["keys", "xyzzy"]) == 2
    assert capsys.readouterr().err == "bios-sweep: no key is about 'xyzzy'; `bios-sweep keys` lists all\n"
