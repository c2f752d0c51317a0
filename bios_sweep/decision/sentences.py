"""A finding in one sentence that claims no more than was shown (docs/statistics.md, "Wording"). Pure.

Never "optimal", never "no difference", never a bare mean: each sentence has its bound, its seeds, and what
it was measured against.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.finding import (
    AS_LONG,
    BELOW,
    CANDIDATE,
    CONFIRM,
    NOT_WORSE,
    REFINE,
    SCREENING_ONLY,
    SHARE,
    UNCONFIRMED,
    FactorLevels,
    Finding,
    Margin,
)
from bios_sweep.defaults.measured import plain_number
from bios_sweep.study.claims import BALANCED, ENOUGH, MINIMUM, QUALITY, REPEAT, SPEED, claimed_level

OPEN = "a better level was found; its confirmation has not run yet"


def sentence(
    claim: str,
    word: str,
    levels: FactorLevels,
    finding: Finding,
    margin: Margin | None,
    confidence: float,
    withheld: str = "",
) -> str:
    """What is said of one claim. word: the verdict; confidence: of the one-sided bounds.

    withheld: why what a verdict stands for is not served; such a sentence must not say "use".
    """
    bound = contrast_of(claim, finding)
    if bound is None or margin is None:
        return "; ".join(finding.reasons)
    said = _Said(claim, levels, finding, bound, margin, confidence_text(confidence), withheld)
    if word == CONFIRM:
        return said.confirmed()
    if word == REFINE:
        return said.refined()
    if word == UNCONFIRMED:
        return said.unconfirmed()
    if word == SCREENING_ONLY:
        return f"one seed: {said.best} is ahead by {said.bound.gain:+.2f} %, which shows nothing yet"
    return said.undecided()


def confidence_text(confidence: float) -> str:
    """`95 %`, or one decimal where looks divide alpha."""
    percent = 100.0 * confidence
    return f"{percent:.0f} %" if abs(percent - round(percent)) < 0.05 else f"{percent:.1f} %"


def contrast_of(claim: str, finding: Finding) -> Bound | None:
    """The one contrast that a claim is judged on: a balance's is with the default at the same cost."""
    return finding.iso if claim == BALANCED and finding.iso is not None else finding.bound


def over_words(levels: FactorLevels, bound: Bound) -> str:
    """What a gain is over, as it is read: `128`, `128 trained as long`, `80% of the gain of 1000`."""
    rival = bound.over
    if not rival:
        plain = levels.name != REPEAT and not isinstance(levels.default, Mapping)
        rival = plain_number(levels.default) if plain else "the default"
    elif rival in levels.arms:
        rival = plain_number(levels.level(rival))
    return (bound.how or "{}").replace("{}", rival)


