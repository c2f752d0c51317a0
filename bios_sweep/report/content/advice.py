"""What to do now, in one line: the choice under a verdict and the cheapest step that would settle it. Pure.

docs/statistics.md, item 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bios_sweep.decision.choice import Choice, Ground, NextStep, Step
from bios_sweep.decision.claims.judgement import words_of
from bios_sweep.decision.finding import BELOW, CONFOUNDED, EDGE, NO_NOISE, NO_SEEDS, NOT_WORSE, SHARE
from bios_sweep.decision.fresh import (
    GUARD_BROKEN,
    GUARD_BROKEN_OWN,
    GUARD_OF_NOTHING,
    SEEDS_MISSING,
    SIZE_OPEN,
    TOO_SMALL,
)
from bios_sweep.decision.gates import BLOCKS_MISSING
from bios_sweep.decision.sentences import confidence_text
from bios_sweep.decision.statement import Verdict
from bios_sweep.decision.verdicts import NO_LEVEL, NO_VARIATION
from bios_sweep.procedure.screening import NO_LEVEL as NONE_TESTED
from bios_sweep.reasons import is_any
from bios_sweep.report.content.wording import clean, money, number, plural, told, trained
from bios_sweep.vocabulary import Status, Word

# what the word says, for those who see it for the first time; never more than was shown
MEANING: dict[str, str] = {
    Word.CONFIRM: "no tested alternative is better by as much as matters",
    Word.REFINE: "another value proved better, on fresh seeds",
    Word.UNCONFIRMED: "seen on the seeds that chose it alone; fresh seeds have not been asked",
    Word.INCONCLUSIVE: "neither shown nor excluded",
    Word.SCREENING_ONLY: "no error estimate, as from one seed",
}
WITHOUT = (  # why nothing is known of another value
    ((NO_VARIATION, NO_LEVEL), "every other level that was tested diverged"),
    ((NONE_TESTED,), "trials of every other level failed"),
    ((BLOCKS_MISSING,), "trials failed, so that too little is left to compare"),
    ((SEEDS_MISSING,), "trials on the fresh seeds failed"),
)
WITHOUT_SPREAD = (  # what else than one seed leaves without an error estimate
    (NO_NOISE, "values that repeat at every seed say"),
    (NO_SEEDS, "runs without seeds to pair them by say"),
)
MUST = "must you choose now?"
ASIDE = "not compared"  # the status of a level that ran and was set aside


def meaning(verdict: Verdict) -> str:
    """The verdict's word in a few more words; an empty string for a word it does not know."""
    word, words = verdict.verdict, words_of(verdict.claim)
    by_claim: dict[str, str] = {Word.CONFIRM: words.confirmed, Word.REFINE: words.refined}
    return by_claim.get(word, "") or MEANING.get(word, "")


def advice(verdict: Verdict) -> str:
    """The value to use now, and what that may give away."""
    words, now = words_of(verdict.claim), verdict.now
    if words.unmoved:
        return words.unmoved
    assert now is not None  # every verdict that is made has its choice
    if now.ground in (Ground.SETTLED, Ground.WITHHELD):
        if words.advice:
            return words.advice.format(value=number(verdict.best_level))
        step = _withheld(verdict) if verdict.withheld else _use(verdict)
        step = "; ".join(filter(None, (step, _most(verdict, now, over=now.value != now.default))))
        return f"{words.goal}, {step}" if words.goal else step
    return f"{words.goal}, {_now(verdict, now)}" if words.goal else _now(verdict, now)


def next_line(verdict: Verdict) -> str:
    """The cheapest step that would settle an open question, an empty string where none would."""
    step = verdict.now.step if verdict.now else None
    if step is None:
        return ""
    return ", ".join(filter(None, (_what(verdict, step), _trials(step), _cost(step))))


def _now(verdict: Verdict, now: Choice) -> str:
    return f"{MUST} {_do(verdict, now)}: {because(verdict, now)}"


def _do(verdict: Verdict, now: Choice) -> str:
    """The value to use while the question is open."""
    value = number(now.value)
    if now.ground == Ground.BETTER:
        return f"Use {value}"
    if now.ground != Ground.DIVERGED:
        return _kept(verdict, now)
    if verdict.factor != "learning_rate":
        return f"Keep {value}, at a lower learning rate"
    limit = lower_than(verdict, now)
    return f"Use {value}" if limit is None else f"Use a lower rate than {number(limit)}"


def lower_than(verdict: Verdict, now: Choice) -> Any:
    """Of a rate whose default diverged: the lowest that did, None where the one to use was seen to hold."""
    if any(row.level == now.value and row.status != Status.DIVERGED for row in verdict.levels):
        return None
    return min([now.default, *(row.level for row in verdict.levels if row.status == Status.DIVERGED)])


