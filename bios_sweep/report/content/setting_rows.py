"""One row per setting that the user has: keep it, change it, or open; the value to use, what that may cost.

Pure. The words of a verdict stand in brackets beside it: a row is read by who has never seen them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bios_sweep.checks import is_number
from bios_sweep.claims import CLAIMS, claim_named
from bios_sweep.decision.choice import Choice, Ground
from bios_sweep.decision.claims.judgement import words_of
from bios_sweep.decision.finding import EDGE
from bios_sweep.decision.ladder import LADDER_EDGE
from bios_sweep.decision.sentences import confidence_text
from bios_sweep.decision.statement import Verdict
from bios_sweep.procedure.served import SEARCH_SERVED
from bios_sweep.reasons import is_any
from bios_sweep.report.content.advice import ASIDE, because, lower_than, meaning, seen
from bios_sweep.report.content.lines import cell_words, of_other_cell, titled
from bios_sweep.report.content.wording import NONE, clean, number, times, told
from bios_sweep.vocabulary import Word


class Answer(StrEnum):
    """What becomes of the value that the user has. HOLDS: of a control, which has none."""

    HOLDS = "HOLDS"
    KEEP = "KEEP"
    CHANGE = "CHANGE"
    OPEN = "OPEN"


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """One setting. word: of the verdict. use: the value to use now. means: what it gains or gives away.

    goals: the same in a line for every other thing that one may want of the setting. unsaid: what a settled
    answer leaves out; empty where it is all that can be asked.
    """

    setting: str
    answer: Answer
    word: str
    use: str
    means: str
    goals: tuple[str, ...] = ()
    unsaid: str = ""


def setting_rows(verdicts: Sequence[Verdict]) -> tuple[SettingRow, ...]:
    """A row per setting and cell, in the order of the verdicts; the answer for everyone is the row."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault((verdict.factor, verdict.cell), []).append(verdict)
    return tuple(map(_row, groups.values()))


def answer_of(verdict: Verdict) -> Answer:
    """Keep or change where the question is settled, by the value that is served; else it is open.

    Settled and not served is open, unless the winner of a joint search is served in its place: that was
    judged beside it, while a value that another claim settled says nothing about this goal. In a cell of
    other values than the study's own nothing is served; there the answer is for that cell only. The least
    that will do is nobody's value: it leaves the default as it is.
    """
    now = verdict.now
    if verdict.verdict not in (Word.CONFIRM, Word.REFINE) or now is None:
        return Answer.OPEN
    if now.ground == Ground.WITHHELD:
        searched = verdict.withheld is not None and verdict.withheld.kind == SEARCH_SERVED
        moved = verdict.recommended not in (None, verdict.baseline_level)
        return Answer.CHANGE if searched and moved else Answer.OPEN
    if words_of(verdict.claim).unmoved:
        return Answer.HOLDS
    kept = verdict.best_level in (None, verdict.baseline_level) or _for_nobody(verdict)
    return Answer.KEEP if kept else Answer.CHANGE


def _for_nobody(verdict: Verdict) -> bool:
    return verdict.claim in CLAIMS and not claim_named(verdict.claim).served


def is_open(verdict: Verdict) -> bool:
    """Whether more trials, or another decision, would have to settle it."""
    return answer_of(verdict) == Answer.OPEN


def _row(verdicts: Sequence[Verdict]) -> SettingRow:
    main = next((one for one in verdicts if claim_named(one.claim).for_everyone), verdicts[0])
    unasked = not_asked(main)
    name = f"{main.factor} ({main.claim})" if unasked else main.factor
    return SettingRow(
        setting=clean(", ".join(filter(None, (name, cell_words(main.cell))))),
        answer=Answer.OPEN if unasked else answer_of(main),
        word=clean(main.verdict),
        use=use(main),
        means="; ".join(filter(None, (unasked, ": ".join(filter(None, (_for_whom(main), _means(main))))))),
        goals=tuple(_goal(one) for one in verdicts if one is not main),
        unsaid=unasked or _unsaid(main),
    )


def _unsaid(verdict: Verdict) -> str:
    if words_of(verdict.claim).unmoved:
        return "the control holds; ask about a setting next"
    return f"this holds {only_there(verdict)}" if of_other_cell(verdict) else ""


def only_there(verdict: Verdict) -> str:
    """`for train_examples=500 only`, where it is of a cell that is not the study's own."""
    return f"for {cell_words(verdict.cell)} only" if of_other_cell(verdict) else ""


def named(verdicts: Sequence[Verdict]) -> list[tuple[str, Verdict]]:
    """Verdicts by a name that claims no more than they say: also of the least that will do, asked alone."""
    found = []
    asked = {(verdict.factor, verdict.claim) for verdict in verdicts}
    for title, verdict in titled(verdicts):
        alone = not_asked(verdict) and sum(factor == verdict.factor for factor, _ in asked) == 1
        whole = title.replace(verdict.factor, f"{verdict.factor} ({verdict.claim})", 1) if alone else title
        found.append((f"{whole} only" if of_other_cell(verdict) else whole, verdict))
    return found


