"""Hydra on our files: started here alone, for one reading of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bios_sweep.config.hydra_words import in_our_words
from bios_sweep.config.places import config_root, user_paths
from bios_sweep.config.typed import quoted
from bios_sweep.errors import ConfigError
from bios_sweep.settings import baseline_values

ROOT = "config"  # the file that everything begins with
COMMAND_LINE = "command line"


def with_search_path(overrides: Sequence[str], config_dir: Path | None) -> list[str]:
    """The words that Hydra is given: the overrides, and where files of groups are looked for."""
    paths = [config_root(), *user_paths(config_dir)]
    searched = ",".join(quoted(f"file://{path}", braces=True) for path in paths)
    return [*overrides, f"hydra.searchpath=[{searched}]"]


def composed_by_hydra(words: Sequence[str]) -> DictConfig:
    """All files with the words over them, Hydra's own part included."""
    with _hydra():
        return compose(ROOT, overrides=list(words), return_hydra_config=True)


def files_read(words: Sequence[str]) -> Any:
    """The files that the words choose, in the order in which they are read, each with who chose it.

    Hydra's own `DefaultsList`, a type that it keeps to itself.
    """
    with _hydra():
        loader = GlobalHydra.instance().config_loader()
        return loader.compute_defaults_list(ROOT, list(words), RunMode.RUN)


def choosers(words: Sequence[str]) -> dict[str, str]:
    """Group -> who chose its member; config.yaml, which chooses for all groups, is not told."""
    return {
        group: COMMAND_LINE if how.external_override else str(how.containing_config_path)
        for group, how in files_read(words).overrides.override_metadata.items()
    }


def plain(config: DictConfig) -> dict[str, Any]:
    """The values without Hydra's own part, every reference resolved.

    Raises:
        ConfigError: a reference that leads nowhere, or a value that is still missing.
    """
    try:
        return unresolved(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(in_our_words(error)) from error


def unresolved(config: DictConfig, **how: Any) -> dict[str, Any]:
    """The values without Hydra's own part, references as they are written."""
    own = OmegaConf.create({key: config._get_node(key) for key in config if key != "hydra"})
    values = OmegaConf.to_container(own, **how)
    assert isinstance(values, dict)  # config.yaml is a mapping
    return {str(key): value for key, value in values.items()}


def _hydra() -> initialize_config_dir:
    """Hydra on our files and, as `settings`, the settings' own defaults, which no file repeats."""
    ConfigStore.instance().store(name="settings", node=baseline_values(), package="_global_")
    GlobalHydra.instance().clear()
    return initialize_config_dir(config_dir=str(config_root() / "conf"), version_base="1.3")
