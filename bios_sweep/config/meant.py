"""Which key somebody meant who typed another name: words of other tools first, then what is spelt alike."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache

from bios_sweep.config.groups import group_names
from bios_sweep.config.keys import read_conf
from bios_sweep.config.places import config_root
from bios_sweep.settings import KNOWN, key_of

# what other tools, and people, call our keys; the settings' own such names stand in `bios_sweep.settings`
CALLED = {
    "sweeps": ("sweep", "study", "experiment"),
    "sweeps.factors": ("factors", "factor", "grid", "levels", "parameters"),
    "sweeps.question": ("question",),
    "sweeps.cross": ("cross",),
    "seeds": ("seed", "random_seed", "n_seeds", "num_seeds"),
    "workspace": ("output_dir", "out_dir", "output", "out", "dir", "log_dir", "logdir", "save_dir", "ws"),
    "data.path": ("dataset", "train_file", "data_path", "file", "train_data", "data_files", "dataset_path"),
    "data.eval_path": ("eval_file", "validation_file", "eval_data", "eval_dataset", "test_file"),
    "data.eval_fraction": ("val_size", "eval_split", "test_size", "val_split", "eval_ratio"),
    "model.path": ("model_name_or_path", "model_path", "base_model", "model_id", "checkpoint", "model_name"),
    "budget.epochs": ("epochs", "num_epochs", "num_train_epochs", "n_epochs", "epoch"),
    "budget.max_steps": ("steps", "max_step", "iterations", "iters"),
    "budget.max_hours": ("hours", "max_time", "time_limit"),
    "cluster.gpus_per_trial": ("gpus", "gpu", "num_gpus", "n_gpus", "gpus_per_node"),
    "cluster.cpus_per_trial": ("cpus", "cpu"),
    "cluster.max_concurrent": ("workers", "jobs", "n_jobs", "num_workers", "parallel", "concurrency"),
    "cluster.device": ("device",),
    "tracking.uri": ("mlflow", "tracking_uri", "mlflow_uri", "mlflow_tracking_uri"),
    "decision.margin_percent": ("margin",),
    "decision.metrics": ("metrics", "guardrails"),
    "method.metric": ("metric",),
    "method.command": ("command", "cmd", "script", "run_command"),
    "method.dtype": ("precision", "bf16", "fp16", "torch_dtype"),
    "method.micro_batch_size": ("per_device_train_batch_size", "micro_batch", "micro_bs"),
}
# Of difflib's ratio: tests/config/test_meant.py has slips of the fingers and words of other trades; measured
# there: 0.5 names a key for 19 of 58 such words, 0.65 for 3, and of 55 slips 54 and 51 are understood.
NEAR = 0.65


def did_you_mean(name: str, options: Sequence[str] = ()) -> str:
    """A question with the key that was meant, to be put behind a sentence; empty where none is near.

    options: the keys that there are; all of them by default. A key that is one elsewhere needs no question.
    """
    meant = meant_by(name, options)
    return "" if meant == name else _question(meant)


def alike(name: str, options: Sequence[str]) -> str:
    """The same of names that are no keys, such as a group's members, by their spelling alone."""
    return _question(next(iter(difflib.get_close_matches(name, options, n=1, cutoff=NEAR)), ""))


def _question(meant: str) -> str:
    return f" (did you mean {meant!r}?)" if meant else ""


def meant_by(name: str, options: Sequence[str] = ()) -> str:
    """The key that was meant: by another tool's word, by the end of its name, or spelt alike; else empty."""
    known = options or known_keys()
    plain = name.strip().lstrip("+~-").replace("-", "_")
    if plain in known:
        return plain
    if key := called(plain):
        return key
    last = plain.rpartition(".")[2].lower()
    ending = [key for key in known if key.rpartition(".")[2] == last]
    if ending and "." not in plain:
        return ending[0]  # in the order of the groups
    alike = difflib.get_close_matches(plain, ending or known, n=1, cutoff=0.0 if ending else NEAR)
    return next(iter(alike), "")


def elsewhere(name: str) -> str:
    """Which members have a key that the chosen one lacks; empty where none has."""
    options = [
        option.label
        for option in read_conf(config_root() / "conf")
        if option.group and any(key.path == name or key.path.startswith(f"{name}.") for key in option.keys)
    ]
    return f"; it is a key of {' and '.join(options)}" if options else ""


def called(name: str) -> str:
    """The key that other tools, or people, call so; empty where nobody does."""
    return _other_words().get(name.lstrip("+~-").replace("-", "_").rpartition(".")[2].lower(), "")


@cache
def known_keys() -> tuple[str, ...]:
    """Every key of every group, and the groups."""
    listed = [key.path for option in read_conf(config_root() / "conf") for key in option.keys]
    return tuple(dict.fromkeys((*group_names(), *CALLED, *listed)))


@cache
def _other_words() -> dict[str, str]:
    settings = {
        word: key_of(name) for name, facts in KNOWN.items() if facts.group for word in (name, *facts.aliases)
    }
    return {word: key for key, words in CALLED.items() for word in words} | settings
