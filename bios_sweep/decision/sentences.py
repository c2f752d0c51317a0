"""A finding in one sentence that claims no more than was shown (docs/statistics.md, "Wording"). Pure.

Never "optimal", never "no difference", never a bare mean: each sentence has its bound, its seeds, and what
it was measured against. What a confirmation says is in the claim's own file; what fresh seeds say is told by
the test that they were put to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bios_sweep.claims import REPEAT, Claim
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import INSENSITIVE, OF_SEEDS
from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.claims.said import Said, value_text
from bios_sweep.decision.finding import (
    AS_LONG,
    BELOW,
    EDGE,
    NO_NOISE,
    NO_SEEDS,
    NOT_WORSE,
    SHARE,
    FactorLevels,
    Finding,
    Margin,
)
from bios_sweep.defaults.measured import plain_number
from bios_sweep.reasons import Kind, Reason, is_any, joined
from bios_sweep.vocabulary import Word

OPEN = Kind("a better level was found; its confirmation has not run yet")


def sentence(
    claim: Claim,
    word: str,
    levels: FactorLevels,
    finding: Finding,
    margin: Margin | None,
    confidence: float,
    withheld: Reason | None = None,
) -> str:
    """What is said of one claim. word: the verdict; confidence: of the one-sided bounds.

    withheld: why what a verdict stands for is not served; such a sentence must not say "use".
    """
    bound = contrast_of(finding)
    if bound is None or margin is None:
        return joined(finding.reasons)
    said = Said(claim, levels, finding, bound, margin, confidence_text(confidence))
    if word == Word.CONFIRM:
        return judgement_of(claim).confirmed(said)
    if word == Word.REFINE:
        return _refined(said, withheld)
    if word == Word.UNCONFIRMED:
        return _unconfirmed(said)
    if word == Word.SCREENING_ONLY:
        return _screened(said)
    return _undecided(said)


def confidence_text(confidence: float) -> str:
    """`95 %`, or one decimal where looks divide alpha."""
    percent = 100.0 * confidence
    return f"{percent:.0f} %" if abs(percent - round(percent)) < 0.05 else f"{percent:.1f} %"


def contrast_of(finding: Finding) -> Bound | None:
    """The one contrast that a claim is judged on: with the default at one cost, where that was asked."""
    return finding.bound if finding.iso is None else finding.iso


def over_words(levels: FactorLevels, bound: Bound) -> str:
    """What a gain is over, as it is read: `128`, `128 trained as long`, `80% of the gain of 1000`."""
    rival = bound.over
    if not rival:
        plain = levels.name != REPEAT and not isinstance(levels.default, Mapping)
        rival = plain_number(levels.default) if plain else "the default"
    elif rival in levels.arms:
        rival = plain_number(levels.level(rival))
    return (bound.how or "{}").replace("{}", rival)


def _refined(said: Said, withheld: Reason | None) -> str:
    """By the kind of test that fresh seeds passed: not all is a gain."""
    value, test = value_text(_served(said)), said.finding.test
    # nobody is told to use what is not served
    use = f"not served ({withheld}): {value}" if withheld else f"use {value}"
    fresh = f"on {said.seeds} fresh seeds not used to choose it"
    if test is None:  # nothing but the clock decided
        gained = "no time that matters is gained"
        return f"on {_where(said)} {said.default} {said.takes()}: {gained}; {use}"
    if test.kind == BELOW:
        what = judgement_of(said.claim).words.turns_down[0]
        return (
            f"{use} instead of {said.default}: {said.default} {what} "
            f"({said.gain}, {said.level} upper bound {said.upper}), {fresh}"
        )
    if test.kind == NOT_WORSE:
        saved = said.takes() if said.finding.cost else "costs less"
        return (
            f"{use} instead of {said.default}: it {saved} {said.loses()} (less than "
            f"{said.told(test.limit):.2f} is lost), {fresh}"
        )
    if test.kind == SHARE:
        return f"{value} steps reach {test.limit:.0%} of the default's gain, {fresh}"
    cost = f"; it {said.takes()}" if said.finding.cost else ""
    against = " than the default trained for the same time" if test.duration is not None else ""
    return (
        f"{use} instead of {said.default}: better{against} by {said.by} "
        f"({said.level} lower bound {said.lower}), {fresh}{cost}"
    )


def _unconfirmed(said: Said) -> str:
    """By the kind of test that fresh seeds would have to pass, as `_refined` does."""
    value, test = value_text(_served(said)), said.finding.test
    chosen = f"on the {said.seeds} seeds that chose it; not confirmed on fresh ones"
    if test is not None and test.kind == BELOW:
        what = judgement_of(said.claim).words.turns_down[1]
        return (
            f"{value} may do instead of {said.default}: {said.default} seems to {what} "
            f"({said.gain}, {said.level} upper bound {said.upper}) {chosen}"
        )
    if test is not None and test.kind == NOT_WORSE:
        saved = said.takes() if said.finding.cost else "costs less"
        return (
            f"{value} may do instead of {said.default}: it {saved}, and a loss of "
            f"{said.told(test.limit):.2f} is excluded (gain {said.gain}, {said.level} lower bound "
            f"{said.lower}) {chosen}"
        )
    if test is not None and test.kind == SHARE:
        return f"{value} steps seem to reach {test.limit:.0%} of the default's gain {chosen}"
    against = " than the default trained for the same time" if said.bound.how == AS_LONG else ""
    return f"{said.best} looks better{against} by {said.by} ({said.level} lower bound {said.lower}) {chosen}"


UNBOUNDED = ((NO_SEEDS, "no seeds"), (NO_NOISE, "the same at every seed"))


def _screened(said: Said) -> str:
    """Without an error estimate: who is ahead, or that nobody is."""
    runs = next((told for kind, told in UNBOUNDED if is_any(said.finding.reasons, kind)), "one seed")
    gain = said.bound.gain
    if gain > 0:
        return f"{runs}: {said.best} is ahead by {said.told(gain):+.2f}, which shows nothing yet"
    if gain < 0:
        return (
            f"{runs}: the default is ahead, of {said.best} by {said.told(-gain):.2f}, which shows nothing yet"
        )
    return f"{runs}: {said.best} is level with the default, which shows nothing yet"


def _undecided(said: Said) -> str:
    reasons = _open_reasons(said.finding)
    told = joined(reasons)
    shown = _shown(said)
    if shown:
        return f"{told}; {shown}"
    if any(reason.kind.bounded for reason in reasons):
        return told
    plain = not (said.bound.over or said.bound.how)
    named = said.best if plain else f"{said.best} over {over_words(said.levels, said.bound)}"
    return f"{told} ({named}: {said.gain}, between {said.lower} and {said.upper})"


def _shown(said: Said) -> str:
    """What the bounds show of a finding that settles nothing, so that its sentence does not deny it."""
    bound, plain = said.bound, not (said.bound.over or said.bound.how)
    if plain and is_any(said.finding.reasons, EDGE) and bound.lower > 0:
        return (
            f"{said.best} is better than {said.default} ({said.gain}, between {said.lower} "
            f"and {said.upper}), and only where the best lies is open"
        )
    uppers = [one.upper for one in said.finding.bounds]
    if plain and is_any(said.finding.reasons, INSENSITIVE) and uppers and max(uppers) < said.margin:
        return (
            f"no tested level gains {said.least} or more (largest upper {said.level} bound "
            f"{said.told(max(uppers)):+.2f}), and only whether a loss would have shown is open"
        )
    return ""


def reasons_told(word: str, finding: Finding, margin: Margin | None) -> tuple[Reason, ...]:
    """The reasons that `sentence` tells already, so that nobody has to tell them again."""
    if contrast_of(finding) is None or margin is None:
        return finding.reasons
    return _open_reasons(finding) if word == Word.INCONCLUSIVE else ()


def _open_reasons(finding: Finding) -> tuple[Reason, ...]:
    """The reasons of a finding that settles nothing; a candidate's confirmation is still to come."""
    waiting = finding.state == Word.CANDIDATE or not finding.reasons
    reasons = tuple(reason for reason in finding.reasons if reason.kind not in OF_SEEDS)
    return (*reasons, OPEN()) if waiting else reasons


def _served(said: Said) -> Any:
    finding, levels = said.finding, said.levels
    if finding.value is not None:
        return finding.value
    if finding.test is not None and finding.test.value is not None:  # a table's test has none
        return finding.test.value
    return levels.level(said.bound.arm) if said.bound.arm in levels.arms else levels.default


def _where(said: Said) -> str:
    cost = said.finding.cost
    return cost.hardware if cost is not None and cost.hardware else "this hardware"
