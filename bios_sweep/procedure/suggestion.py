"""The next study: the smallest one that would settle what a finished sweep left open. Pure.

What is open is asked again: a best level that ends the grid with one level more, and a ladder that ends too
early with one rung more, on the same seeds, whose trials are there already; a gain that was neither shown nor
excluded on as many fresh seeds as would decide it; a candidate that no fresh seed was asked about, by its
confirmation alone; refined settings that did not hold together, one on top of the other. Where nothing is
open, the signs in the curves say what is worth a sweep.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.checks import is_number
from bios_sweep.claims import REPEAT, Claim
from bios_sweep.decision.choice import Step
from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.finding import BELOW, EDGE, NOT_WORSE, SHARE, SUPERIOR, Finding, Margin, told_in
from bios_sweep.decision.fresh import (
    GUARD_BROKEN,
    GUARD_BROKEN_OWN,
    GUARD_OF_NOTHING,
    GUARD_UNMEASURED,
    SIZE_OPEN,
    TOO_SMALL,
)
from bios_sweep.decision.ladder import LADDER_EDGE
from bios_sweep.decision.question import Question
from bios_sweep.decision.verdicts import NO_LEVEL, NO_VARIATION
from bios_sweep.procedure.another_baseline import Suggestion, by_signs, differing, diverges, gentler
from bios_sweep.procedure.budgets import UNEQUAL
from bios_sweep.procedure.coarser import margin_key
from bios_sweep.procedure.next_levels import MOST_SEEDS, climbed, extended, narrowed, nearer, seeds_needed
from bios_sweep.procedure.pairing import unmoved
from bios_sweep.procedure.questions import factor_of, questions, title_of
from bios_sweep.procedure.state import Results, State
from bios_sweep.procedure.untested import untested_reasons
from bios_sweep.reasons import is_any, joined
from bios_sweep.settings import IN_KEY
from bios_sweep.study.arms import hold_budget
from bios_sweep.study.factors import Factor, Nuisance
from bios_sweep.study.levels import at_level
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Stage, Word

FRESH_SEEDS = 5  # of a confirmation that was not planned, and of a first study of several seeds; the default


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A factor to ask again. seeds: fresh ones needed; None: those of the sweep serve. confirm: they must."""

    factor: Factor
    why: str
    kind: Step
    seeds: int | None = None
    confirm: bool = False
    grown: bool = False


def suggest(plan: Plan, state: State, results: Results, elsewhere: Collection[str] = ()) -> Suggestion:
    """The smallest next study of a sweep that is done; of one that is not, none.

    elsewhere: settings that other sweeps of the scenario asked about; no sign asks about them again.
    """
    found = settling(plan, state, results)
    if found.study is not None or state.stage != Stage.DONE:
        return found
    return by_signs(plan, state, results, elsewhere, found.open)


def settling(plan: Plan, state: State, results: Results) -> Suggestion:
    """The smallest study of what a sweep left open; none where nothing is, or no study would settle it."""
    if state.stage != Stage.DONE:
        return Suggestion(open=("the sweep is not done; run it to its end first",))
    cells = plan.cells or (plan,)
    open_ = [(cell, question) for cell in cells for question in questions(cell)]
    if diverges(plan, state, results):
        return gentler(plan, state, results)
    found = [asked(cell, question, state, results) for cell, question in open_ if question in state.findings]
    asks = [one for one in found if isinstance(one, Ask)]
    told = tuple(dict.fromkeys(one for one in found if isinstance(one, str)))
    if asks:
        return again(plan, state, asks, told)
    return _on_top(plan, state, told) or Suggestion(open=told)


def asked(plan: Plan, question: Question, state: State, results: Results) -> Ask | str | None:
    """What a question still needs; a sentence where no study would help; None where it is settled."""
    name, factor = title_of(plan, question), factor_of(plan, question)
    final, screening = state.findings[question], state.screening[question]
    if final.state in (Word.CONFIRM, Word.REFINE) or factor.name == REPEAT:
        return None
    arms = plan.arms_of(factor.name)
    if arms and all(unmoved(plan, arm.name, results) for arm in arms):
        return (
            f"{name}: every level gave exactly the baseline's metric at every seed; the script may ignore it"
        )
    if is_any(final.reasons, UNEQUAL):
        return f"{name}: {joined(final.reasons)}"
    if final.state == Word.UNCONFIRMED:
        seems = _seems(question.claim, final)
        why = f"{name}: {final.best} {seems}, and no fresh seed has been asked; its confirmation is"
        return Ask(factor=factor, why=why, kind=Step.CONFIRMATION, confirm=True)
    if final.state == Word.SCREENING_ONLY:
        why = f"{name}: one seed shows nothing; {FRESH_SEEDS} are asked"
        return Ask(factor=factor, why=why, kind=Step.SEVERAL, grown=True)
    if is_any(final.reasons, NO_VARIATION, NO_LEVEL) and factor.nuisance is None:
        return _nearer(plan, name, factor)
    if is_any(final.reasons, EDGE, LADDER_EDGE):
        return _beyond(plan, question, final, state)
    if is_any(final.reasons, TOO_SMALL, GUARD_BROKEN, GUARD_BROKEN_OWN, GUARD_OF_NOTHING, GUARD_UNMEASURED):
        return None  # a gain that does not matter, or that costs too much, keeps the default
    if final.bound is None or (not screening.bounds and screening.bound is None):
        return f"{name}: {joined(final.reasons)}"
    return _more_seeds(plan, question, screening, state)


