"""`sweeps=./my.yaml`: a sweep's file by its path, beside the sweeps that are known by their names."""

from __future__ import annotations

import re

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep.config.groups import GLOBAL
from bios_sweep.config.limits import require_modest_file
from bios_sweep.errors import ConfigError
from bios_sweep.paths import expanded

ENDINGS = (".yaml", ".yml")
MARK = "file__"  # before the name of such a sweep among Hydra's members, where no file of a group has it


def is_path(value: str) -> bool:
    """Whether what chooses a sweep is a file's path and not a name."""
    return "/" in value or value.startswith("~") or value.endswith(ENDINGS)


def member_of_file(value: str, names: list[str]) -> str:
    """Hand the file to Hydra as a member of `sweeps`, and return the member's name.

    names: of the sweeps that are there, for `sweeps=demo.yaml` may be meant as one of them.

    Raises:
        ConfigError: there is no such file, or it is no YAML with names and values.
    """
    path = expanded(value)
    if not path.is_file():
        if value.removesuffix(".yaml") in names:
            return value.removesuffix(".yaml")
        what = "is a folder; name the file" if path.is_dir() else "there is no such file"
        raise ConfigError(
            f"sweeps={value}: {what}; give a file such as ./my.yaml, or a name of {', '.join(names)}"
        )
    try:
        require_modest_file(path)
        text = path.read_text(encoding="utf-8")
        content = OmegaConf.create(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"sweeps={value}: the file cannot be read ({error})") from error
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(
            f"sweeps={value}: the file cannot be read as YAML: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(content, DictConfig):
        raise ConfigError(f"sweeps={value}: the file has no names with values; it needs question and factors")
    member = MARK + (re.sub(r"[^\w-]+", "_", path.name.removesuffix(path.suffix), flags=re.ASCII) or "sweep")
    package = "_global_" if text.startswith(GLOBAL) else None
    ConfigStore.instance().store(group="sweeps", name=member, node=content, package=package)
    return member


def name_of(member: str | None) -> str | None:
    """The sweep's name: of a file, the file's without its ending, in plain letters."""
    return None if member is None else member.removeprefix(MARK)
