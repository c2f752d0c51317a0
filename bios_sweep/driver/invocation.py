"""What a person asks for, by whichever way it came: a command line, or a call from Python."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from bios_sweep.config.compose import Config, compose_config
from bios_sweep.errors import ConfigError, InputError
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked

PROGRAM = "bios-sweep run "


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """Hydra overrides as they were typed, and the folder of a person's own groups.

    verb: what they were typed for; a value may count for one verb and not for another. called: the call,
    where it came from Python and no command line can stand for it.
    """

    overrides: tuple[str, ...] = ()
    config_dir: Path | None = None
    verb: str = "run"
    called: str = ""

    @classmethod
    def parse(cls, command: str) -> Invocation:
        """Inverse of `command`.

        Raises:
            InputError: it is a call from Python, which takes a function of one's own.
        """
        if not f"{command} ".startswith(PROGRAM):
            raise InputError(f"this sweep was run from Python; call {command} with what to ask next")
        words = shlex.split(command[len(PROGRAM) :])
        if "--config-dir" not in words:
            return cls(overrides=tuple(words))
        place = words.index("--config-dir")
        return cls(overrides=(*words[:place], *words[place + 2 :]), config_dir=Path(words[place + 1]))

    @property
    def command(self) -> str:
        """The `run` that it stands for, as it can be typed again; secrets masked."""
        if self.called:
            return self.called
        folder = ["--config-dir", str(self.config_dir)] if self.config_dir else []
        return (PROGRAM + shlex.join([*map(masked, self.overrides), *folder])).rstrip()

    def composed(self) -> Config:
        """Its configuration."""
        return compose_config(self.overrides, self.config_dir)


def workspace_of(config: Config) -> Workspace:
    """The configured workspace.

    Raises:
        ConfigError: no folder is named.
    """
    if config.values["workspace"] in (None, ""):
        raise ConfigError("workspace: missing; give a folder such as workspace=./bios_runs")
    return Workspace(Path(str(config.values["workspace"])))
