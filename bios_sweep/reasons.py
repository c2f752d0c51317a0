"""Reasons as data: code asks for their kind, and words are made where they are told. Standard library only.

A kind is a constant beside the code that gives it, with its words once:

    EDGE = Kind("edge: the best level {level} ends the grid")
    EDGE(level=4)                      # a reason
    is_any(reasons, EDGE)              # control flow
    str(reason)                        # at the border: terminal, Markdown, HTML, JSON
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A kind of reason. words: how it is told, its facts in braces. bounded: they say the gain's bounds."""

    words: str
    bounded: bool = False

    def __call__(self, **facts: Any) -> Reason:
        """A reason of this kind."""
        return Reason(kind=self, facts=facts)


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why something is as it is. facts: the names and numbers of its words, another reason among them."""

    kind: Kind
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.kind.words.format(**self.facts)


def joined(reasons: Iterable[Reason]) -> str:
    """Reasons in words, one behind the other."""
    return "; ".join(map(str, reasons))


def is_any(reasons: Iterable[Reason], *kinds: Kind) -> bool:
    """Whether one of the reasons is of one of the kinds."""
    return any(reason.kind in kinds for reason in reasons)
