"""What a value of the group `submit` may be. Every refusal is one sentence with the key in front.

The texts end up in a shell script, in a manifest or in a scheduler's own little language, so each value is
held to the characters its field needs; quoting comes on top of that, never instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bios_sweep import checks
from bios_sweep.errors import ConfigError
from bios_sweep.secrecy import SECRET_NAME

NAME = r"[A-Za-z0-9][A-Za-z0-9_.@+-]*"  # partitions, accounts, queues of Slurm
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
KUBERNETES_NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
UNITS = {"m": 1e-3, "k": 1e3} | {
    f"{letter}{binary}": float((1024 if binary else 1000) ** power)
    for power, letter in enumerate("KMGT", start=1)
    for binary in ("", "i")
}
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
PATH = r"/[^\s:,\"'\\$`]*"  # absolute; no character that a list of mounts or a directive gives a meaning


def environment(key: str, value: Any) -> dict[str, str]:
    """Variables for the job, none of them a secret: the text is kept in files and shown by dashboards.

    Raises:
        ConfigError: no variable's name, no text of one line, or a name by which secrets go.
    """
    checked = {}
    for name, item in checks.mapping(key, value).items():
        checks.matching(f"{key}.{name}", name, VARIABLE, "a variable has letters, digits and underscores")
        if SECRET_NAME.search(name):
            raise ConfigError(
                f"{key}.{name}: looks like a secret, and its value would be written down; see docs/submit.md "
                "for how secrets reach the job"
            )
        text = str(item) if checks.is_number(item) else item
        checked[name] = checks.line(f"{key}.{name}", text)
    return checked


def gibibytes(quantity: str) -> float:
    """A quantity of memory as Kubernetes writes it, such as 32Gi or 64G, in GiB."""
    number = quantity.rstrip("mkKMGTi")
    return float(number) * UNITS.get(quantity[len(number) :], 1.0) / 2**30


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
