"""The command of a sweep: the overrides it was run with, and the text to type again."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bios_sweep.config.sweep_file import key_set_by, without

FLAG = "--config-dir"


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """`bios-sweep run OVERRIDES --config-dir DIR`, which is also its `str`.

    overrides: as typed, but for secrets, which are masked: it is kept and shown. config_dir: as given.
    """

    overrides: tuple[str, ...]
    config_dir: Path | None = None

    def __str__(self) -> str:
        folder = [] if self.config_dir is None else [FLAG, str(self.config_dir)]
        return shlex.join(["bios-sweep", "run", *self.overrides, *folder])

    def to_dict(self) -> dict[str, Any]:
        """What `plan.json` keeps: the text for people, the list for us."""
        folder = None if self.config_dir is None else str(self.config_dir)
        return {"command": str(self), "overrides": list(self.overrides), "config_dir": folder}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> CommandLine:
        """Inverse of `to_dict`. Plans of before 2026-11-29 have the text alone, which is split here."""
        if "overrides" not in stored:
            return cls._split(stored["command"])
        folder = stored["config_dir"]
        return cls(overrides=tuple(stored["overrides"]), config_dir=None if folder is None else Path(folder))

    @classmethod
    def _split(cls, text: str) -> CommandLine:
        words = shlex.split(text)[2:]
        place = words.index(FLAG) if FLAG in words else len(words)
        folder = words[place + 1 : place + 2]
        overrides = (*words[:place], *words[place + 2 :])
        return cls(overrides=overrides, config_dir=Path(folder[0]) if folder else None)

    def without(self, keys: Sequence[str]) -> CommandLine:
        """The same without what sets one of the keys, or anything inside one."""
        return dataclasses.replace(self, overrides=tuple(without(self.overrides, keys)))

    def replaced(self, typed: Sequence[str]) -> CommandLine:
        """The same with further overrides, in place of those of the same keys."""
        kept = without(self.overrides, [key_set_by(override) for override in typed])
        return dataclasses.replace(self, overrides=(*kept, *typed))
