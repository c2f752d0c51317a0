"""What a user may say of how records are read: shape, columns, clusters, and what becomes of bad ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.checks import not_allowed, one_of
from bios_sweep.engines.training.shapes.registry import BY_NAME, COLUMNS, NAMES
from bios_sweep.errors import ConfigError

REFUSE, SKIP = ON_BAD = ("refuse", "skip")
MOST_BAD = 0.01  # share of the records that may be skipped unless more is allowed; chosen, not measured


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How records are read.

    shape: the one they all have; None where it is recognised. columns: key of a shape -> what the file calls
    it. cluster: the column whose value says which records depend on each other. templated: whether the model
    writes conversations. on_bad: what becomes of a record that cannot be used. most_bad: share of the records
    that may be skipped. pairs: preference pairs are read, and nothing else.
    """

    shape: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    cluster: str | None = None
    templated: bool = True
    on_bad: str = REFUSE
    most_bad: float = MOST_BAD
    pairs: bool = False

    @property
    def stated(self) -> bool:
        """Whether the user said what is read, so that other columns may be passed over."""
        return bool(self.columns) or self.shape in BY_NAME

    def identity(self) -> dict[str, Any]:
        """What of it decides the examples, where it is not as ever."""
        said: dict[str, Any] = {"shape": self.shape, "columns": dict(self.columns), "cluster": self.cluster}
        said |= {"pairs": self.pairs}
        said |= {"templated": None if self.templated else False}
        said |= {"on_bad": None if self.on_bad == REFUSE else [self.on_bad, self.most_bad]}
        return {name: value for name, value in said.items() if value}


AS_EVER = Asked()


def columns_of(value: Any) -> dict[str, str]:
    """`data.columns` as it is given.

    Raises:
        ConfigError: it names no key of a shape, or one column twice.
    """
    key = "data.columns"
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not value:
        raise not_allowed(key, value, "names such as {prompt: question, completion: answer}, or null")
    found = {str(name): column for name, column in value.items()}
    for name, column in found.items():
        if name not in COLUMNS:
            raise ConfigError(f"{key}: {name!r} is no key of a shape; it may name {', '.join(COLUMNS)}")
        if not isinstance(column, str) or not column:
            raise ConfigError(f"{key}.{name}: {column!r} is no name of a column")
    if len(set(found.values())) < len(found):
        raise ConfigError(f"{key}: names one column for two keys; give each its own")
    return found


def shape_of(value: Any) -> str | None:
    """`data.shape` as it is given.

    Raises:
        ConfigError: there is no such shape.
    """
    return None if value is None else str(one_of("data.shape", value, NAMES))
