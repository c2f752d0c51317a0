"""Entries of tuned files: how they are built, written and looked up."""

from __future__ import annotations

import dataclasses
import json

from bios_sweep import defaults
from bios_sweep.defaults.tuned_file import evidence_hash
from bios_sweep.settings import TrainingSettings, without_adapter

BASELINE = TrainingSettings(learning_rate=5e-5, batch_size=32, lora_rank=32, max_steps=100)
KEY = defaults.TunedKey(
    family="llama",
    hidden_size=128,
    parameters=1_040_000,
    method="lora",
    alpha_rule="alpha_over_rank",
    max_steps=100,
    batch_size=32,
    tokens_per_step=1536.5,
)
PROVENANCE = defaults.Provenance(
    versions={"torch": "2.13.0"},
    data_fingerprint="abc",
    tracking_url="http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning",
    date="2026-11-24",
)


def verdict(factor, word, default, best, levels, **more):
    """One entry of `report --json`."""
    return {
        "factor": factor,
        "role": "optimum",
        "claim": "optimum",
        "verdict": word,
        "default": default,
        "best_level": best,
        "effect_percent": 1.4,
        "lower": 0.9,
        "upper": 1.9,
        "margin": 0.5,
        "seeds": [0, 1, 2],
        "arms": ["baseline", "other"],
        "hold": "examples",
        "reasons": [],
        "sentence": "a sentence",
        "scope": "this evaluation set",
        "levels": [{"arm": f"{factor}={level}", "level": level} for level in levels],
        "stage": "screening",
        "served": None,
    } | more


RATE = verdict("learning_rate", "refine", 5e-5, 1e-4, [1.25e-5, 2.5e-5, 1e-4, 2e-4])
RANK = verdict("lora_rank", "confirm", 32, 32, [8, 128])
OPEN = verdict("batch_size", "inconclusive", 32, 16, [16, 64])
TWIN = verdict("repeat", "confirm", 0, 0, [1])


def build(*verdicts, **more):
    return defaults.build_tuned(key=KEY, verdicts=verdicts, baseline=BASELINE, provenance=PROVENANCE, **more)


def rewritten(path, change):
    """The file with `change` applied to its object and the hash made to fit again."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    content["evidence_hash"] = evidence_hash(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


FULL = TrainingSettings.from_dict(without_adapter({**BASELINE.to_dict(), "method": "full"}))


def entry(rate=1e-4, date="2026-11-24", sweep="", **key):
    """Tuned defaults whose learning rate tells them apart."""
    tuned = build(RATE | {"best_level": rate, "levels": [{"level": rate}]}, RANK)
    provenance = dataclasses.replace(tuned.provenance, date=date, sweep=sweep)
    return dataclasses.replace(tuned, key=dataclasses.replace(KEY, **key), provenance=provenance)


def write(path, *entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    return defaults.write_entries(path, entries)


def rate(found):
    return found.tuned.values["learning_rate"]


LLAMA = {"family": "llama", "hidden_size": 128}
