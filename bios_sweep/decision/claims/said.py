"""The parts that the sentences of one finding share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bios_sweep.claims import Claim
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.finding import UNPAIRED, FactorLevels, Finding, Margin
from bios_sweep.reasons import is_any


class Said:
    """One finding with its numbers as they are written."""

    def __init__(
        self,
        claim: Claim,
        levels: FactorLevels,
        finding: Finding,
        bound: Bound,
        margin: Margin,
        level: str,
    ) -> None:
        """bound: the contrast that the claim is judged on. level: of confidence, `95 %`."""
        self.claim, self.levels, self.finding, self.bound = claim, levels, finding, bound
        self.margin, self.told, self.level = margin.percent, margin.told, level
        self.by, self.gain = f"{self.told(bound.gain):.2f}", f"{self.told(bound.gain):+.2f}"
        self.lower, self.upper = f"{self.told(bound.lower):+.2f}", f"{self.told(bound.upper):+.2f}"
        self.least = f"{self.told(self.margin):.2f}"  # what matters
        self.seeds = len(finding.seeds)
        early = [bound.seeds for bound in finding.bounds if bound.arm in finding.excluded]
        least = min(early, default=self.seeds)
        self.paired = f"{least} to {self.seeds}" if least < self.seeds else f"{self.seeds}"
        self.best = levels.label(bound.arm) if bound.arm in levels.arms else bound.arm
        self.claimed = claim.claimed(levels.default)
        self.default = value_text(self.claimed)

    def compared(self, counts: Callable[[Any], bool] = lambda _level: True) -> str:
        """The levels that a confirmation speaks of: those compared with the claimed one, on its side.

        counts: whether a level is on that side. A level that was set aside was not compared.
        """
        levels, bounded = self.levels, {bound.arm for bound in self.finding.bounds}
        return ", ".join(
            label
            for arm, level, label in zip(levels.arms, levels.levels, levels.labels, strict=True)
            if arm not in self.finding.diverged and level != self.claimed and counts(level)
            if not bounded or arm in bounded
        )

    def none_improves(self, what: str, tested: str) -> str:
        """No tested level improves on the default by what matters. what: level, larger level, alternative."""
        return (
            f"no tested {what} ({tested}; {self.runs()}) improves on the default by "
            f"{self.least} or more; largest upper {self.level} bound {self.upper} "
            f"(at {self.best})"
        )

    def runs(self) -> str:
        """What the bounds rest on: `5 paired seeds`; without pairs, that."""
        if is_any(self.finding.reasons, UNPAIRED):
            return "unpaired seeds"
        return (
            f"{self.paired} paired seeds"
            if self.finding.paired
            else f"{self.paired} seeds, which pair nothing"
        )

    def takes(self) -> str:
        """What the level in question costs."""
        cost = self.finding.cost
        if cost is None:
            return "was not timed"
        than = value_text(self.levels.default) if self.claim.of_another_level else "the default"
        return f"takes {cost.ratio:.2f} times as long as {than} ({cost.lower:.2f} to {cost.upper:.2f})"

    def loses(self) -> str:
        """At what gain it comes, which may be a loss."""
        return f"at a gain of {self.gain} ({self.level} lower bound {self.lower}; {self.seeds} seeds)"


def value_text(value: Any) -> str:
    """A level, or the settings of a search, in a sentence."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {value_text(item)}" for name, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
