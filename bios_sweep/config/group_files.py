"""Our own group files as they land in the configuration: each with what its base brings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bios_sweep.config.places import config_root

GLOBAL = "# @package _global_"


@cache
def member_names(group: str) -> tuple[str, ...]:
    """The members of a group that come with the package."""
    return tuple(sorted(path.stem for path in (config_root() / "conf" / group).glob("*.yaml")))


@cache
def member_values(group: str, member: str | None) -> Mapping[str, Any]:
    """The values that a member brings, from the configuration's top; nothing for a user's own."""
    folder = config_root() / ("sweeps" if group == "sweeps" else f"conf/{group}")
    path = folder / f"{member}.yaml"
    if member is None or not path.is_file():
        return {}
    values = file_values(path)
    return values if path.read_text(encoding="utf-8").startswith(GLOBAL) else {group: values}


def file_values(path: Path) -> dict[str, Any]:
    """The values of a file over those of the files beside it that its defaults name."""
    loaded = OmegaConf.to_container(OmegaConf.load(path))
    values = {str(name): value for name, value in loaded.items()} if isinstance(loaded, dict) else {}
    bases = [path.with_name(f"{name}.yaml") for name in values.pop("defaults", ()) if isinstance(name, str)]
    for base in filter(Path.is_file, bases):
        values = file_values(base) | values
    return values
