"""Compose the Hydra config of a command into plain values, with errors that say what is allowed.

Hydra configures and does nothing else: no hydra.main (it exits 1 on a typo and rejects our flags),
no launcher, no `instantiate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep.config.allowed import refuse_code, refuse_values
from bios_sweep.config.composed import Config, with_later_keys
from bios_sweep.config.environment import listed_variables
from bios_sweep.config.groups import chosen_by, depends_on_choice, members_of_paths, with_hub_models
from bios_sweep.config.hydra_files import choosers, composed_by_hydra, plain, with_search_path
from bios_sweep.config.limits import require_modest_file, require_modest_word
from bios_sweep.config.method import RUNNER_KEY, preset_of_runner, with_parts
from bios_sweep.config.not_found import CLUSTER_KEYS, no_such_key, no_such_member
from bios_sweep.config.own_sweep import is_path, member_of_file, name_of
from bios_sweep.config.places import config_root, sweep_names, user_paths
from bios_sweep.config.typed import OWN_VARIABLES, SWEEPS, read_words, unquoted
from bios_sweep.errors import ConfigError

# keys below these are a user's own words, which no file of ours has
OPEN_MAPPINGS = (
    "method.settings",
    OWN_VARIABLES,
    *(f"model.planted.{name}" for name in ("metrics", "interactions", "truth")),
)


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


def _composed(typed: Sequence[str], config_dir: Path | None) -> Config:
    _refuse_immodest(typed, config_dir)
    refuse_code(typed)
    of_hub, named = with_hub_models(typed, (config_root(), *user_paths(config_dir)))
    overrides = [_added(word, config_dir) for word in read_words(of_hub)]
    if preset := preset_of_runner(overrides):
        overrides = [f"method={preset}", *overrides]
        named = [*named, chosen_by(RUNNER_KEY, f"method={preset}")]
    words = with_search_path(overrides, config_dir)
    with _in_our_words(overrides, config_dir):
        config = composed_by_hydra(words)
        values = plain(config)
        chooser = choosers(words) if depends_on_choice(values) else {}
    if belonging := members_of_paths(values, chooser):
        overrides = [*(f"{group}={member}" for group, member in belonging.items()), *overrides]
        words = with_search_path(overrides, config_dir)
        with _in_our_words(overrides, config_dir):
            config = composed_by_hydra(words)
            values = plain(config)
    members = {str(group): member for group, member in config.hydra.runtime.choices.items()}
    if "method" in values:
        values["method"] = with_parts(values["method"])
    values = with_later_keys(values)
    refuse_values(values)
    return Config(
        values=values,
        sweep=name_of(members.get(SWEEPS)),
        overrides=tuple(typed),
        composed_of=tuple(words),
        members=members,
        chooser=chooser,
        notes=(*named, *(chosen_by(f"{group}.path", f"{group}={one}") for group, one in belonging.items())),
    )


@contextmanager
def _in_our_words(overrides: Sequence[str], config_dir: Path | None) -> Iterator[None]:
    """What Hydra and its readers raise, as one sentence with the way out."""
    try:
        yield
    except RecursionError as error:
        raise ConfigError("the configuration is nested too deep to be read") from error
    except YAMLError as error:
        raise ConfigError(f"a config file cannot be read as YAML: {' '.join(str(error).split())}") from error
    except MissingConfigException as error:
        raise ConfigError(no_such_member(error, config_dir)) from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(no_such_key(error, overrides, config_dir)) from error


def _refuse_immodest(overrides: Sequence[str], config_dir: Path | None) -> None:
    """Refuse what is too large or too deep, in words or a person's own files, before Hydra reads it."""
    if config_dir is not None and not config_dir.is_dir():
        raise ConfigError(f"--config-dir: {config_dir} is not a folder")
    for word in overrides:
        require_modest_word(word)
    for folder in user_paths(config_dir):
        for path in sorted(folder.glob("*/*.yaml")):
            try:
                require_modest_file(path)
            except (OSError, ValueError) as error:
                raise ConfigError(f"{path}: cannot be read ({error})") from error


def _added(override: str, config_dir: Path | None) -> str:
    """An override of what no chosen file need have, as Hydra adds one: a key, or a sweep of a file.

    Settings of one's own and a planted world's further metrics are in no file of ours, and `cluster=inline`
    has few keys of a cluster: what such a value means there `config.stated` says.
    """
    if override.startswith(f"{SWEEPS}=") and is_path(file := unquoted(override.partition("=")[2])):
        return f"{SWEEPS}={member_of_file(file, sweep_names(config_dir))}"
    key, given, _ = override.partition("=")
    own = re.match(rf"({'|'.join(map(re.escape, OPEN_MAPPINGS))})[.=]", override)
    return f"++{override}" if own or (given and key in CLUSTER_KEYS) else override