def because(verdict: Verdict, now: Choice) -> str:
    """Why that value, of a question that is open."""
    default = number(now.default)
    if now.ground == Ground.BETTER:
        best = _best(verdict) if now.served == now.value else "it"
        better = f"{best} is better than {_than(verdict, default)} by {_at_least(verdict, now)}"
        return f"{better}, {_unsettled(verdict)}{_meanwhile(now)}"
    if now.ground == Ground.COSTS:
        return f"{_best(verdict)} is better by {_at_least(verdict, now)}, and {_lost(now.costs or ())}"
    if now.ground == Ground.DIVERGED:
        return _diverged(verdict, now)
    if now.ground == Ground.UNKNOWN:
        return _unknown(verdict)
    return "; ".join(filter(None, (_most(verdict, now), seen(verdict))))


def _diverged(verdict: Verdict, now: Choice) -> str:
    if verdict.factor != "learning_rate":
        return "the default diverged, so nothing was compared"
    limit = lower_than(verdict, now)
    if limit == now.default:
        return "at it the default diverged, so nothing was compared"
    lower = "" if limit is None else ", and so did every lower rate that was tested"
    return f"the default {number(now.default)} diverged{lower}, so nothing was compared"


def _meanwhile(now: Choice) -> str:
    """What the tuned file has while a better level is open."""
    served = number(now.served)
    if now.served is None:
        return ""
    if now.served == now.value:
        return f"; the tuned file has {served}, which another answer of the study settled"
    return f"; the tuned file keeps {served} until then"


def _at_least(verdict: Verdict, now: Choice) -> str:
    """`1.22 % (at least 0.85 %, 95 %)`."""
    least = f"at least {_told(verdict, now.lower)}, {confidence_text(now.confidence)}"
    return f"{_told(verdict, now.gain)} ({least})"


def _than(verdict: Verdict, default: str) -> str:
    """What a gain is over, where that is not the default as it is: it trained for as long, another level."""
    return clean(verdict.effect_over) or default


def _kept(verdict: Verdict, now: Choice) -> str:
    """A joint search's winner may move a setting that is open alone; steps may count another batch size."""
    value, default = number(now.value), number(now.default)
    if now.value == now.default:
        return f"Keep {value}"
    if verdict.factor == "max_steps":
        return f"Keep {default}, {_at_served(now.value)}"
    if not words_of(verdict.claim).goal:
        return f"Use {value}, of the joint search's winner"
    return f"Keep {value}"


def _most(verdict: Verdict, now: Choice, *, over: bool = False) -> str:
    """What is given away at most: `of what was tested nothing gains more than 0.90 % (95 %)`."""
    most, sure = now.most, confidence_text(now.confidence)
    if most is None:
        return ""
    tested = "compared" if any(row.status == ASIDE for row in verdict.levels) else "tested"
    if most.gain <= 0:
        told = (
            f"all else that was {tested} is worse"
            if most.gain < 0
            else f"nothing that was {tested} is better"
        )
        return f"{told} ({sure})"
    than = (
        " over the default trained for the same time"
        if most.same_time
        else f" over {number(now.value)}"
        if over
        else ""
    )
    return f"of what was {tested} nothing gains more than {_told(verdict, most.gain)}{than} ({sure})"


def _unsettled(verdict: Verdict) -> str:
    if is_any(verdict.reasons, EDGE):
        return "and only whether a level beyond it is better still is open"
    if is_any(verdict.reasons, SIZE_OPEN):
        return "and only whether by as much as matters is open"
    return "on the seeds that chose it; fresh ones have not been asked"


def _unknown(verdict: Verdict) -> str:
    if verdict.verdict == Word.SCREENING_ONLY:
        few = next((told for kind, told in WITHOUT_SPREAD if is_any(verdict.reasons, kind)), "one seed says")
        return f"{few} nothing of how much another value gains"
    for kinds, why in WITHOUT:
        if is_any(verdict.reasons, *kinds):
            return why
    joint = next((reason for reason in verdict.reasons if reason.kind == CONFOUNDED), None)
    if joint is not None and joint.facts["main"] == verdict.factor:
        return (
            f"{joint.facts['others']} moved with some of its values, and what those gain alone is not known"
        )
    if joint is not None:
        return f"what another value alone gains is not known, for {joint.facts['others']} moved with it"
    return "what another value gains is not known"


