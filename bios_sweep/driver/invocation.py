"""What a person asks for, by whichever way it came: a command line, or a call from Python."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bios_sweep.checks import not_allowed, shown
from bios_sweep.config.composed import Config
from bios_sweep.config.sweep_file import key_set_by, without
from bios_sweep.driver.composing import composed
from bios_sweep.errors import ConfigError, InputError
from bios_sweep.mounts import existing
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked

NO_FOLDERS = ("[]", "{}", "null", "none", "false", "true")  # meant as values, and no names of folders
PROGRAM, FLAG = "bios-sweep run ", "--config-dir"


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

    @property
    def command(self) -> str:
        """The `run` that it stands for, as it can be typed again; secrets masked."""
        if self.called:
            return self.called
        folder = [FLAG, str(self.config_dir)] if self.config_dir else []
        return (PROGRAM + shlex.join([*map(masked, self.overrides), *folder])).rstrip()

    def following(self, sweep: str) -> str:
        """The `run --next` that follows a sweep of that name; empty where no command line stands for it."""
        if self.called:
            return ""
        kept = [word for word in self.overrides if key_set_by(word) in ("workspace", "tracking.uri")]
        folder = [FLAG, str(self.config_dir)] if self.config_dir else []
        return PROGRAM + shlex.join(["--next", f"sweeps={sweep}", *map(masked, kept), *folder])

    def to_dict(self) -> dict[str, Any]:
        """What `plan.json` keeps: the text for people, the parts for us; none of a call from Python."""
        folder = None if self.config_dir is None else str(self.config_dir)
        overrides = None if self.called else [*map(masked, self.overrides)]
        return {"command": self.command, "overrides": overrides, "config_dir": folder}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Invocation:
        """Inverse of `to_dict`. Earlier versions kept the text alone, which is split here."""
        if "overrides" not in stored:
            return _split(stored["command"])
        if stored["overrides"] is None:
            return cls(called=stored["command"])
        folder = stored["config_dir"]
        return cls(overrides=tuple(stored["overrides"]), config_dir=None if folder is None else Path(folder))

    def without(self, keys: Sequence[str]) -> Invocation:
        """The same without what sets one of the keys, or anything inside one."""
        return replace(self, overrides=tuple(without(self.overrides, keys)))

    def replaced(self, typed: Sequence[str]) -> Invocation:
        """The same with further overrides, in place of those of the same keys.

        Raises:
            InputError: it is a call from Python, which takes a function of one's own.
        """
        if self.called:
            raise InputError(f"this sweep was run from Python; call {self.called} with what to ask next")
        others = without(self.overrides, [key_set_by(override) for override in typed])
        return replace(self, overrides=(*others, *typed))

    def composed(self) -> Config:
        """Its configuration."""
        return composed(self.overrides, self.config_dir)


def _split(command: str) -> Invocation:
    words = shlex.split(command)[2:]
    place = words.index(FLAG) if FLAG in words else len(words)
    folder = words[place + 1 : place + 2]
    overrides = (*words[:place], *words[place + 2 :])
    return Invocation(overrides=overrides, config_dir=Path(folder[0]) if folder else None)


def workspace_of(config: Config) -> Workspace:
    """The configured workspace.

    Raises:
        ConfigError: no folder is named.
    """
    given = config.values["workspace"]
    if given is None or (isinstance(given, str) and not given.strip()):
        raise ConfigError("workspace: missing; give a folder such as workspace=./bios_runs")
    if not isinstance(given, str) or given in NO_FOLDERS or "\0" in given:
        raise not_allowed("workspace", given, "a folder such as ./bios_runs")
    workspace = Workspace(Path(given))
    _require_folder(workspace.root)
    return workspace


def _require_folder(root: Path) -> None:
    """Refuse what can never be a workspace: the root of the file system, a file, a place below one."""
    if root == Path(root.anchor):
        raise ConfigError(f"workspace: {root} is all of the file system; give a folder of its own in it")
    try:
        there = existing(root)
        holds = there.is_dir()
    except OSError as error:
        raise ConfigError(f"workspace: {shown(str(root))} can be no folder ({error.strerror})") from error
    if not holds:
        raise ConfigError(f"workspace: {there} is no folder; give one such as ./bios_runs")
