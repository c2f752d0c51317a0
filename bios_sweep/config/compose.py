"""Compose the Hydra config of a command into plain values, with errors that say what is allowed.

Hydra configures and does nothing else: no hydra.main (it exits 1 on a typo and rejects our flags),
no launcher, no `instantiate`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep.checks import not_allowed
from bios_sweep.config.composed import CAME_LATER, Config
from bios_sweep.config.environment import listed_variables
from bios_sweep.config.groups import (
    MEMBERS,
    chosen_by,
    depends_on_choice,
    group_names,
    member_keys,
    member_names,
    members_of_paths,
    with_hub_models,
)
from bios_sweep.config.hydra_words import in_our_words
from bios_sweep.config.limits import require_modest_file, require_modest_word
from bios_sweep.config.meant import alike, did_you_mean, elsewhere
from bios_sweep.config.method import RUNNER_KEY, preset_of_runner, with_parts
from bios_sweep.config.own_sweep import ENDINGS, is_path, member_of_file, name_of
from bios_sweep.config.places import config_root, sweep_names, user_paths
from bios_sweep.config.typed import OWN_VARIABLES, SWEEPS, TEXTS, parts, quoted, read_words, unquoted
from bios_sweep.errors import ConfigError
from bios_sweep.request import request_keys
from bios_sweep.secrecy import secret_in, texts
from bios_sweep.settings import KNOWN, baseline_values

ROOT = "config"  # the file that everything begins with
FORBIDDEN_KEY = "_target_"  # names code to run; nothing of ours instantiates, so it can only be an attack
OWN_SETTINGS = "method.settings"
OPEN_MAPPINGS = (
    OWN_SETTINGS,
    OWN_VARIABLES,
    *(f"model.planted.{name}" for name in ("metrics", "interactions", "truth")),
)
FACTORS = ("sweeps.factors", "sweeps.cross")
# what a sweep's file keeps -> the keys below it that hold lists, and how it is written there
IN_FILES = {
    "factors": (r"\w+\.(multiply|values)", "factors: {learning_rate: {multiply: [0.5, 2]}}"),
    "cross": (r"[\w.]+", "cross: {lora_rank: [8, 32, 128]}"),
}
TOLD_IN_FILES = {"factors": "factors stand", "cross": "what factors are crossed with stands"}
TOP_KEYS = ("workspace", "on_verdict", "seeds", "sweeps")
OPTIONAL_KEYS = (
    "sweeps",
    "submit",
    "on_verdict",
)  # by a command, or younger than a user's file
COMMAND_LINE = "command line"
CLUSTER_KEYS = tuple(f"cluster.{name}" for name in request_keys())


def compose_config(overrides: Sequence[str], config_dir: Path | None = None) -> Config:
    """Compose `conf/config.yaml` with the overrides of a command line.

    A path that is given chooses the member of its group that reads it (see `config.groups`).
    config_dir: a user's folder with groups of their own (`sweeps/`, `model/`, ... or `conf/model/`, ...).

    Raises:
        ConfigError: an unknown key or group member (with the nearest known one), a syntax error, a
            missing value, or a key that names code.
    """
    with listed_variables() as read:
        return replace(_composed(overrides, config_dir), variables=tuple(read))


def _composed(overrides: Sequence[str], config_dir: Path | None) -> Config:
    if config_dir is not None and not config_dir.is_dir():
        raise ConfigError(f"--config-dir: {config_dir} is not a folder")
    for word in overrides:
        require_modest_word(word)
    _require_modest_files(config_dir)
    _refuse_code(overrides)
    typed, (words, named) = overrides, with_hub_models(overrides, (config_root(), *user_paths(config_dir)))
    overrides = [_added(word, config_dir) for word in read_words(words)]
    preset = preset_of_runner(overrides)
    overrides = [*([f"method={preset}"] if preset else []), *overrides]
    try:
        config = _compose(overrides, config_dir)
        plain = _plain(config)
        chooser = _choosers(overrides, config_dir) if depends_on_choice(plain) else {}
        belonging = members_of_paths(plain, chooser)
        if belonging:
            overrides = [*(f"{group}={member}" for group, member in belonging.items()), *overrides]
            config = _compose(overrides, config_dir)
    except RecursionError as error:
        raise ConfigError("the configuration is nested too deep to be read") from error
    except YAMLError as error:
        raise ConfigError(f"a config file cannot be read as YAML: {' '.join(str(error).split())}") from error
    except MissingConfigException as error:
        raise ConfigError(_missing(error, config_dir)) from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(_unknown(error, overrides, config_dir)) from error
    members = {str(group): member for group, member in config.hydra.runtime.choices.items()}
    values = _plain(config)
    if "method" in values:
        values["method"] = with_parts(values["method"])
    _refuse_code_keys(values, "")
    values = _with_later_keys(values)
    _refuse_unknown_keys(values)
    _refuse_endless(values, "")
    _refuse_secrets(values)
    return Config(
        values=values,
        sweep=name_of(members.get(SWEEPS)),
        overrides=tuple(typed),
        composed_of=tuple(_words(overrides, config_dir)),
        members=members,
        chooser=chooser,
        notes=(
            *named,
            *((chosen_by(RUNNER_KEY, f"method={preset}"),) if preset else ()),
            *(chosen_by(f"{group}.path", f"{group}={member}") for group, member in belonging.items()),
        ),
    )


def _require_modest_files(config_dir: Path | None) -> None:
    """Of a person's own folder: what is too large or too deep is refused before Hydra reads it."""
    for folder in user_paths(config_dir):
        for path in sorted(folder.glob("*/*.yaml")):
            try:
                require_modest_file(path)
            except (OSError, ValueError) as error:
                raise ConfigError(f"{path}: cannot be read ({error})") from error


