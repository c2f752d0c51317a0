"""A composed configuration as Hydra's own switches show it: `--cfg job|hydra|all` and `--info`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from omegaconf import OmegaConf

from bios_sweep.config.composed import Config
from bios_sweep.config.hydra_files import COMMAND_LINE, ROOT, composed_by_hydra, files_read
from bios_sweep.secrecy import masked

JOB, HYDRA, ALL = "job", "hydra", "all"


def as_yaml(config: Config, view: str) -> str:
    """The values that a command would use, Hydra's own, or both; secrets masked.

    Under `job` stand the values after what a path chooses and what is filled in, not what the files say.
    """
    parts = [_hydra_yaml(config.composed_of)] if view in (HYDRA, ALL) else []
    if view in (JOB, ALL):
        parts.append(OmegaConf.to_yaml(OmegaConf.create(dict(config.values))))
    return masked("".join(parts))


def _hydra_yaml(words: Sequence[str]) -> str:
    own = composed_by_hydra(words)["hydra"]
    return OmegaConf.to_yaml(OmegaConf.create({"hydra": OmegaConf.to_container(own, resolve=False)}))


def info_lines(config: Config) -> Iterator[str]:
    """Where files were looked for, which member each group has and by whom, and what was read in turn."""
    listed = files_read(config.composed_of)
    sources = composed_by_hydra(config.composed_of).hydra.runtime.config_sources
    yield "searched, in this order:"
    for source in sources:
        if source.schema == "file":
            yield f"  {source.path}"
    yield "chosen:"
    for group, how in listed.overrides.override_metadata.items():
        if group in config.members:
            who = COMMAND_LINE if how.external_override else how.containing_config_path
            yield f"  {group}={config.members[group]}  ({who})"
    yield f"chosen by {ROOT}.yaml:"
    for group, member in config.members.items():
        if not group.startswith("hydra/") and group not in listed.overrides.override_metadata and member:
            yield f"  {group}={member}"
    yield "read, the later over the earlier:"
    for one in listed.defaults:
        if one.config_path and not one.config_path.startswith("hydra"):
            yield f"  {one.config_path}" + (f" at {one.package}" if one.package else "")
    yield "notes:" if config.notes else "notes: none"
    for note in config.notes:
        yield f"  {masked(note)}"