def _beyond(plan: Plan, question: Question, final: Finding, state: State) -> Ask | str:
    """The grid, the ladder, or both with one step more where the best ends them, on the same seeds."""
    name, factor, baseline = title_of(plan, question), factor_of(plan, question), plan.study.baseline
    grown, whys = factor, []
    if is_any(final.reasons, EDGE) and final.best is not None:
        level, failing = plan.arm(final.best).level, untested_reasons(plan, factor.name, state.untested)
        if failing:
            return f"{name}: the best level {level:g} ends what could be tested; {joined(failing)}"
        grown = extended(grown, baseline, level)
        whys.append(f"the best level {level:g} ends the grid; one level beyond it is added")
    edges = [reason.facts for reason in final.reasons if reason.kind == LADDER_EDGE]
    if edges:
        grown = climbed(grown, baseline, {facts["end"] for facts in edges})
        levels = ", ".join(str(facts["level"]) for facts in edges)
        whys.append(
            f"the best {edges[0]['setting']} at {levels} ends its ladder; one rung beyond it is added"
        )
    kind = Step.LEVEL if is_any(final.reasons, EDGE) else Step.RUNG
    return Ask(factor=grown, why=f"{name}: {'; '.join(whys)}", kind=kind)


def _nearer(plan: Plan, name: str, factor: Factor) -> Ask | str:
    """Where every level diverged the grid was too wide."""
    grown = nearer(factor, plan.study.baseline)
    if grown is None:
        return f"{name}: every level diverged, and none lies between them and the default"
    why = f"{name}: every level diverged; one halfway to the nearest on each side is added"
    return Ask(factor=grown, why=why, kind=Step.NEARER)


def _seems(claim: Claim, final: Finding) -> str:
    """What an unconfirmed finding says of its best arm, by the test that fresh seeds would put to it."""
    kind = SUPERIOR if final.test is None else final.test.kind
    if kind == BELOW:
        return f"seems to {judgement_of(claim).words.turns_down[2]}"
    return {NOT_WORSE: "seems to lose nothing that matters", SHARE: "seems to reach enough"}.get(
        kind, "looks better"
    )


def _more_seeds(plan: Plan, question: Question, screening: Finding, state: State) -> Ask | str:
    """Neither shown nor excluded, or not replicated: the levels that may matter, on fresh seeds."""
    margin = state.margins.get(question, state.margin)
    needed, name = None, title_of(plan, question)
    if question.claim.plain and margin is not None:
        needed = seeds_needed(screening, margin.percent, plan.study.decision.alpha)
    if needed is None:
        needed = 2 * len(plan.study.seeds)  # chosen: costs and shares have noise of their own
    if needed > MOST_SEEDS:
        key = margin_key(plan.study.decision, told_in(margin).unit)
        return (
            f"{name}: about {needed} seeds would decide, more than {MOST_SEEDS}; "
            f"accept what is known, or a larger decision.{key}"
        )
    factor, wanted = factor_of(plan, question), _wanted(plan, screening, margin.percent if margin else 0.0)
    if question.claim.by_loss and factor.nuisance is None:
        factor = narrowed(factor, plan.study.baseline, wanted)
    if not question.claim.for_everyone:
        factor = replace(factor, claims=(question.claim.name,))
    goal = "show a better level" if _looks_better(screening, margin) else "exclude a gain that matters"
    on = len(screening.seeds)
    open_now = "neither shown nor excluded"
    if is_any(state.findings[question].reasons, SIZE_OPEN):
        open_now, on = "better, but whether by enough is open", len(state.findings[question].seeds)
    why = f"{name}: {open_now} on {on} seeds; {needed} fresh ones are asked, enough to {goal}"
    if any(bound.clusters for bound in screening.bounds):
        why += " (the evaluation set's own error stays: it shrinks with more evaluation data only)"
    return Ask(factor=factor, why=why, kind=Step.SEEDS, seeds=needed)