def _added(override: str, config_dir: Path | None) -> str:
    """An override of what no chosen file need have, as Hydra adds one: a key, or a sweep of a file.

    Settings of one's own and a planted world's further metrics are in no file of ours, and `cluster=inline`
    has few keys of a cluster: what such a value means there `config.idle` says.
    """
    if override.startswith(f"{SWEEPS}=") and is_path(file := unquoted(override.partition("=")[2])):
        return f"{SWEEPS}={member_of_file(file, sweep_names(config_dir))}"
    key, given, _ = override.partition("=")
    own = re.match(rf"({'|'.join(map(re.escape, OPEN_MAPPINGS))})[.=]", override)
    return f"++{override}" if own or (given and key in CLUSTER_KEYS) else override


def _compose(overrides: Sequence[str], config_dir: Path | None) -> DictConfig:
    with hydra():
        return compose(ROOT, overrides=_words(overrides, config_dir), return_hydra_config=True)


def _choosers(overrides: Sequence[str], config_dir: Path | None) -> dict[str, str]:
    """Group -> who chose its member; config.yaml, which chooses for all groups, is not told."""
    with hydra():
        loader = GlobalHydra.instance().config_loader()
        words = _words(overrides, config_dir)
        chosen = loader.compute_defaults_list(ROOT, words, RunMode.RUN).overrides.override_metadata
    return {
        group: COMMAND_LINE if how.external_override else str(how.containing_config_path)
        for group, how in chosen.items()
    }


def hydra() -> initialize_config_dir:
    """Hydra on our files and, as `settings`, the settings' own defaults, which no file repeats."""
    ConfigStore.instance().store(name="settings", node=baseline_values(), package="_global_")
    GlobalHydra.instance().clear()
    return initialize_config_dir(config_dir=str(config_root() / "conf"), version_base="1.3")


def _words(overrides: Sequence[str], config_dir: Path | None) -> list[str]:
    paths = [config_root(), *user_paths(config_dir)]
    searched = ",".join(quoted(f"file://{path}", braces=True) for path in paths)
    return [*overrides, f"hydra.searchpath=[{searched}]"]


def _plain(config: DictConfig) -> dict[str, Any]:
    try:
        return _container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(in_our_words(error)) from error


def _container(config: DictConfig, **how: Any) -> dict[str, Any]:
    own = OmegaConf.create({key: config._get_node(key) for key in config if key != "hydra"})
    values = OmegaConf.to_container(own, **how)
    assert isinstance(values, dict)  # config.yaml is a mapping
    return {str(key): value for key, value in values.items()}


def _refuse_code(overrides: Sequence[str]) -> None:
    for override in overrides:
        _, key, _, value = parts(override)
        code = FORBIDDEN_KEY in key or (FORBIDDEN_KEY in value and key not in TEXTS)
        if code or re.match(r"hydra([./@]|$)", key):
            raise ConfigError(f"the override {override!r} is not allowed: configs name values, never code")


def _refuse_code_keys(values: Any, path: str) -> None:
    if isinstance(values, Mapping):
        for key, value in values.items():
            if str(key).startswith("_") and str(key).endswith("_"):
                raise ConfigError(f"{path}{key} is not allowed: configs name values, never code")
            _refuse_code_keys(value, f"{path}{key}.")
    elif isinstance(values, list):
        for item in values:
            _refuse_code_keys(item, path)


