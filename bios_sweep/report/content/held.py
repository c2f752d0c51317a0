"""What was to be equal between arms, as it was asked for and, of a script, as it was seen. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bios_sweep.procedure.questions import title_of
from bios_sweep.procedure.spending import ArmSpent, Budgets, spent_words
from bios_sweep.procedure.state import Results, State
from bios_sweep.report.content.wording import plural
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import READ
from bios_sweep.vocabulary import Seen

NOTHING = (
    "nothing; the script named no step, examples, tokens or epoch beside its metric, so whether they were "
    'equal is not known (print {"step": N, ...})'
)
FEW = 20  # chosen: so few "steps" may be epochs, or evaluations


@dataclass(frozen=True, kw_only=True)
class HeldRow:
    """One question. asked: what was to be equal; seen: a word of `Seen`; quantity: what the script told."""

    factor: str
    claim: str
    cell: str
    asked: str
    seen: str
    quantity: str
    arms: tuple[ArmSpent, ...]


def asked_line(plan: Plan) -> str:
    """What every arm was to get alike; of our own engines, which count themselves, what it got."""
    baseline, hold = plan.baseline, plan.study.budget.hold
    spent = {
        "examples": f"{baseline.examples():,} training examples",
        "epochs": f"{baseline.settings.own.get('epochs', 0):g}",
    }.get(hold, f"{baseline.settings.max_steps:,} steps")
    begin = "held equal" if plan.study.scenario.repeatable else "asked to be equal"
    known = baseline.settings.train_examples or plan.study.scenario.data.train_examples
    unknown = "; how many steps that is is not known, data.train_examples would say"
    more = unknown if hold == "epochs" and not known else ""
    return f"{begin}: {hold} ({spent} per arm, except where the factor itself changes them{more})"


def seen_lines(plan: Plan, state: State) -> list[str]:
    """What a script was seen to spend, once where all questions have one answer; none before there is one."""
    lines: dict[str, list[str]] = {}
    for cell in plan.cells or (plan,):
        for question, found in state.seen.items():
            if question.cell == cell.cell:
                lines.setdefault(_seen(found), []).append(title_of(cell, question))
    if len(lines) == 1:
        return [f"seen to be equal: {line}" for line in lines]
    return [f"seen to be equal, {', '.join(titles)}: {line}" for line, titles in lines.items()]


def read_lines(plan: Plan, state: State, results: Results) -> list[str]:
    """Where a script's metric was read, as it was found in its trials; none before there is one."""
    ended = (results[trial.key] for trial in state.needed if trial.key in results)
    found = Counter(str(result.provenance[READ]) for result in ended if READ in result.provenance)
    name = plan.study.metric.name
    if len(found) < 2:
        return [f"{name} was read from {words}" for words in found]
    each = "; ".join(f"from {words} in {plural(count, 'trial')}" for words, count in found.most_common())
    return [
        f"{name} was read {each}: have the script say it in one way, or its arms are not quite comparable"
    ]


def held_rows(plan: Plan, state: State) -> tuple[HeldRow, ...] | None:
    """The same as values."""
    if plan.study.scenario.repeatable:
        return None
    return tuple(
        HeldRow(
            factor=question.factor,
            claim=question.claim.name,
            cell=question.cell,
            asked=plan.study.budget.hold,
            seen=found.seen,
            quantity=found.quantity,
            arms=found.arms,
        )
        for question, found in state.seen.items()
    )


def held_equal(plan: Plan, found: Budgets | None) -> str:
    """What may be called equal: `steps`, or `steps, as asked and not seen`."""
    hold = plan.study.budget.hold
    if plan.study.scenario.repeatable or (found is not None and found.seen == Seen.EQUAL):
        return hold
    if found is not None and found.seen == Seen.ALIKE:
        return f"{hold}, of which the script told another number than asked, alike in every arm"
    return f"{hold}, as asked and not seen"


def held_words(plan: Plan, found: Budgets | None) -> str:
    """Of a scope: `steps held equal`; of what was not seen so, who asked for it."""
    words = held_equal(plan, found)
    if found is not None and found.seen == Seen.DIFFERENT:
        return f"equal {plan.study.budget.hold} asked of the script, and not kept"
    hold, _, rest = words.partition(", ")
    return f"{hold} held equal" + (f", {rest}" if rest else "")


def _seen(found: Budgets) -> str:
    if found.seen == Seen.NOT_SEEN:
        return NOTHING if not found.quantity else f"not seen; some trials told no {found.quantity}"
    told = f"{found.quantity} told by the script, {spent_words(found.arms)}"
    if found.seen == Seen.DIFFERENT:
        return f"not so; {told}"
    if found.seen == Seen.EQUAL:
        known = all(arm.asked is not None for arm in found.arms)
        return told if known else f"{told}, which is in proportion to what was asked"
    more = any(arm.asked is not None and arm.most > arm.asked for arm in found.arms)
    hint = "fewer than asked" if not more else "more than asked, as micro-batches are"
    if not more and found.quantity == "steps" and max(arm.most for arm in found.arms) <= FEW:
        hint += "; if these are epochs or evaluations, the steps are not known (budget.hold=epochs)"
    return f"{told}, by one ratio in every arm ({hint})"
