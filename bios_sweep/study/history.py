"""What earlier studies asked of the same questions, and what that makes of a later one. Values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_LOOKS = 6  # docs/statistics.md, item 10: after that only fresh seeds
SERIES_SHARE = 2.0  # each series is judged at half the alpha of the one before (the same item)
# what alpha is divided by at the second look and after; at alpha / 2 six looks come to .11 (the same item)
LATER_SHARES = (2.0, 2.0, 3.0, 3.0, 3.0)


def share_of(look: int, series: int = 0) -> float:
    """What alpha is divided by at a look at a question, the first being 1, and in a series, the first 0."""
    later = LATER_SHARES[min(look - 2, len(LATER_SHARES) - 1)] if look > 1 else 1.0
    return SERIES_SHARE**series * later


@dataclass(frozen=True, kw_only=True)
class EarlierLook:
    """One earlier study of a question. word: its verdict. counts: whether it could have given one."""

    sweep: str
    word: str
    seeds: tuple[int, ...]
    counts: bool


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A part of the rule that was changed after results were seen: its key, and the values before and now."""

    key: str
    before: Any
    now: Any


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The word that stands where a study brings no new trial of a question. value: what it stands for.

    fresh: the seeds on which its candidate met the default; none where none did.
    """

    sweep: str
    claim: str
    cell: str
    word: str
    value: Any = None
    fresh: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AskedBefore:
    """What is known of a factor's questions.

    earlier: the studies before, the first one first. look: which look at the question this study is, 1 where
    none before it counts. changed: what of the rule was changed after results were seen, none where all seeds
    are fresh. rule: that of before, as keys of `DecisionRule`, where something was changed. levels: those of
    earlier studies that this one did not ask for. series: how often the rule was changed, or six looks were
    used up, and fresh seeds began anew. stands: words that stand because nothing new is asked.
    """

    factor: str
    earlier: tuple[EarlierLook, ...]
    look: int = 1
    changed: tuple[Changed, ...] = ()
    rule: Mapping[str, Any] = field(default_factory=dict)
    levels: tuple[Any, ...] = ()
    series: int = 0
    stands: tuple[Standing, ...] = ()


@dataclass(frozen=True, kw_only=True)
class History:
    """How a study came to be what it is: what was asked, and what earlier studies of its questions add.

    asked: the plan's id as it was asked for, by which the same command finds the same study again. seeds,
    alpha: as asked; the study's own are those it is judged by. factors: those that were asked about before.
    tried: fresh seeds that candidates of the questions have met, and no candidate meets again.
    """

    asked: str
    seeds: tuple[int, ...]
    alpha: float
    factors: tuple[AskedBefore, ...]
    tried: tuple[int, ...] = ()

    @property
    def changed(self) -> tuple[Changed, ...]:
        """What of the rule was changed after results were seen, of any factor."""
        found = {change.key: change for factor in self.factors for change in factor.changed}
        return tuple(found.values())

    @property
    def look(self) -> int:
        """The latest look that this study is at one of its questions."""
        return max(factor.look for factor in self.factors)

    def of(self, factor: str) -> AskedBefore | None:
        """What is known of one factor."""
        return next((known for known in self.factors if known.factor == factor), None)

    def identity(self) -> dict[str, Any]:
        """What of it decides beside seeds, levels and alpha, for the plan's hash."""
        changed = [change.key for change in self.changed]
        parts = {"tried": list(self.tried), "changed": changed, "stands": self._standing}
        return {name: part for name, part in parts.items() if part}

    @property
    def _standing(self) -> list[list[str]]:
        return [[word.sweep, word.claim, word.cell] for factor in self.factors for word in factor.stands]
