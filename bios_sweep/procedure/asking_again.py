"""A study whose questions were asked before: what it is judged on, and what may be served of it. Pure.

What is served is the judgement of all trials of a question together (docs/statistics.md, item 10): a later
study is enlarged to the seeds and the levels of the earlier ones and judged once. It says nothing new without
a new trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bios_sweep.claims import REPEAT
from bios_sweep.procedure.enlarged import Again, Told, enlarged
from bios_sweep.procedure.looked_at import LookedAt, looked_at
from bios_sweep.procedure.looks import Look
from bios_sweep.procedure.turns import Turn, held_to_fresh, turn_of
from bios_sweep.study.design import Study
from bios_sweep.study.plan import Plan


def answered_by(plan: Plan, looks: Sequence[Look]) -> Iterator[str]:
    """The sweeps that have judged all trials of a plan's questions by the same rule, the latest one first.

    Their words are printed again, unless the plan has trials beside its questions (`asks_more`). looks: at
    these questions.
    """
    asked = looked_at(plan, looks)
    for sweep in dict.fromkeys(look.sweep for look in reversed(looks)):
        known = {look.question for look in looks if look.sweep == sweep}
        if known == set(asked) and all(_answers(sweep, one, plan) for one in asked.values()):
            yield sweep


def _answers(sweep: str, one: LookedAt, plan: Plan) -> bool:
    """Whether the sweep was asked for in the same words, or had all trials of the question."""
    return any(
        look.asked == plan.sweep_id or (look.pools and one.covered_by(look, plan.study.seeds))
        for look in one.looks
        if look.sweep == sweep
    )


def asks_more(study: Study, ran: Study) -> bool:
    """Whether a study searches jointly, or has a control, as one that ran did not."""
    mine, theirs = study.decision, ran.decision
    search = (mine.refine, mine.refine_trials, mine.refine_goal)
    searched = (theirs.refine, theirs.refine_trials, theirs.refine_goal)
    return (mine.refine is not None and search != searched) or not _controls(study) <= _controls(ran)


def _controls(study: Study) -> set[Any]:
    return {value for factor in study.factors if factor.name == REPEAT for value in factor.values}


def asked_again(plan: Plan, looks: Sequence[Look]) -> Plan:
    """The plan as it is judged after the looks of other studies; as it was asked, where there are none.

    Raises:
        PlanError: six studies have asked, and these seeds are not all fresh.
    """
    others = [look for look in looks if plan.sweep_id not in (look.asked, look.sweep)]
    asked = [one for one in looked_at(plan, others).values() if one.pooled]
    if not asked:
        return plan
    seeds = plan.study.seeds
    told = [Told(asked=one, look=look) for one in asked if (look := one.stands(seeds))]
    if len(told) == len(asked):
        return enlarged(plan, told, seeds)
    turns = [turn_of(one, plan.study) for one in asked]
    seeds = _together(seeds, turns)
    return enlarged(plan, [_placed(*pair, seeds) for pair in zip(asked, turns, strict=True)], seeds)


def _together(asked: Sequence[int], turns: Iterable[Turn]) -> tuple[int, ...]:
    """The seeds that are asked for, and after them those of earlier looks."""
    return (*asked, *sorted({seed for turn in turns for seed in turn.seeds} - set(asked)))


def _placed(asked: LookedAt, turn: Turn, seeds: Sequence[int]) -> Told | Again:
    """A look that had all seeds of all questions tells its word again; any other question is judged anew."""
    if look := asked.stands(seeds):
        return Told(asked=asked, look=look)
    return Again(asked=asked, turn=held_to_fresh(asked, turn, seeds))
