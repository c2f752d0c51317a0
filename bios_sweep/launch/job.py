"""What every way to launch starts from: the study's command, and the options of the group `submit`.

The texts end up in a shell script, in a manifest or in a scheduler's own little language, so each value is
held to the characters its field needs; quoting comes on top of that, never instead.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, Self

from bios_sweep import checks
from bios_sweep.checks import Check
from bios_sweep.errors import ConfigError
from bios_sweep.request import Request
from bios_sweep.secrecy import SECRET_NAME

LONGEST_NAME = 47  # https://github.com/ray-project/kuberay: a longer RayJob name is refused since 1.4
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
UNITS = {"m": 1e-3, "k": 1e3} | {
    f"{letter}{binary}": float((1024 if binary else 1000) ** power)
    for power, letter in enumerate("KMGT", start=1)
    for binary in ("", "i")
}
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
PATH = r"/[^\s:,\"'\\$`]*"  # absolute; no character that a list of mounts or a directive gives a meaning


@dataclass(frozen=True, kw_only=True)
class StudyCommand:
    """A study ready to be launched.

    words: the command, `bios-sweep run ...`, one argument each. folder: where its relative paths start,
    absolute. workspace: absolute. stop_file: a file whose presence asks the driver to stop. request: what one
    trial needs on one node.
    """

    sweep_id: str
    words: tuple[str, ...]
    folder: str
    workspace: str
    stop_file: str
    request: Request

    def __post_init__(self) -> None:
        for word in self.words:
            checks.line("the command", word)
        for name in ("folder", "workspace", "stop_file"):
            checks.line(name, getattr(self, name))

    @property
    def shell(self) -> str:
        """The command quoted for a POSIX shell."""
        return shlex.join(self.words)

    @property
    def name(self) -> str:
        """The sweep's id in the letters that Slurm, Kubernetes and a file system all take."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.sweep_id.lower()).strip("-")
        stem, _, digest = plain.rpartition("-")
        room = LONGEST_NAME - len(digest) - len("bios--")
        return f"bios-{stem[:room].rstrip('-')}-{digest}"

    def require_fit(self, *, gpus: int, cpus: int, memory: float = math.inf, ending: str = "") -> None:
        """Refuse nodes on which no trial would ever start. ending: of the keys of a node's GPUs and CPUs.

        memory: GiB of a node; infinite where nobody said.

        Raises:
            ConfigError: needed against offered.
        """
        for key, offered, told in (
            (f"gpus{ending}", gpus, f"{gpus} per node is"),
            (f"cpus{ending}", cpus, f"{cpus} per node is"),
            ("memory", memory, f"{memory:g} GiB per node are"),
        ):
            name = f"{key.removesuffix(ending)}_per_trial"
            needed = getattr(self.request, name)
            if needed > offered:
                raise ConfigError(
                    f"submit.{key}: {told} offered but cluster.{name}={needed:g} is needed by one "
                    f"trial; raise submit.{key} or lower cluster.{name}"
                )


def option(check: Check) -> Any:
    """A key of a group's file, with the check that gives its value back as it is kept."""
    return field(metadata={"check": check})


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """The values of a group's file: all `option`s of its class, and no other."""

    group: ClassVar[str]

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The options of a composed group.

        Raises:
            ConfigError: a key too many, one too few, or a value that is not allowed; it begins with the key.
        """
        known = {one.name: one.metadata["check"] for one in fields(cls)}
        for name in values:
            if name not in known:
                raise ConfigError(f"submit.{name}: unknown key; submit={cls.group} has {', '.join(known)}")
        for name in known:
            if name not in values:
                raise ConfigError(
                    f"submit.{name}: is missing; submit={cls.group} needs it, null where it has no value"
                )
        return cls(**{name: check(f"submit.{name}", values[name]) for name, check in known.items()})


def form(pattern: str, allowed: str) -> Check:
    """The check of a text of a known form. allowed: what that is, in words."""
    return partial(checks.matching, pattern=pattern, allowed=allowed)


def each(check: Check) -> Check:
    """The check of a list by that of its items."""

    def whole_list(key: str, value: Any) -> tuple[Any, ...]:
        return tuple(check(f"{key}[{place}]", item) for place, item in enumerate(checks.listed(key, value)))

    return whole_list


def named(of_value: Check, of_name: Check = lambda key, name: name) -> Check:
    """The check of a mapping by those of its names and values; null counts as none."""

    def whole_mapping(key: str, value: Any) -> dict[str, Any]:
        given = checks.mapping(key, value)
        return {of_name(f"{key}.{name}", name): of_value(f"{key}.{name}", given[name]) for name in given}

    return whole_mapping


def _public(key: str, name: str) -> str:
    checks.matching(key, name, VARIABLE, "a variable has letters, digits and underscores")
    if SECRET_NAME.search(name):
        raise ConfigError(
            f"{key}: looks like a secret, and its value would be written down; see docs/submit.md "
            "for how secrets reach the job"
        )
    return name


def _text(key: str, value: Any) -> str:
    return checks.line(key, str(value) if checks.is_number(value) else value)


# variables for the job, none of them a secret: the text is kept in files and shown by dashboards
environment = named(_text, _public)


def gibibytes(quantity: str) -> float:
    """A quantity of memory as Kubernetes writes it, such as 32Gi or 64G, in GiB."""
    number = quantity.rstrip("mkKMGTi")
    return float(number) * UNITS.get(quantity[len(number) :], 1.0) / 2**30
