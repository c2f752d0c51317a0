"""Hydra: a member of our own group `baseline`, so that what was tuned is the next study's baseline."""

from __future__ import annotations

from bios_sweep.defaults.exporters.tool import CONSTANT, THE_DATA, Tool

HYDRA = Tool(
    name="hydra",
    title="Hydra",
    source="bios_sweep conf/baseline, conf/method and conf/budget",
    use="save it as DIR/baseline/tuned.yaml, then bios-sweep run --config-dir DIR baseline=tuned sweeps=NAME",
    first_line="@package _global_",
    keys={
        "baseline": {
            "learning_rate": "learning_rate",
            "batch_size": "batch_size",
            "lora_rank": "lora_rank",
        },
        "budget": {"max_steps": "max_steps"},
        "method": {
            "trains": "trains",
            "lora_alpha": "lora_alpha",
            "lora_dropout": "lora_dropout",
            "schedule": "schedule",
            "warmup_fraction": "warmup_fraction",
            "weight_decay": "weight_decay",
            "max_grad_norm": "max_grad_norm",
            "max_length": "max_length",
            "dtype": "dtype",
        },
    },
    left_out={
        "alpha_rule": CONSTANT,
        "adam_beta1": CONSTANT,
        "adam_beta2": CONSTANT,
        "adam_eps": CONSTANT,
        "train_examples": THE_DATA,
    },
    splits_batch=False,
    needed=("learning_rate", "batch_size", "lora_rank"),
    use_in_full="save it as DIR/baseline/tuned.yaml, then bios-sweep run --config-dir DIR method=command "
    "method.command=... baseline=tuned sweeps=NAME",
)
