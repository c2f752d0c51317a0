"""Which key somebody meant: slips of the fingers are understood, words of other trades are not."""

from __future__ import annotations

import pytest

from bios_sweep.config.meant import meant_by

SLIPS = {
    "baseline.learning_rate": (
        "baseline.learnig_rate",
        "baseline.learning_rat",
        "baselin.learning_rate",
        "learnig_rate",
        "leraning_rate",
        "learningrate",
    ),
    "baseline.batch_size": ("bach_size", "batchsize", "baseline.batch_sze"),
    "baseline.lora_rank": ("baseline.lora_rnk", "lora_rnak"),
    "budget.max_steps": ("baseline.max_step", "bugdet.max_steps", "budget.max_stpes", "max_stesp"),
    "budget": ("bugdet", "budjet"),
    "budget.max_trials": ("budget.max_trails",),
    "data.path": ("data.paht", "data.pth"),
    "data.eval_path": ("data.evalpath",),
    "data.eval_fraction": ("data.eval_fracton",),
    "data.eval_examples": ("data.eval_example",),
    "data.columns": ("data.colums",),
    "data.shape": ("data.shap",),
    "data.split": ("data.splt",),
    "data.weights": ("data.wieghts",),
    "data.cluster": ("data.clster",),
    "model.path": ("modle.path", "model.pth"),
    "model.name": ("model.nme",),
    "model": ("modl",),
    "workspace": ("worskpace", "workpsace", "wokspace"),
    "seeds": ("seds", "sees"),
    "sweeps": ("sweps", "swees"),
    "cluster": ("clsuter", "cluter"),
    "decision.guardrails": ("decision.gaurdrails",),
    "decision.margin_percent": ("decision.margin_precent",),
    "decision.target": ("decision.tagret",),
    "decision": ("desicion",),
    "tracking": ("trackng",),
    "tracking.uri": ("traking.uri", "tracking.url"),
    "method": ("methd",),
    "method.command": ("method.comand",),
    "method.max_length": ("method.max_lenght",),
    "method.dtype": ("method.dtpye",),
    "submit.time": ("submit.tme",),
    "submit": ("submti",),
}
OTHERS = (
    *("quartz", "banana", "ranks", "temperature", "hydrogen", "foo", "bar", "baz", "xyz", "hello"),
    *("password", "username", "color", "theme", "verbose", "debug", "port", "host", "kernel"),
    *("tokens_per", "quokka", "zebra", "wandb", "project", "entity", "notes", "tags", "logger"),
    *("callbacks", "hparams", "scheduler_gamma", "beam_width", "vocabulary", "pixel_shuffle"),
    *("frames", "speaker", "cat", "dog", "matrix", "epsilon42", "horizon", "replay", "reward"),
    *("policy", "discount", "agent", "env_name", "world_size", "rdzv", "master_addr", "node"),
    *("nnodes", "image_size", "channels", "fps", "subtitle", "invoice", "customer"),
)


def test_slips_are_understood_and_no_key_is_named_for_what_is_none():
    slips = [(typed, key) for key, every in SLIPS.items() for typed in every]
    understood = [typed for typed, key in slips if meant_by(typed) == key]
    misled = [typed for typed, key in slips if meant_by(typed) not in ("", key)]
    silly = {word: meant_by(word) for word in OTHERS if meant_by(word)}
    assert len(understood) >= 0.9 * len(slips)
    assert not misled
    assert len(silly) <= 3, silly


@pytest.mark.parametrize(("typed", "key"), [("modle.path", "model.path"), ("lr", "baseline.learning_rate")])
def test_of_keys_with_one_ending_the_group_decides(typed, key):
    assert meant_by(typed) == key