def _use(verdict: Verdict) -> str:
    value, kept = _best(verdict), verdict.recommended
    step = f"use {value}" if words_of(verdict.claim).goal else f"keep {value}"
    if verdict.verdict == Word.REFINE:
        step = f"use {value} instead of {number(verdict.default)}"
    if kept is None or number(kept) == value or verdict.withheld:
        return step
    return f"{step}, {_at_served(kept)}"


def _best(verdict: Verdict) -> str:
    return number(verdict.default if verdict.best_level is None else verdict.best_level)


def _at_served(steps: Any) -> str:
    """Steps are those of the default's batch size: where another is served, it takes as many examples."""
    return f"that is {number(steps)} at the batch size that is served"


def _withheld(verdict: Verdict) -> str:
    """What is used instead of a value that was settled and is not served, and why it is not."""
    value, why, kept = _best(verdict), verdict.withheld, verdict.recommended
    if kept is None or number(kept) == value:  # another study's default, or nothing changes yet
        return f"{_use(verdict)}; not served: {why}"
    stays = "keep" if kept == verdict.baseline_level else "use"
    return f"{stays} {number(kept)}: {value} is not served, {why}"


def seen(verdict: Verdict) -> str:
    """What is known of another value, where that is no gain, or one that does not matter."""
    broken = (GUARD_BROKEN, GUARD_BROKEN_OWN, GUARD_OF_NOTHING)
    guards = [reason for reason in verdict.reasons if reason.kind in broken]
    if guards:
        lost = _lost([reason.facts["guardrail"] for reason in guards])
        return f"{_best(verdict)} is better on fresh seeds, and {lost}"
    if is_any(verdict.reasons, TOO_SMALL):
        return f"{_best(verdict)} is better, by less than matters"
    if verdict.verdict != Word.UNCONFIRMED:
        return ""
    value, asked = _best(verdict), "fresh seeds have not been asked"
    gained = _told(verdict, verdict.effect_percent, "+")
    if verdict.test == BELOW:
        return f"{value} may do, for {number(verdict.default)} gains {gained}; {asked}"
    if verdict.test == NOT_WORSE:
        return f"{value} may do, at a gain of {gained}; {asked}"
    if verdict.test == SHARE:
        return f"{value} may do, for it seems to reach enough; {asked}"
    return f"whether {value} is better cannot be told; {asked}"


def _lost(metrics: Sequence[str]) -> str:
    return f"a loss that matters in {' and '.join(metrics)} is not excluded there"


def _told(verdict: Verdict, value: float | None, sign: str = "") -> str:
    """A gain in the verdict's unit. sign: `+` where a gain has its sign."""
    text = told(value, verdict.scale)
    return text if sign else text.lstrip("+")


def _what(verdict: Verdict, step: NextStep) -> str:
    levels = ", ".join(number(level) for level in step.levels)
    seeds = plural(step.seeds or 0, "fresh seed")
    if step.kind == Step.SEEDS:
        return f"{seeds} of {levels} and the default"
    if step.kind == Step.SEVERAL:
        return f"{plural(step.seeds or 0, 'seed')} of {levels} and the default"
    if step.kind == Step.CONFIRMATION:
        return f"{seeds} of the candidate and the default"
    if step.kind == Step.LEVEL:
        return f"one level beyond the end of the grid ({levels})"
    if step.kind == Step.RUNG:
        return "one rung beyond the end of the ladder"
    if step.kind == Step.NEARER:
        near = "levels" if len(step.levels) > 1 else "a level"
        return f"{near} nearer to the default ({levels})"
    if step.kind == Step.WORSE:
        return f"a level that has to be worse ({levels}), to see that this study can tell"
    if step.kind == Step.TAKEN_UP:
        return f"{levels}, which was stopped by hand, taken up again"
    if step.kind == Step.AGAIN:
        return "the failed trials once more"
    if step.kind == Step.RATE:
        return f"the same question from a learning rate of {levels}"
    if step.kind == Step.MARGIN:
        return f"a coarser margin ({_told(verdict, step.margin)}), with {seeds} of {levels} and the default"
    if step.kind == Step.EVALUATION:
        return (
            f"more evaluation data (about {step.clusters:,} documents, modules or conversations), for more "
            "seeds cannot do it; or an answer about this evaluation set alone, from the trials that are there"
        )
    return "an answer about this evaluation set alone, from the trials that are there"


def _trials(step: NextStep) -> str:
    return "" if not step.trials else plural(step.trials, "trial")


def _cost(step: NextStep) -> str:
    if not step.trials or step.hours is None:
        return ""
    return f"about {trained(step.hours)}" + ("" if step.money is None else f", {money(step.money)}")