def _looks_better(screening: Finding, margin: Margin | None) -> bool:
    gains = [bound.gain for bound in screening.bounds]
    return margin is not None and max(gains, default=0.0) >= margin.percent / 2  # the cheaper way


def _wanted(plan: Plan, screening: Finding, margin: float) -> set[Any]:
    """Levels that may gain as much as matters."""
    names = {bound.arm for bound in screening.bounds if bound.upper >= margin} | {screening.best}
    return {arm.level for arm in plan.arms if arm.name in names}


def again(plan: Plan, state: State, asks: Sequence[Ask], told: tuple[str, ...]) -> Suggestion:
    """One study for all that is open: on fresh seeds as soon as one question needs them."""
    study, rule = plan.study, plan.study.decision
    fresh = max((ask.seeds or 0 for ask in asks), default=0)
    seeds, looks = study.seeds, rule.looks
    if fresh:
        start = 1 + max(trial.seed for trial in state.needed)
        seeds, looks = tuple(range(start, start + fresh)), (fresh,)
    elif any(ask.grown for ask in asks):
        more = range(1 + max(seeds), 1 + max(seeds) + FRESH_SEEDS)
        seeds = (*seeds, *more)[:FRESH_SEEDS]
        looks = (FRESH_SEEDS,)
    confirming = rule.confirmation_seeds or (FRESH_SEEDS if any(ask.confirm for ask in asks) else 0)
    decision = replace(rule, looks=looks, confirmation_seeds=confirming, refine=None)
    new = replace(study, factors=_merged(asks), seeds=seeds, decision=decision)
    return Suggestion(study=new, why=tuple(ask.why for ask in asks), open=told)


def _merged(asks: Iterable[Ask]) -> tuple[Factor, ...]:
    """One factor per setting: the claims of its questions and all their levels."""
    merged: dict[str, Factor] = {}
    for ask in asks:
        new, old = ask.factor, merged.get(ask.factor.name)
        if old is not None:
            claims = (*old.claims, *new.claims) if old.claims and new.claims else ()
            multiply = tuple(sorted({*old.multiply, *new.multiply}))
            values = (*old.values, *(value for value in new.values if value not in old.values))
            new = replace(
                new,
                claims=tuple(dict.fromkeys(claims)),
                multiply=multiply,
                values=values,
                nuisance=_longer(old.nuisance, new.nuisance),
            )
        merged[new.name] = new
    return tuple(merged.values())


def _longer(one: Nuisance | None, other: Nuisance | None) -> Nuisance | None:
    """Both ladders of one factor in one; of a rule and a ladder, the ladder, which has the rule's rates."""
    if one is None or other is None or not (one.multiply and other.multiply):
        return one if one is not None and one.multiply else other
    return replace(other, multiply=tuple(sorted({*one.multiply, *other.multiply})))


def _on_top(plan: Plan, state: State, told: tuple[str, ...]) -> Suggestion | None:
    """Refined settings that did not hold together: what the dropped one gains on top of the served one."""
    if plan.cells:
        return None
    dropped = {
        factor_of(plan, question): state.findings[question].test
        for question in questions(plan)
        if question.claim.for_everyone
        and question in state.findings
        and state.findings[question].state == Word.REFINE
        and question.factor not in (*state.served, *IN_KEY)
        and factor_of(plan, question).nuisance is None
    }
    study = plan.study
    served = differing(study, state.served)
    if not dropped or not served:
        return None
    start = 1 + max(trial.seed for trial in state.needed)
    seeds = tuple(range(start, start + len(study.seeds)))
    factors = []
    for factor, test in dropped.items():
        values = sorted(value for _, value in factor.levels(study.baseline))
        chosen = replace(factor, multiply=(), values=tuple(values))
        factors.append(narrowed(chosen, study.baseline, {test.value} if test else set(values)))
    new = replace(
        study,
        baseline=hold_budget(study, at_level(study.baseline, served), served),
        factors=tuple(factors),
        seeds=seeds,
        decision=replace(study.decision, looks=(len(seeds),), refine=None),
    )
    names = ", ".join(factor.name for factor in dropped)
    kept = ", ".join(f"{n} {v:g}" if is_number(v) else f"{n} {v}" for n, v in served.items())
    why = f"{names}: better alone, not together with {kept}; it is asked on top of that"
    return Suggestion(study=new, why=(why,), open=told, baseline=served)
