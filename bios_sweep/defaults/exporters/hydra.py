"""Hydra: a member of our own group `baseline`, so that what was tuned is the next study's baseline."""

from __future__ import annotations

from bios_sweep.defaults.exporters.tool import THE_DATA, Tool
from bios_sweep.method import Objective
from bios_sweep.settings import baseline_values

OF_THE_METHOD = ("trains", "objective", "settings")  # keys of the group that are no settings of ours
LEFT_OUT = {"alpha_rule": "there is no other", "train_examples": THE_DATA}

HYDRA = Tool(
    name="hydra",
    title="Hydra",
    source="bios_sweep conf/baseline, conf/method and conf/budget",
    use="save it as DIR/baseline/tuned.yaml, then bios-sweep run --config-dir DIR baseline=tuned sweeps=NAME",
    first_line="@package _global_",
    keys={
        group: {
            **({name: name for name in OF_THE_METHOD} if group == "method" else {}),
            **{name: name for name in names if name not in LEFT_OUT},
        }
        for group, names in baseline_values().items()
    },
    left_out=LEFT_OUT,
    splits_batch=False,
    needed=("learning_rate", "batch_size", "lora_rank"),
    objectives=tuple(Objective),
    use_in_full="save it as DIR/baseline/tuned.yaml, then bios-sweep run --config-dir DIR method=command "
    "method.command=... baseline=tuned sweeps=NAME",
)
