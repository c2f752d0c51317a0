"""A score of generated answers: what is measured at the end of a trial beside its loss. A value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

EXACT, PATTERN, FUNCTION = "exact_match", "pattern", "function"


@dataclass(frozen=True, kw_only=True)
class Score:
    """How the answers to the evaluation examples are scored: one final metric, the mean over the items.

    metric: its name. kind: `EXACT`, `PATTERN` or `FUNCTION`. asked: as it was given, for people. items: how
    many examples are answered, the first of the evaluation set; clusters: documents, modules or conversations
    that they come from. new_tokens: at which an answer is cut. pattern: a regular expression. stop: texts at
    which an answer ends. code: sha256 of the function's source, of own modules that it imports, and of
    versions of installed ones.
    """

    metric: str
    kind: str
    asked: str
    items: int
    clusters: int
    new_tokens: int
    pattern: str = ""
    stop: tuple[str, ...] = ()
    code: str = ""

    def identity(self) -> dict[str, Any]:
        """What decides the values; where the function lies does not, and clusters follow from the data."""
        return {name: value for name, value in asdict(self).items() if name not in ("asked", "clusters")}

    @property
    def most_tokens(self) -> int:
        """Generated tokens of one trial, at most."""
        return self.items * self.new_tokens

    @property
    def is_share(self) -> bool:
        """Whether every item is right or wrong, so that the mean is a share."""
        return self.kind != FUNCTION

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Score:
        """Inverse of `asdict`, also after JSON."""
        return cls(**{**values, "stop": tuple(values["stop"])})