def _refuse_endless(values: Any, path: str) -> None:
    """Refuse numbers that no JSON holds; those of settings have checks of their own, with the range."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key not in KNOWN or isinstance(value, Mapping):  # below a setting's name a shape may stand
                _refuse_endless(value, f"{path}.{key}".lstrip("."))
    elif isinstance(values, list):
        for item in values:
            _refuse_endless(item, path)
    elif isinstance(values, float) and not math.isfinite(values):
        raise not_allowed(path, values, "it must be a finite number")


def _refuse_secrets(values: Mapping[str, Any]) -> None:
    """All of a configuration is written down with the plan; only the tracking address is not."""
    for path, text in texts(values):
        kind = None if path == "tracking.uri" else secret_in(text)
        if kind is not None:
            raise ConfigError(
                f"{path}: holds {kind}, which would be kept with the plan; "
                "put it into an environment variable, which the trials inherit"
            )


def _refuse_unknown_keys(values: Mapping[str, Any]) -> None:
    """Refuse a key that nothing reads: one added by `+key`, or misspelt in a user's own group file.

    A key that all files of a group have is read, so one that a `~key` or a user's file leaves out is
    refused too.
    """
    known = [*group_names(), *TOP_KEYS]
    for key in values:
        if key not in known:
            raise ConfigError(
                f"unknown key {key!r}{did_you_mean(key, known)}; allowed are {', '.join(known)}"
            )
    for key in known:
        if key not in values and key not in OPTIONAL_KEYS:
            raise ConfigError(f"{key}: is missing; leave out no part of the configuration")
    for group in group_names():
        if group in values:
            _refuse_unknown_group_keys(group, values[group])


def _with_later_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the keys that a user's own group file cannot have, for it is older than they are."""
    later = {group: keys for group, keys in CAME_LATER.items() if isinstance(values.get(group), Mapping)}
    return {**values, **{group: {**keys, **values[group]} for group, keys in later.items()}}


def _refuse_unknown_group_keys(group: str, value: Any) -> None:
    listed = [member_keys(group, member) for member in member_names(group)]
    settings = baseline_values().get(group, {})
    known = sorted({*settings, *(name for names in listed for name in names)})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{group}: {value!r} is not allowed; it holds {', '.join(known)}")
    for name in value:
        if name not in known:
            near = did_you_mean(f"{group}.{name}", [f"{group}.{option}" for option in known])
            raise ConfigError(f"unknown key '{group}.{name}'{near}; {group} has {', '.join(known)}")
    for name in sorted({*settings, *listed[0].intersection(*listed[1:])}):
        if name not in value:
            raise ConfigError(f"{group}.{name}: is missing; {group} needs it, null where it has no value")


def _missing(error: MissingConfigException, config_dir: Path | None) -> str:
    wanted = str(error.missing_cfg_file or "")
    group, _, name = wanted.rpartition("/")
    options = sweep_names(config_dir) if group == "sweeps" else list(error.options or ())
    if not options:
        return f"no config {wanted!r}: {in_our_words(error)}"
    kind = "sweep" if group == "sweeps" else group
    near = alike(name, options)
    return (
        f"{group}={name}: there is no such {kind}{near}; choose from {', '.join(options)}{_file(group, name)}"
    )


def _file(group: str, name: str) -> str:
    """That a file of the name is here, which has to be typed as one."""
    if group == SWEEPS:
        here = next((f"{name}{end}" for end in ENDINGS if Path(f"{name}{end}").is_file()), "")
        return f"; the file here is sweeps=./{here}" if here else ""
    return f"; a path is given as {group}.path={name}" if group in MEMBERS and Path(name).exists() else ""


def _unknown(error: Exception, overrides: Sequence[str], config_dir: Path | None) -> str:
    """Hydra advises `+key`, which would add a setting that nothing reads; the nearest known key is better."""
    try:
        choices = [item for item in overrides if item.partition("=")[0] in (*group_names(), SWEEPS)]
        known = [*_keys(_container(_compose(choices, config_dir))), *CLUSTER_KEYS, SWEEPS]
    except (HydraException, OmegaConfBaseException, ValueError):
        return in_our_words(error)
    for override in overrides:
        key = parts(override)[1]
        if _is_factor(key) and (key in FACTORS or key not in known):
            return _factors_in_files(key, known)
        if key and key not in known and not any(name.startswith(f"{key}.") for name in known):
            return f"unknown key {key!r}{did_you_mean(key, known)}{elsewhere(key)}"
    return in_our_words(error)


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
