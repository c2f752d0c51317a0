"""A plan made larger by what earlier studies tested, with all that its report tells of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bios_sweep.procedure.looked_at import LookedAt, values_at, values_of
from bios_sweep.procedure.looks import Look
from bios_sweep.procedure.turns import Turn
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.history import AskedBefore, EarlierLook, History, Standing
from bios_sweep.study.plan import Plan, build_plan


@dataclass(frozen=True, kw_only=True)
class Told:
    """A question whose trials an earlier look has all: its word is told again."""

    asked: LookedAt
    look: Look


@dataclass(frozen=True, kw_only=True)
class Again:
    """A question that is judged once more, with the trials of before."""

    asked: LookedAt
    turn: Turn


def enlarged(plan: Plan, asked: Sequence[Told | Again], seeds: tuple[int, ...]) -> Plan:
    """The plan on the seeds, levels and rungs of all looks at its questions, at this look's share of alpha.

    asked: its questions that were asked before.
    """
    study, again = plan.study, [one for one in asked if isinstance(one, Again)]
    factors = tuple(
        _widened(factor, [one.asked for one in again if one.asked.factor == factor], study)
        for factor in study.factors
    )
    history = History(
        asked=plan.sweep_id,
        seeds=study.seeds,
        alpha=study.decision.alpha,
        factors=tuple(
            _known(before, now, own)
            for before, now in zip(study.factors, factors, strict=True)
            if (own := [one for one in asked if one.asked.factor.name == before.name])
        ),
        tried=tuple(sorted({seed for one in asked for look in one.asked.looks for seed in look.fresh})),
    )
    rule = _shared(study, [one.turn for one in again], seeds)
    return build_plan(replace(study, seeds=seeds, decision=rule, factors=factors, history=history))


def _shared(study: Study, turns: Sequence[Turn], seeds: tuple[int, ...]) -> DecisionRule:
    """The rule with the smallest share of alpha; who sees all trials at once looks once."""
    rule = study.decision
    if not turns:
        return rule
    once = seeds != study.seeds or any(turn.look > 1 for turn in turns)
    alpha = rule.alpha / max(turn.share for turn in turns)
    return replace(rule, alpha=alpha, looks=(len(seeds),) if once else rule.looks)


def _known(factor: Factor, widened: Factor, asked: Sequence[Told | Again]) -> AskedBefore:
    """What the report tells of a factor's earlier looks. asked: its questions."""
    turns = [one.turn for one in asked if isinstance(one, Again)]
    latest = max(turns, key=lambda turn: (len(turn.changed), turn.look), default=None)
    own = (*factor.multiply, *factor.values)
    return AskedBefore(
        factor=factor.name,
        earlier=_earlier([one.asked for one in asked]),
        look=latest.look if latest else 1,
        changed=latest.changed if latest else (),
        rule=(latest.rule or {}) if latest else {},
        levels=tuple(level for level in (*widened.multiply, *widened.values) if level not in own),
        series=max((turn.series for turn in turns), default=0),
        stands=tuple(_standing(one) for one in asked if isinstance(one, Told)),
    )


def _earlier(asked: Sequence[LookedAt]) -> tuple[EarlierLook, ...]:
    """A line per study; of its looks at several questions the first question's."""
    looks = {look.sweep: look for one in reversed(asked) for look in one.pooled}
    order = dict.fromkeys(look.sweep for one in asked for look in one.pooled)
    return tuple(
        EarlierLook(sweep=sweep, word=looks[sweep].word, seeds=looks[sweep].seeds, counts=looks[sweep].counts)
        for sweep in order
    )


def _standing(told: Told) -> Standing:
    look = told.look
    return Standing(
        sweep=look.sweep,
        claim=told.asked.claim,
        cell=look.cell,
        word=look.word,
        value=look.value,
        fresh=look.fresh,
    )


def _widened(factor: Factor, asked: Sequence[LookedAt], study: Study) -> Factor:
    """The factor with the levels and rungs of all looks at it."""
    looks = [look for one in asked for look in one.pooled]
    return _with_levels(_with_rungs(factor, looks), looks, study)


def _with_rungs(factor: Factor, looks: Sequence[Look]) -> Factor:
    nuisance = factor.nuisance
    if nuisance is None or not nuisance.multiply:
        return factor
    tested = sorted(rung for look in looks for rung in look.rungs)
    ladder = tuple(dict.fromkeys((*map(float, nuisance.multiply), *tested)))
    if set(ladder) == set(nuisance.multiply):
        return factor
    return replace(factor, nuisance=replace(nuisance, multiply=ladder))


def _with_levels(factor: Factor, looks: Sequence[Look], study: Study) -> Factor:
    """As multiples where every look gave them so, else as values."""
    values = [value for _, value in factor.levels(study.baseline)]
    own = set(values)
    more = [look for look in looks if values_of(look, factor, study) - own]
    if not more:
        return factor
    if factor.multiply and all(look.multiply for look in more):
        numbers = {float(number) for look in more for number in look.multiply}
        lacking = [n for n in sorted(numbers) if not own & values_at(factor, (n,), study)]
        return replace(factor, multiply=(*factor.multiply, *lacking))
    found = {value for look in more for value in values_of(look, factor, study)} - own
    return replace(factor, multiply=(), values=(*values, *sorted(found, key=str)))
