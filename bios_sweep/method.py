"""A method, taken apart: what is trained, by which objective, and by whom.

`method=lora`, `method=full`, `method=dpo`, `method=command` and so on are presets of the three. Whoever must
know one of them asks for that part; the preset's name is for people alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from bios_sweep.settings import DORA, FULL, LORA, QLORA


class Objective(StrEnum):
    """By which loss. What is not said is supervised fine-tuning, the only one of earlier versions."""

    SFT = "sft"
    DPO = "dpo"


class Runner(StrEnum):
    """By whom: bios-sweep itself, or a command or a Python function of the user's own."""

    BUILTIN = "builtin"
    COMMAND = "command"
    PYTHON = "python"


@dataclass(frozen=True, kw_only=True)
class Method:
    """What is trained (`lora`, `dora`, `qlora`, `full`), by which objective, by whom.

    trains: None where a user's own script does not say; its settings are then those of LoRA, and its values
    are served to nobody.
    """

    trains: str | None = LORA
    objective: Objective = Objective.SFT
    runner: Runner = Runner.BUILTIN

    @property
    def scripted(self) -> bool:
        """Whether a script of the user's own trains."""
        return self.runner is not Runner.BUILTIN

    @property
    def name(self) -> str:
        """As people read it: `lora`, `command`, `command dpo`."""
        preset = str(self.runner if self.scripted else self.trains)
        return " ".join((preset, *self.identity().values()))

    def identity(self) -> dict[str, str]:
        """What of it identifies a trial beside settings and engine, which say what is trained and by whom.

        Empty for supervised fine-tuning, so that a trial of earlier versions keeps its key.
        """
        return {} if self.objective is Objective.SFT else {"objective": str(self.objective)}

    def to_dict(self) -> dict[str, str | None]:
        """Plain values, in the words of versions that had presets alone, which read what they could say."""
        script = {"method": str(self.runner), "trains": self.trains}
        return {**(script if self.scripted else {"method": self.trains, "trains": None}), **self.identity()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Method:
        """Inverse of `to_dict`; other values beside these are passed over."""
        preset = PRESETS[values["method"]]
        trains = values.get("trains") or preset.trains
        return replace(preset, trains=trains, objective=Objective(values.get("objective", Objective.SFT)))


PRESETS = {
    LORA: Method(),
    DORA: Method(trains=DORA),
    QLORA: Method(trains=QLORA),
    FULL: Method(trains=FULL),
    str(Objective.DPO): Method(objective=Objective.DPO),
    str(Runner.COMMAND): Method(trains=None, runner=Runner.COMMAND),
    str(Runner.PYTHON): Method(trains=None, runner=Runner.PYTHON),
}
