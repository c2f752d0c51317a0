"""What a value of the group `submit` may be. Every refusal is one sentence with the key in front.

The texts end up in a shell script, in a manifest or in a scheduler's own little language, so each value is
held to the characters its field needs; quoting comes on top of that, never instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bios_sweep.errors import ConfigError
from bios_sweep.secrecy import SECRET_NAME

NAME = r"[A-Za-z0-9][A-Za-z0-9_.@+-]*"  # partitions, accounts, queues of Slurm
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
KUBERNETES_NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
PATH = r"/[^\s:,\"'\\$`]*"  # absolute; no character that a list of mounts or a directive gives a meaning


def line(key: str, value: Any) -> str:
    """A text of one line. Control characters, line breaks and invisible characters are refused.

    Raises:
        ConfigError: no text, an empty one, or one with such a character.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{key}: {value!r} is not allowed; a text")
    if not value.isprintable():
        raise ConfigError(f"{key}: {value!r} is not allowed; a text of one line without control characters")
    return value


def matching(key: str, value: Any, pattern: str, allowed: str) -> str:
    """A text of a known form, of one line and without control characters.

    Raises:
        ConfigError: it has another form; says what is allowed.
    """
    if not isinstance(value, str) or not value.isprintable() or not re.fullmatch(pattern, value):
        raise ConfigError(f"{key}: {value!r} is not allowed; {allowed}")
    return value


def whole(key: str, value: Any, least: int) -> int:
    """A whole number of at least `least`.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{key}: {value!r} is not allowed; a whole number of at least {least}")
    return value


def truth(key: str, value: Any) -> bool:
    """True or false, and not what merely counts as one.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{key}: {value!r} is not allowed; true or false")
    return value


def listed(key: str, value: Any) -> tuple[Any, ...]:
    """The items of a list.

    Raises:
        ConfigError: it is no list.
    """
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{key}: {value!r} is not allowed; a list")
    return tuple(value)


def mapping(key: str, value: Any) -> dict[str, Any]:
    """Names with their values; null counts as none.

    Raises:
        ConfigError: it is no mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}: {value!r} is not allowed; names with values, such as {{NAME: value}}")
    return {str(name): item for name, item in value.items()}


def environment(key: str, value: Any) -> dict[str, str]:
    """Variables for the job, none of them a secret: the text is kept in files and shown by dashboards.

    Raises:
        ConfigError: no variable's name, no text of one line, or a name by which secrets go.
    """
    checked = {}
    for name, item in mapping(key, value).items():
        matching(f"{key}.{name}", name, VARIABLE, "a variable has letters, digits and underscores")
        if SECRET_NAME.search(name):
            raise ConfigError(
                f"{key}.{name}: looks like a secret, and its value would be written down; see docs/submit.md "
                "for how secrets reach the job"
            )
        text = str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item
        checked[name] = line(f"{key}.{name}", text)
    return checked


def fields(group: str, values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The values of a group file, which must be exactly those of its class.

    Raises:
        ConfigError: a key too many or one too few.
    """
    for name in values:
        if name not in names:
            raise ConfigError(f"submit.{name}: unknown key; submit={group} has {', '.join(names)}")
    for name in names:
        if name not in values:
            raise ConfigError(
                f"submit.{name}: is missing; submit={group} needs it, null where it has no value"
            )
    return dict(values)
