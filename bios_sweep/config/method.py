"""`method.trains`, `method.objective` and `method.runner` as one value, whatever spelling says them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from bios_sweep.checks import not_allowed, one_of
from bios_sweep.errors import ConfigError
from bios_sweep.method import PRESETS, Method, Objective, Runner
from bios_sweep.settings import LORA, METHODS

Word = TypeVar("Word", bound=StrEnum)
OF_SCRIPTS = "resumes"  # a key that the presets of scripts have, and no other
RUNNER_KEY = "method.runner"


def method_of(values: Mapping[str, Any]) -> Method:
    """The method that the values of `method` say, in words that are known and do not contradict each other.

    Raises:
        ConfigError: an unknown word, a preset's name beside another runner, or what bios-sweep itself
            cannot train.
    """
    name, runner = values.get("name"), _word(Runner, "runner", values.get("runner"), Runner.BUILTIN)
    if name is not None and PRESETS[_named(name)].runner is not runner:
        raise ConfigError(
            f"method.name={name}: contradicts method.runner={runner}; leave it out and choose method={name}"
        )
    if runner is not Runner.BUILTIN and OF_SCRIPTS not in values:
        raise ConfigError(
            f"method.runner={runner}: what to run is said by keys of method={runner}; choose it"
        )
    trains = values.get("trains")
    if trains not in (None, *METHODS):
        raise not_allowed("method.trains", trains, f"choose from {', '.join(METHODS)}, or null")
    objective = _word(Objective, "objective", values.get("objective"), Objective.SFT)
    if runner is Runner.BUILTIN:
        trains = trains or LORA
        if name is not None and PRESETS[name].trains != trains:
            raise ConfigError(
                f"method.name={name}: contradicts method.trains={trains}; leave it out and "
                f"choose method={trains}"
            )
    return Method(trains=trains, objective=objective, runner=runner)


def _word(kind: type[Word], key: str, value: Any, unsaid: Word) -> Word:
    return unsaid if value is None else kind(one_of(f"method.{key}", value, tuple(kind)))


def _named(name: Any) -> str:
    return str(one_of("method.name", name, tuple(PRESETS)))


def with_parts(values: Any) -> Any:
    """The values of `method`; a file that says a preset's name alone, as older ones do, means its parts."""
    if not isinstance(values, Mapping):
        return values
    preset = PRESETS.get(str(values.get("name")))
    parts = vars(preset) if preset else {}
    plain = {name: None if part is None else str(part) for name, part in parts.items()}
    return {"name": None, **plain, **values}


def preset_of_runner(overrides: Sequence[str]) -> str | None:
    """The preset to choose where a command line says `method.runner=command` and no preset.

    Its keys (`method.command`, ...) come with it, and without them nothing could be run.
    """
    given = dict(override.partition("=")[::2] for override in overrides)
    wanted = given.get(RUNNER_KEY)
    return wanted if "method" not in given and wanted in PRESETS else None
