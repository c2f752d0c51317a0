"""What a plan and a report say of earlier studies of the same questions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bios_sweep.decision.finding import Finding
from bios_sweep.procedure.state import State
from bios_sweep.report.content.wording import number, plural
from bios_sweep.study.history import AskedBefore, Changed, EarlierLook, History
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Word

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def asked_lines(plan: Plan) -> list[str]:
    """Which look this is at each question that was asked before, and what it is judged on."""
    history = plan.study.history
    if history is None:
        return []
    return [line for known in history.factors for line in _factor_lines(plan, history, known)]


def _factor_lines(plan: Plan, history: History, known: AskedBefore) -> Iterator[str]:
    name, study = known.factor, plan.study
    before = ", ".join(map(_told, known.earlier))
    count = len(study.seeds)
    seeds = f"{'its' if count == len(history.seeds) else 'all'} {count} seeds"
    alpha = f"alpha {study.decision.alpha:g}"
    if known.stands:
        words = "; ".join(f"{one.claim}: {one.word}, by {one.sweep}" for one in known.stands)
        met = ", with what it met on fresh seeds" if any(one.fresh for one in known.stands) else ""
        yield f"{name}: no trial is new, so the word of before stands ({words}){met}"
    elif known.changed:
        changes = ", ".join(map(_change, known.changed))
        yield (
            f"{name}: {changes} changed after the results were seen ({before}); it is judged with {seeds}, "
            f"and nothing is served until fresh seeds agree, such as seeds={_fresh(plan, history)}"
        )
    elif known.series and known.look == 1:
        yield f"{name}: a new series of looks, on seeds that nobody had seen, at {alpha} (before: {before})"
    elif known.look > 1:
        yield (
            f"{name}: {ORDINALS[known.look - 1]} look at this question (before: {before}): judged once, with "
            f"{seeds}, at {alpha} instead of {history.alpha:g}"
        )
    else:
        yield f"{name}: asked before ({before}), without a look that counts; judged with {seeds}"
    if known.levels:
        levels = ", ".join(map(number, known.levels))
        yield f"{name}: compared with {levels} too, which an earlier study asked for"


def changed_lines(plan: Plan, state: State) -> list[str]:
    """What the rule of before says of the same trials, where it was changed after they were seen."""
    history = plan.study.history
    if history is None or not state.before:
        return []
    return [
        f"{question.factor} ({question.claim}): by the rule of before, the same trials say {_word(finding)}"
        for question, finding in state.before.items()
        if (known := history.of(question.factor)) is not None and known.changed
    ]


def _word(finding: Finding) -> str:
    """A candidate's fresh seeds are of another study."""
    candidate = finding.state == Word.CANDIDATE
    return f"{finding.best} is a candidate for {Word.REFINE}" if candidate else str(finding.state)


def _told(look: EarlierLook) -> str:
    aside = "" if look.counts else ", not counted"
    return f"{look.sweep}: {look.word}, {plural(len(look.seeds), 'seed')}{aside}"


def _change(change: Changed) -> str:
    return f"{change.key} ({_value(change.before)} to {_value(change.now)})"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(part)}" for name, part in value.items()) or "none"
    return "none" if value is None else str(value)


def _fresh(plan: Plan, history: History) -> str:
    """As many seeds as were asked for, which no study of the question had."""
    seen = {*plan.study.seeds, *history.tried}
    free = [seed for seed in range(len(seen) + len(history.seeds)) if seed not in seen]
    return "[" + ",".join(map(str, free[: len(history.seeds)])) + "]"
