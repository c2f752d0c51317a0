"""A score of generated answers: what is measured at the end of a trial beside its loss. A value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

EXACT, PATTERN, FUNCTION = "exact_match", "pattern", "function"


@dataclass(frozen=True, kw_only=True)
class ItemsSeen:
    """How two trained models were seen to differ over the items of a score.

    differing: mean square of an item's difference, of right and wrong answers the share that came out
    differently. lasting: the part of it that further seeds leave as it is. sweep: where it was seen.
    """

    differing: float
    lasting: float
    sweep: str = ""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How the answers to the evaluation examples are scored: one final metric, the mean over the items.

    metric: its name. kind: `EXACT`, `PATTERN` or `FUNCTION`. asked: as it was given, for people. items: how
    many examples are answered, the first of the evaluation set; clusters: documents, modules or conversations
    that they come from. new_tokens: at which an answer is cut. pattern: a regular expression. stop: texts at
    which an answer ends. code: sha256 of the function's source, of own modules that it imports, and of
    versions of installed ones. seen: what trials of an earlier sweep showed of its items, None without such.
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
    seen: ItemsSeen | None = None

    def identity(self) -> dict[str, Any]:
        """What decides the values; where the function lies does not, and clusters follow from the data."""
        others = ("asked", "clusters", "seen")
        return {name: value for name, value in asdict(self).items() if name not in others}

    def to_dict(self) -> dict[str, Any]:
        """Plain values; nothing seen leaves no trace, as before anything was."""
        values = asdict(self)
        if self.seen is None:
            del values["seen"]
        return values

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
        """Inverse of `to_dict`, also after JSON."""
        seen = values.get("seen")
        return cls(
            **{**values, "stop": tuple(values["stop"]), "seen": None if seen is None else ItemsSeen(**seen)}
        )
