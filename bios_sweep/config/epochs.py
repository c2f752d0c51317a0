"""`budget.hold=epochs`: their number becomes a setting that only the script knows, and its placeholder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bios_sweep.checks import is_number, is_positive, not_allowed
from bios_sweep.errors import ConfigError
from bios_sweep.method import Runner
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import EPOCHS, Origin
from bios_sweep.study.scenario import Scenario


def with_epochs(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values with the epochs among `method.settings`; as they are where epochs are not held.

    Raises:
        ConfigError: how many is not said, or twice, or the command would not tell the script.
    """
    budget, method = values["budget"], values["method"]
    if budget["hold"] != EPOCHS:
        return values
    own = method.get("settings") or {}
    if not isinstance(own, Mapping):
        return values  # refused where it is read
    given, epochs = own.get(EPOCHS), budget.get(EPOCHS)
    if given is not None and epochs is not None and given != epochs:
        raise ConfigError(
            f"budget.epochs: {epochs!r}, and method.settings.epochs is {given!r}; leave one of the two out"
        )
    epochs = next((one for one in (epochs, given, _counted(values)) if one is not None), None)
    if epochs is None:
        raise ConfigError(
            "budget.epochs: missing; budget.hold=epochs needs how many, such as budget.epochs=3 (or "
            "budget.max_steps, baseline.batch_size and data.train_examples, which say it)"
        )
    if not is_positive(epochs):
        raise not_allowed("budget.epochs", epochs, "a number above 0")
    command = method.get("command")
    elsewhere = method.get("settings_template") or method.get("env")  # looked at where they are read
    asked = method.get("runner") == Runner.COMMAND and isinstance(command, str) and not elsewhere
    if asked and "{epochs}" not in str(command):
        raise ConfigError(
            "budget.hold=epochs: method.command has no {epochs}, so the script would never hear how many; "
            "add --num_train_epochs {epochs} as the script spells it"
        )
    return {
        **values,
        "budget": {**budget, EPOCHS: epochs},
        "method": {**method, "settings": {**own, EPOCHS: epochs}},
    }


def _counted(values: Mapping[str, Any]) -> int | float | None:
    """The epochs that steps, batch size and training examples come to, where all three are given."""
    steps, batch = values["budget"]["max_steps"], values["baseline"]["batch_size"]
    examples = values["data"].get("train_examples")
    if not (is_number(steps) and is_number(batch) and is_number(examples) and examples > 0):
        return None
    epochs = float(steps * batch / examples)
    return int(epochs) if epochs == math.floor(epochs) else epochs


def in_epochs(
    baseline: TrainingSettings, origins: Mapping[str, Origin], scenario: Scenario
) -> tuple[TrainingSettings, dict[str, Origin]]:
    """The baseline with the steps that its epochs come to, where the number of examples is known.

    Raises:
        ConfigError: the script is to be told the steps, and nobody knows them.
    """
    size = baseline.train_examples or scenario.data.train_examples
    if not size:
        if "max_steps" in (scenario.carried or ()):
            raise ConfigError(
                "budget.hold=epochs: method.command also has {max_steps}, and how many steps the epochs come "
                "to is not known; give data.train_examples, or leave {max_steps} out"
            )
        return baseline, dict(origins)
    steps = math.ceil(baseline.own[EPOCHS] * size / baseline.batch_size)
    why = Origin(
        rule="epochs x examples / batch size",
        source="configuration",
        confidence="given",
        recommended=origins["max_steps"].recommended,
    )
    return replace(baseline, max_steps=steps), {**origins, "max_steps": why}
