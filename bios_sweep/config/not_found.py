"""What is said where Hydra finds no such key, or no such member of a group: the nearest that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from bios_sweep.config.groups import MEMBERS, group_names
from bios_sweep.config.hydra_files import composed_by_hydra, unresolved, with_search_path
from bios_sweep.config.hydra_words import in_our_words
from bios_sweep.config.meant import alike, did_you_mean, elsewhere
from bios_sweep.config.own_sweep import ENDINGS
from bios_sweep.config.places import sweep_names
from bios_sweep.config.typed import SWEEPS, parts
from bios_sweep.request import request_keys

CLUSTER_KEYS = tuple(f"cluster.{name}" for name in request_keys())
FACTORS = ("sweeps.factors", "sweeps.cross")
# what a sweep's file keeps -> the keys below it that hold lists, and how it is written there
IN_FILES = {
    "factors": (r"\w+\.(multiply|values)", "factors: {learning_rate: {multiply: [0.5, 2]}}"),
    "cross": (r"[\w.]+", "cross: {lora_rank: [8, 32, 128]}"),
}
TOLD_IN_FILES = {"factors": "factors stand", "cross": "what factors are crossed with stands"}


def no_such_member(error: MissingConfigException, config_dir: Path | None) -> str:
    """Of a member that no file is of: those that there are, and how a file that lies here is given."""
    wanted = str(error.missing_cfg_file or "")
    group, _, name = wanted.rpartition("/")
    options = sweep_names(config_dir) if group == "sweeps" else list(error.options or ())
    if not options:
        return f"no config {wanted!r}: {in_our_words(error)}"
    kind = "sweep" if group == "sweeps" else group
    near = alike(name, options)
    here = _file_here(group, name)
    return f"{group}={name}: there is no such {kind}{near}; choose from {', '.join(options)}{here}"


def _file_here(group: str, name: str) -> str:
    """That a file of the name is here, which has to be typed as one."""
    if group == SWEEPS:
        here = next((f"{name}{end}" for end in ENDINGS if Path(f"{name}{end}").is_file()), "")
        return f"; the file here is sweeps=./{here}" if here else ""
    return f"; a path is given as {group}.path={name}" if group in MEMBERS and Path(name).exists() else ""


def no_such_key(error: Exception, overrides: Sequence[str], config_dir: Path | None) -> str:
    """Hydra advises `+key`, which would add a setting that nothing reads; the nearest known key is better."""
    try:
        known = [*_keys_there(overrides, config_dir), *CLUSTER_KEYS, SWEEPS]
    except (HydraException, OmegaConfBaseException, ValueError):
        return in_our_words(error)
    for override in overrides:
        key = parts(override)[1]
        if _is_factor(key) and (key in FACTORS or key not in known):
            return _factors_in_files(key, known)
        if key and key not in known and not any(name.startswith(f"{key}.") for name in known):
            return f"unknown key {key!r}{did_you_mean(key, known)}{elsewhere(key)}"
    return in_our_words(error)


def _keys_there(overrides: Sequence[str], config_dir: Path | None) -> Iterator[str]:
    """The keys of the files that the words choose, their values left aside."""
    choices = [word for word in overrides if word.partition("=")[0] in (*group_names(), SWEEPS)]
    return _keys(unresolved(composed_by_hydra(with_search_path(choices, config_dir))))


def _is_factor(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in FACTORS)


def _factors_in_files(key: str, known: Sequence[str]) -> str:
    """What varies is a question of its own, which a file keeps; a command line changes values of it."""
    kind = key.split(".")[1]
    written, example = IN_FILES[kind]
    there = [name for name in known if re.fullmatch(rf"sweeps\.{kind}\.{written}", name)]
    change = f"; a command line changes what it has: {there[0]}=[...]" if there else ""
    return (
        f"{key}: {TOLD_IN_FILES[kind]} in a sweep's file; write one, such as my_sweep.yaml with "
        f"{example}, and take sweeps=./my_sweep.yaml{change}"
    )


def _keys(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{path}{key}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{path}{key}.")
