"""What a reader may do after a verdict, in one line. Pure."""

from __future__ import annotations

from typing import Any

from bios_sweep.decision.claims.evidence import MORE_SEEDS
from bios_sweep.decision.claims.judgement import words_of
from bios_sweep.decision.finding import BELOW, EDGE, NOT_WORSE, SHARE, SUPERIOR
from bios_sweep.decision.fresh import SIZE_OPEN, TOO_SMALL
from bios_sweep.decision.statement import Verdict
from bios_sweep.reasons import Kind, is_any
from bios_sweep.report.content.wording import clean, gain, number
from bios_sweep.vocabulary import Word

# what the word says, for those who see it for the first time; never more than was shown
MEANING: dict[str, str] = {
    Word.CONFIRM: "no tested alternative is better by as much as matters",
    Word.REFINE: "another value proved better, on fresh seeds",
    Word.UNCONFIRMED: "seen on the seeds that chose it alone; fresh seeds have not been asked",
    Word.INCONCLUSIVE: "neither shown nor excluded",
    Word.SCREENING_ONLY: "one seed, no error estimate",
}
EXTEND = Kind("extend the grid: {command}")
ASK_FRESH = "ask fresh seeds (decision.confirmation_seeds=5)"


def meaning(verdict: Verdict) -> str:
    """The verdict's word in a few more words; an empty string for a word it does not know."""
    word, words = verdict.verdict, words_of(verdict.claim)
    by_claim: dict[str, str] = {Word.CONFIRM: words.confirmed, Word.REFINE: words.refined}
    return by_claim.get(word, "") or MEANING.get(word, "")


def advice(verdict: Verdict) -> str:
    """The step that the verdict supports, which is what its goal is served; open questions change nothing."""
    word, words = verdict.verdict, words_of(verdict.claim)
    goal, settled = words.goal, word in (Word.CONFIRM, Word.REFINE)
    if words.unmoved:
        return words.unmoved
    if words.advice and settled:
        return words.advice.format(value=number(verdict.best_level))
    if settled and verdict.withheld:
        step = _withheld(verdict)
    elif settled:
        step = _use(verdict)
    elif word == Word.UNCONFIRMED:
        goal = goal if verdict.recommended is not None else ""
        step = f"{_keep(verdict, goal)} for now; {_seen(verdict, _best(verdict))}: {ASK_FRESH}"
    elif word == Word.SCREENING_ONLY:
        step = f"{_keep(verdict, goal)}; one seed shows nothing, run three or more"
    else:
        step = _keep(verdict, goal)
    return f"{goal}{', ' if settled else ': '}{step}" if goal else step


def _best(verdict: Verdict) -> str:
    best = verdict.best_level
    return number(verdict.default if best is None else best)


def _keep(verdict: Verdict, goal: str) -> str:
    """A goal with a level of its own keeps what it is served without it, where that is known."""
    kept = verdict.recommended
    if kept is None:
        return Word.UNDECIDED if goal else f"keep {number(verdict.default)}"
    start = verdict.baseline_level
    step = f"keep {number(kept)}"
    if not goal and start is not None and kept != start:
        step = f"alone undecided; use {number(kept)}, of the joint search's winner"
    if verdict.factor == "max_steps" and start is not None and kept != start:
        step = f"keep {number(start)}, {_at_served(kept)}"
    return f"undecided; {step}" if goal else step


def _at_served(steps: Any) -> str:
    """Steps are those of the default's batch size: where another is served, it takes as many examples."""
    return f"that is {number(steps)} at the batch size that is served"


def _use(verdict: Verdict) -> str:
    value, kept = _best(verdict), verdict.recommended
    step = f"use {value}" if words_of(verdict.claim).goal else f"keep {value}"
    if verdict.verdict == Word.REFINE:
        step = f"use {value} instead of {number(verdict.default)}"
    if kept is None or number(kept) == value:
        return step
    return f"{step}, {_at_served(kept)}"


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
    if same_time is not None:
        return f"{value} gains {gain(same_time)} % over the default trained for the same time"
    if lower is None or lower <= 0:
        return f"whether {value} is better cannot be told"
    return f"{value} gains {gain(effect)} %{_bound('lower', lower)}"


def _bound(side: str, value: float | None) -> str:
    return "" if value is None else f" ({side} bound {gain(value)} %)"


def next_step(verdict: Verdict) -> str:
    """What would decide an open question; an empty string where nothing is open."""
    if verdict.verdict != Word.INCONCLUSIVE:
        return ""
    if verdict.extend and is_any(verdict.reasons, EDGE):
        return "the best level ends the grid: extend it"
    if verdict.extend:
        return "the best of a level ends its ladder: extend it"
    for kind in (TOO_SMALL, SIZE_OPEN, MORE_SEEDS):
        for reason in verdict.reasons:
            if reason.kind == kind:
                return clean(reason)
    return MEANING[Word.INCONCLUSIVE]
