"""What a reader may do after a verdict, in one line. Pure."""

from __future__ import annotations

from typing import Any

from bios_sweep.decision.finding import BELOW, NOT_WORSE, SHARE, SUPERIOR
from bios_sweep.decision.fresh import TOO_SMALL
from bios_sweep.decision.statement import Verdict
from bios_sweep.report.content.wording import clean, gain, number
from bios_sweep.study.claims import BALANCED, IDENTICAL, MINIMUM

# what the word says, for those who see it for the first time; never more than was shown
MEANING = {
    "confirm": "no tested alternative is better by as much as matters",
    "refine": "another value proved better, on fresh seeds",
    "refine (unconfirmed)": "seen on the seeds that chose it alone; fresh seeds have not been asked",
    "inconclusive": "neither shown nor excluded",
    "screening only": "one seed, no error estimate",
}
CONFIRMED = {  # what a confirmed claim of a role says
    "quality": "better than the default, and no tested level beats it by as much as matters",
    "balanced": "at the same cost no tested alternative is better by as much as matters",
    "speed": "it saves time that matters, and loses less than speed may cost",
    "enough": "more is not better by as much as matters",
    "minimum": "it reaches the share of the gain that is asked for",
    "identical": "the repeated baseline agrees with itself",
}
REFINED = {  # the clock, or a loss that does not matter, may have decided: not "better"
    "balanced": "another value is the better deal at the same cost, on fresh seeds",
    "quality": "another value suits this goal, on fresh seeds",
    "speed": "another value suits this goal",
    "enough": "another value is enough, on fresh seeds",
    "minimum": "another value is the least that reaches the share",
}
# a claim that is not about the default's place but about another goal is told with that goal
GOALS = {
    "quality": "for the best quality",
    "speed": "when time is short",
    "minimum": "as the least that pays",
}
NO_CHOICE = "nothing to choose: the default was held against itself"
ASK_FRESH = "ask fresh seeds (decision.confirmation_seeds=5)"


def meaning(verdict: Verdict) -> str:
    """The verdict's word in a few more words; an empty string for a word it does not know."""
    word = verdict.verdict
    by_claim = {"confirm": CONFIRMED, "refine": REFINED}.get(word, {})
    return by_claim.get(verdict.claim, MEANING.get(word, ""))


def advice(verdict: Verdict) -> str:
    """The step that the verdict supports, which is what its goal is served; open questions change nothing."""
    word, claim = verdict.verdict, verdict.claim
    goal, settled = GOALS.get(claim, ""), word in ("confirm", "refine")
    if claim == IDENTICAL:
        return NO_CHOICE
    if claim == MINIMUM and settled:
        return f"the least that pays is {number(verdict.best_level)}; no goal is served with it"
    if settled and verdict.withheld:
        told = _withheld(verdict)
    elif settled:
        told = _use(verdict)
    elif word == "refine (unconfirmed)":
        goal = goal if verdict.recommended is not None else ""
        told = f"{_keep(verdict, goal)} for now; {_seen(verdict, _best(verdict))}: {ASK_FRESH}"
    elif word == "screening only":
        told = f"{_keep(verdict, goal)}; one seed shows nothing, run three or more"
    else:
        told = _keep(verdict, goal)
    return f"{goal}{', ' if settled else ': '}{told}" if goal else told


def _best(verdict: Verdict) -> str:
    best = verdict.best_level
    return number(verdict.default if best is None else best)


def _keep(verdict: Verdict, goal: str) -> str:
    """A goal with a level of its own keeps what it is served without it, where that is known."""
    kept = verdict.recommended
    if kept is None:
        return "undecided" if goal else f"keep {number(verdict.default)}"
    start = verdict.baseline_level
    told = f"keep {number(kept)}"
    if not goal and start is not None and kept != start:
        told = f"alone undecided; use {number(kept)}, of the joint search's winner"
    if verdict.factor == "max_steps" and start is not None and kept != start:
        told = f"keep {number(start)}, {_at_served(kept)}"
    return f"undecided; {told}" if goal else told


def _at_served(steps: Any) -> str:
    """Steps are those of the default's batch size: where another is served, it takes as many examples."""
    return f"that is {number(steps)} at the batch size that is served"


def _use(verdict: Verdict) -> str:
    value, kept = _best(verdict), verdict.recommended
    told = f"use {value}" if verdict.claim in GOALS else f"keep {value}"
    if verdict.verdict == "refine":
        told = f"use {value} instead of {number(verdict.default)}"
    if kept is None or number(kept) == value:
        return told
    return f"{told}, {_at_served(kept)}"


def _withheld(verdict: Verdict) -> str:
    """What is used instead of a value that was settled and is not served, and why it is not."""
    value, why = _best(verdict), verdict.withheld
    kept = verdict.recommended
    if kept is None or number(kept) == value:  # another study's default, or nothing changes yet
        return f"{_use(verdict)}; not served: {why}"
    stays = "keep" if kept == verdict.baseline_level else "use"
    return f"{stays} {number(kept)}: {value} is not served, {why}"


def _seen(verdict: Verdict, value: str) -> str:
    """What the seeds that chose a value say of it, by the test that fresh seeds must still pass."""
    kind, effect = verdict.test or SUPERIOR, verdict.effect_percent
    lower, upper = verdict.lower, verdict.upper
    if kind == BELOW:
        return f"{value} may do, for {number(verdict.default)} gains {gain(effect)} %{_bound('upper', upper)}"
    if kind == NOT_WORSE:
        return f"{value} may do, at a gain of {gain(effect)} %{_bound('lower', lower)}"
    if kind == SHARE:
        return f"{value} may do, for it seems to reach enough"
    same_time = verdict.iso_cost_percent
    if verdict.claim == BALANCED and same_time is not None:
        return f"{value} gains {gain(same_time)} % over the default trained for the same time"
    if lower is None or lower <= 0:
        return f"whether {value} is better cannot be told"
    return f"{value} gains {gain(effect)} %{_bound('lower', lower)}"


def _bound(side: str, value: float | None) -> str:
    return "" if value is None else f" ({side} bound {gain(value)} %)"


def next_step(verdict: Verdict) -> str:
    """What would decide an open question; an empty string where nothing is open."""
    if verdict.verdict != "inconclusive":
        return ""
    return _what_would_decide(verdict)


def _what_would_decide(verdict: Verdict) -> str:
    if verdict.extend:
        return "the best level ends the grid: extend it"
    small = [reason for reason in map(clean, verdict.reasons) if reason.startswith(TOO_SMALL)]
    if small:
        return small[0]
    seeds = [reason for reason in map(clean, verdict.reasons) if "seeds would decide" in reason]
    return seeds[0] if seeds else MEANING["inconclusive"]