class _Said:
    """The parts that the sentences of one finding share."""

    def __init__(
        self,
        claim: str,
        levels: FactorLevels,
        finding: Finding,
        bound: Bound,
        margin: Margin,
        level: str,
        withheld: str,
    ) -> None:
        self.claim, self.levels, self.finding, self.bound = claim, levels, finding, bound
        self.margin, self.level, self.withheld = margin.percent, level, withheld
        self.seeds = len(finding.seeds)
        self.best = levels.label(bound.arm) if bound.arm in levels.arms else bound.arm
        claimed = claimed_level(claim, levels.default)
        self.default = _value(levels.default if claimed is None else claimed)

    def confirmed(self) -> str:
        tested = self._compared()
        if self.claim == QUALITY:
            return (
                f"{self.default} is better than {_value(self.levels.default)} by {self.bound.gain:.2f} % "
                f"({self.level} lower bound {self.bound.lower:+.2f} %; {self.seeds} paired seeds)"
                + (
                    f", and no other level ({tested}) beats it by {self.margin:.2f} % or more"
                    if tested
                    else ""
                )
            )
        if self.claim == SPEED:
            return (
                f"{self.default} {self._takes()} {self._loses()}; no tested level that saves much more "
                "time stays within the loss that speed may cost"
            )
        if self.claim == MINIMUM:
            fewer = f"; fewer ({tested}) are not shown to" if tested else "; fewer were not tested"
            return (
                f"{self.default} steps are shown to reach the share of the default's gain that the minimum "
                f"must ({self.seeds} seeds, {self.level}){fewer}"
            )
        if self.claim == BALANCED and self.finding.iso is not None:
            return (
                f"no tested level ({tested}; {self.seeds} paired seeds) improves by {self.margin:.2f} % or "
                f"more on the default trained for the same time; largest upper {self.level} bound "
                f"{self.bound.upper:+.2f} % (at {self.best})" + self._train_longer()
            )
        larger = "larger level" if self.claim == ENOUGH else "alternative"
        return (
            f"no tested {larger} ({tested}; {self.seeds} paired seeds) improves on the default by "
            f"{self.margin:.2f} % or more; largest upper {self.level} bound {self.bound.upper:+.2f} % "
            f"(at {self.best})"
        )

    def _compared(self) -> str:
        """The levels that a confirmation speaks of: those compared with the claimed one, on its side."""
        claimed = claimed_level(self.claim, self.levels.default)
        return ", ".join(
            label
            for arm, level, label in zip(
                self.levels.arms, self.levels.levels, self.levels.labels, strict=True
            )
            if arm not in self.finding.diverged
            and level != claimed
            and not (self.claim == ENOUGH and level < self.levels.default)
            and not (self.claim == MINIMUM and level > claimed)
        )

    def refined(self) -> str:
        value, test = _value(self._served()), self.finding.test
        fresh = f"on {self.seeds} fresh seeds not used to choose it"
        if test is None:  # nothing but the clock decided
            gained = "no time that matters is gained"
            return f"on {self._where()} {self.default} {self._takes()}: {gained}; {self._use(value)}"
        if test.kind == BELOW:
            what = "buys nothing that matters" if self.claim == QUALITY else "costs more loss than speed may"
            return (
                f"{self._use(value)} instead of {self.default}: {self.default} {what} "
                f"({self.bound.gain:+.2f} %, {self.level} upper bound {self.bound.upper:+.2f} %), {fresh}"
            )
        if test.kind == NOT_WORSE:
            saved = self._takes() if self.finding.cost else "costs less"
            return (
                f"{self._use(value)} instead of {self.default}: it {saved} {self._loses()} (less than "
                f"{test.limit:.2f} % is lost), {fresh}"
            )
        if test.kind == SHARE:
            return f"{value} steps reach {test.limit:.0%} of the default's gain, {fresh}"
        cost = f"; it {self._takes()}" if self.finding.cost else ""
        against = " than the default trained for the same time" if test.duration is not None else ""
        return (
            f"{self._use(value)} instead of {self.default}: better{against} by {self.bound.gain:.2f} % "
            f"({self.level} lower bound {self.bound.lower:+.2f} %), {fresh}{cost}"
        )

    def unconfirmed(self) -> str:
        """By the kind of test that fresh seeds would have to pass, as `refined` does: not all is a gain."""
        value, test = _value(self._served()), self.finding.test
        chosen = f"on the {self.seeds} seeds that chose it; not confirmed on fresh ones"
        if test is not None and test.kind == BELOW:
            what = (
                "to buy nothing that matters" if self.claim == QUALITY else "to cost more loss than speed may"
            )
            return (
                f"{value} may do instead of {self.default}: {self.default} seems {what} "
                f"({self.bound.gain:+.2f} %, {self.level} upper bound {self.bound.upper:+.2f} %) {chosen}"
            )
        if test is not None and test.kind == NOT_WORSE:
            saved = self._takes() if self.finding.cost else "costs less"
            return (
                f"{value} may do instead of {self.default}: it {saved}, and a loss of {test.limit:.2f} % is "
                f"excluded (gain {self.bound.gain:+.2f} %, {self.level} lower bound "
                f"{self.bound.lower:+.2f} %) {chosen}"
            )
        if test is not None and test.kind == SHARE:
            return f"{value} steps seem to reach {test.limit:.0%} of the default's gain {chosen}"
        against = " than the default trained for the same time" if self.bound.how == AS_LONG else ""
        return (
            f"{self.best} looks better{against} by {self.bound.gain:.2f} % ({self.level} lower bound "
            f"{self.bound.lower:+.2f} %) {chosen}"
        )

    def undecided(self) -> str:
        reason = "; ".join(self.finding.reasons) or OPEN
        if self.finding.state == CANDIDATE and OPEN not in reason:
            reason = f"{reason}; {OPEN}"
        if reason.startswith("gain ") or "between" in reason:
            return reason
        low, high = f"{self.bound.lower:+.2f} %", f"{self.bound.upper:+.2f} %"
        plain = not (self.bound.over or self.bound.how)
        named = self.best if plain else f"{self.best} over {over_words(self.levels, self.bound)}"
        return f"{reason} ({named}: {self.bound.gain:+.2f} %, between {low} and {high})"

    def _use(self, value: str) -> str:
        """What a refined value is good for: nobody is told to use what is not served."""
        return f"not served ({self.withheld}): {value}" if self.withheld else f"use {value}"

    def _served(self) -> Any:
        if self.finding.value is not None:
            return self.finding.value
        if self.finding.test is not None and self.finding.test.value is not None:  # a table's test has none
            return self.finding.test.value
        return (
            self.levels.level(self.bound.arm) if self.bound.arm in self.levels.arms else self.levels.default
        )

    def _takes(self) -> str:
        cost = self.finding.cost
        if cost is None:
            return "was not timed"
        than = _value(self.levels.default) if self.claim in (QUALITY, SPEED) else "the default"
        return f"takes {cost.ratio:.2f} times as long as {than} ({cost.lower:.2f} to {cost.upper:.2f})"

    def _where(self) -> str:
        cost = self.finding.cost
        return cost.hardware if cost is not None and cost.hardware else "this hardware"

    def _loses(self) -> str:
        return (
            f"at a gain of {self.bound.gain:+.2f} % ({self.level} lower bound {self.bound.lower:+.2f} %; "
            f"{self.seeds} seeds)"
        )

    def _train_longer(self) -> str:
        """`64 buys 0.80 % for 1.8 times the time; training the default as long buys 0.75 %: train longer`."""
        cost, iso, plain = self.finding.cost, self.finding.iso, self.finding.bound
        if cost is None or iso is None or plain is None or cost.lower <= 1.0 or plain.gain <= 0:
            return ""
        buys = plain.gain - iso.gain
        if buys <= 0:  # training longer buys nothing either
            return ""
        return (
            f"; {self.best} buys {plain.gain:.2f} % for {cost.ratio:.1f} times the time, training the "
            f"default that long buys {buys:.2f} %: train longer instead"
        )


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(item)}" for name, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