def not_asked(verdict: Verdict) -> str:
    """Where the least that will do is asked alone: that the default itself is not in question."""
    if not _for_nobody(verdict) or words_of(verdict.claim).unmoved:
        return ""
    return f"whether {number(verdict.baseline_level)} is right was not asked"


def _for_whom(verdict: Verdict) -> str:
    """Whose value it is, where that is not everyone's."""
    claim = claim_named(verdict.claim)
    return words_of(verdict.claim).goal if claim.served and not claim.for_everyone else ""


def _goal(verdict: Verdict) -> str:
    wish = words_of(verdict.claim).goal or clean(verdict.claim)
    still = f"{Answer.OPEN}, until then " if is_open(verdict) else ""
    if _for_nobody(verdict) and not is_open(verdict):
        return f"{wish}: {number(verdict.best_level)} ({clean(verdict.verdict)})"
    if verdict.now is not None and verdict.now.ground == Ground.WITHHELD:
        best = number(verdict.best_level)
        return f"{wish}: {still}{use(verdict)}; {best} ({clean(verdict.verdict)}) is not served"
    return f"{wish}: {still}{use(verdict)} ({clean(verdict.verdict)})"


def use(verdict: Verdict) -> str:
    """The value to use tonight."""
    now = verdict.now
    if now is None or words_of(verdict.claim).unmoved:
        return NONE
    if now.ground == Ground.SETTLED and verdict.recommended is not None and verdict.withheld is None:
        return number(verdict.recommended)
    if now.ground == Ground.SETTLED and _for_nobody(verdict):
        return number(verdict.baseline_level)
    if now.ground == Ground.DIVERGED and verdict.factor == "learning_rate":
        limit = lower_than(verdict, now)
        return number(now.value) if limit is None else f"below {number(limit)}"
    return number(now.value)


def _means(verdict: Verdict) -> str:
    now = verdict.now
    if now is None or words_of(verdict.claim).unmoved:
        return meaning(verdict)
    if now.ground == Ground.WITHHELD:
        return clean(f"{number(verdict.best_level)} is not served: {verdict.withheld}")
    if now.ground == Ground.NOTHING_BETTER:
        return "; ".join(filter(None, (_given_away(verdict, now), seen(verdict))))
    if now.ground != Ground.SETTLED:
        return clean(because(verdict, now))
    words = words_of(verdict.claim)
    if words.advice:
        return words.advice.format(value=number(verdict.best_level))
    gain = _given_away(verdict, now) if answer_of(verdict) == Answer.KEEP else _gained(verdict)
    unserved = f"not served: {verdict.withheld}" if verdict.withheld else ""
    told = (gain or meaning(verdict), _as_many(verdict), only_there(verdict), unserved)
    return clean("; ".join(filter(None, told)))


def _given_away(verdict: Verdict, now: Choice) -> str:
    """What the value in use loses at most against all else that was tested; empty where no bound is known."""
    sure = f"({confidence_text(now.confidence)} sure)"
    if now.most is None:
        return ""
    aside = any(row.status == ASIDE for row in verdict.levels)
    if now.most.gain <= 0:
        return f"nothing else that was {'compared' if aside else 'tested'} is better {sure}"
    ends = is_any(verdict.reasons, EDGE, LADDER_EDGE)  # what lies beyond is not bounded
    of = " of what was compared" if aside else " against what was tested" if ends else ""
    longer = " to the default trained as long" if now.most.same_time else ""
    return f"gives away at most {_amount(verdict, now.most.gain)}{longer}{of} {sure}"


def _gained(verdict: Verdict) -> str:
    """What a settled change gains, or gives away at most; and the time it takes where that was measured."""
    gain, lower, upper = verdict.effect_percent, verdict.lower, verdict.upper
    sure = f"({confidence_text(verdict.confidence)} sure)"
    if number(verdict.effect_of) != number(verdict.best_level):  # what the other one gains over it
        if upper is None:
            return ""
        return f"gives away at most {_amount(verdict, max(0.0, upper))} {sure}"
    if gain is None or lower is None:
        return ""
    over = clean(verdict.effect_over)
    than = f" over {over}" if over and over != number(verdict.baseline_level) else ""
    if lower <= 0:
        text = f"gives away at most {_amount(verdict, -lower)}{than} {sure}"
    else:
        text = f"gains {_amount(verdict, gain)}{than}, at least {_amount(verdict, lower)} {sure}"
    takes = f"takes {times(verdict.cost_ratio)} the time" if verdict.cost_ratio is not None else ""
    return "; ".join(filter(None, (text, takes)))


def _as_many(verdict: Verdict) -> str:
    """Steps are those of the default's batch size: where another is served, it takes as many examples."""
    kept, best = verdict.recommended, verdict.best_level
    moved = is_number(kept) and best is not None and number(kept) != number(best) and not verdict.withheld
    return f"as many examples as {number(best)} at the default's batch size" if moved else ""


def _amount(verdict: Verdict, value: float | None) -> str:
    return told(value, verdict.scale).lstrip("+")
