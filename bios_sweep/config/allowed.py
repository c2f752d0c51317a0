"""What no configuration may hold, whoever wrote it: code, secrets, keys that nothing reads."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.checks import not_allowed
from bios_sweep.config.groups import group_names, member_keys, member_names
from bios_sweep.config.meant import did_you_mean
from bios_sweep.config.typed import TEXTS, parts
from bios_sweep.errors import ConfigError
from bios_sweep.secrecy import secret_in, texts
from bios_sweep.settings import KNOWN, baseline_values

FORBIDDEN_KEY = "_target_"  # names code to run; nothing of ours instantiates, so it can only be an attack
TOP_KEYS = ("workspace", "on_verdict", "seeds", "sweeps")
OPTIONAL_KEYS = ("sweeps", "submit", "on_verdict")  # by a command, or younger than a user's file


def refuse_code(overrides: Sequence[str]) -> None:
    """Refuse a word that would have Hydra run something, or change Hydra itself.

    Raises:
        ConfigError: the word.
    """
    for override in overrides:
        _, key, _, value = parts(override)
        code = FORBIDDEN_KEY in key or (FORBIDDEN_KEY in value and key not in TEXTS)
        if code or re.match(r"hydra([./@]|$)", key):
            raise ConfigError(f"the override {override!r} is not allowed: configs name values, never code")


def refuse_values(values: Mapping[str, Any]) -> None:
    """Refuse composed values that nothing may or does read.

    Raises:
        ConfigError: a key that names code, is unknown or is missing, a number without end, or a secret.
    """
    _refuse_code_keys(values, "")
    _refuse_unknown_keys(values)
    _refuse_endless(values, "")
    _refuse_secrets(values)


def _refuse_code_keys(values: Any, path: str) -> None:
    if isinstance(values, Mapping):
        for key, value in values.items():
            if str(key).startswith("_") and str(key).endswith("_"):
                raise ConfigError(f"{path}{key} is not allowed: configs name values, never code")
            _refuse_code_keys(value, f"{path}{key}.")
    elif isinstance(values, list):
        for item in values:
            _refuse_code_keys(item, path)


def _refuse_unknown_keys(values: Mapping[str, Any]) -> None:
    """Refuse a key that nothing reads: one added by `+key`, or misspelt in a user's own group file.

    A key that all files of a group have is read, so one that a `~key` or a user's file leaves out is
    refused too.
    """
    known = [*group_names(), *TOP_KEYS]
    for key in values:
        if key not in known:
            raise ConfigError(
                f"unknown key {key!r}{did_you_mean(key, known)}; allowed are {', '.join(known)}"
            )
    for key in known:
        if key not in values and key not in OPTIONAL_KEYS:
            raise ConfigError(f"{key}: is missing; leave out no part of the configuration")
    for group in group_names():
        if group in values:
            _refuse_unknown_group_keys(group, values[group])


def _refuse_unknown_group_keys(group: str, value: Any) -> None:
    listed = [member_keys(group, member) for member in member_names(group)]
    settings = baseline_values().get(group, {})
    known = sorted({*settings, *(name for names in listed for name in names)})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{group}: {value!r} is not allowed; it holds {', '.join(known)}")
    for name in value:
        if name not in known:
            near = did_you_mean(f"{group}.{name}", [f"{group}.{option}" for option in known])
            raise ConfigError(f"unknown key '{group}.{name}'{near}; {group} has {', '.join(known)}")
    for name in sorted({*settings, *listed[0].intersection(*listed[1:])}):
        if name not in value:
            raise ConfigError(f"{group}.{name}: is missing; {group} needs it, null where it has no value")


def _refuse_endless(values: Any, path: str) -> None:
    """Refuse numbers that no JSON holds; those of settings have checks of their own, with the range."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key not in KNOWN or isinstance(value, Mapping):  # below a setting's name a shape may stand
                _refuse_endless(value, f"{path}.{key}".lstrip("."))
    elif isinstance(values, list):
        for item in values:
            _refuse_endless(item, path)
    elif isinstance(values, float) and not math.isfinite(values):
        raise not_allowed(path, values, "it must be a finite number")


def _refuse_secrets(values: Mapping[str, Any]) -> None:
    """All of a configuration is written down with the plan; only the tracking address is not."""
    for path, text in texts(values):
        kind = None if path == "tracking.uri" else secret_in(text)
        if kind is not None:
            raise ConfigError(
                f"{path}: holds {kind}, which would be kept with the plan; "
                "put it into an environment variable, which the trials inherit"
            )
