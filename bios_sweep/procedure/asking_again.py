"""A study whose questions were asked before: what it is judged on, and what may be served of it. Pure.

What is served is the judgement of all trials of a question together (docs/statistics.md, item 10): a later
study is enlarged to the seeds and the levels of the earlier ones and judged once. It says nothing new without
a new trial, and serves nothing by a rule that was changed once results were seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.claims import REPEAT
from bios_sweep.errors import PlanError
from bios_sweep.procedure.looks import BY_PURPOSE, KEPT, Look, asked_questions, rule_of, rungs_tested
from bios_sweep.procedure.questions import factor_of, levels_of
from bios_sweep.study.companions import Companion
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.history import (
    MOST_LOOKS,
    AskedBefore,
    Changed,
    EarlierLook,
    History,
    Standing,
    share_of,
)
from bios_sweep.study.margins import STANDARD, margins_of
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.vocabulary import Word


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A question of a plan with the looks at it so far, the first one first. fresh: how many it plans."""

    cell: Plan
    factor: Factor
    claim: str
    rule: Mapping[str, Any]
    fresh: int
    looks: tuple[Look, ...]

    @property
    def values(self) -> set[Any]:
        """The levels that are asked for."""
        return set(levels_of(self.cell, self.factor.name).levels)

    @property
    def pooled(self) -> tuple[Look, ...]:
        """The looks whose trials belong into a later judgement."""
        return tuple(look for look in self.looks if look.pools)

    def covering(self, look: Look, seeds: Sequence[int]) -> bool:
        """Whether the look had every trial that these seeds would bring, under the same rule.

        What met nobody on fresh seeds, or fewer, may be decided by these. Nothing covers what was stopped by
        hand.
        """
        if look.stopped:
            return False
        unmet = look.word == Word.UNCONFIRMED or (look.word == Word.INCONCLUSIVE and look.fresh)
        if unmet and self.fresh > len(look.fresh):
            return False
        levels = self.values <= _values(look, self.factor, self.cell.study)
        rungs = set(rungs_tested(self.factor)) <= set(look.rungs)
        same = not _changes(look.rule, self.rule)
        return same and levels and rungs and set(seeds) <= set(look.seeds)


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """Where a question stands when it is asked again. seeds: earlier ones that are judged with it."""

    look: int
    series: int
    seeds: frozenset[int]
    changed: tuple[Changed, ...] = ()
    rule: Mapping[str, Any] | None = None

    @property
    def share(self) -> float:
        """What alpha is divided by."""
        return share_of(self.look, self.series)


def answered_by(plan: Plan, looks: Sequence[Look]) -> Iterator[str]:
    """The sweeps that have judged all trials of a plan's questions by the same rule, the latest one first.

    Their words are printed again, unless the plan has trials beside its questions (`asks_more`). looks: at
    these questions.
    """
    asked = _asked(plan, looks)
    for sweep in dict.fromkeys(look.sweep for look in reversed(looks)):
        known = {look.question for look in looks if look.sweep == sweep}
        if known == set(asked) and all(
            any(
                look.sweep == sweep and (look.asked == plan.sweep_id or _covered(one, look, plan.study.seeds))
                for look in one.looks
            )
            for one in asked.values()
        ):
            yield sweep


def asks_more(study: Study, ran: Study) -> bool:
    """Whether a study searches jointly, or has a control, as one that ran did not."""
    mine, theirs = study.decision, ran.decision
    search = (mine.refine, mine.refine_trials, mine.refine_goal)
    searched = (theirs.refine, theirs.refine_trials, theirs.refine_goal)
    return (mine.refine is not None and search != searched) or not _controls(study) <= _controls(ran)


def _controls(study: Study) -> set[Any]:
    return {value for factor in study.factors if factor.name == REPEAT for value in factor.values}


def _covered(one: _Asked, look: Look, seeds: Sequence[int]) -> bool:
    return look.pools and one.covering(look, seeds)


def asked_again(plan: Plan, looks: Sequence[Look]) -> Plan:
    """The plan as it is judged after the looks of other studies; as it was asked, where there are none.

    Raises:
        PlanError: six studies have asked, and these seeds are not all fresh.
    """
    others = [look for look in looks if look.asked != plan.sweep_id and look.sweep != plan.sweep_id]
    asked = [one for one in _asked(plan, others).values() if one.pooled]
    if not asked:
        return plan
    standing = [one for one in asked if _stands(one, plan.study.seeds)]
    if len(standing) == len(asked):
        turns = {id(one): _Turn(look=1, series=0, seeds=frozenset()) for one in asked}
    else:
        turns = {id(one): _turn(one, plan.study) for one in asked}
    seeds = _together(plan.study.seeds, (seed for turn in turns.values() for seed in turn.seeds))
    if len(standing) < len(asked):
        standing = [one for one in asked if _stands(one, seeds)]
        turns = {id(one): _held_to_fresh(one, turns[id(one)], seeds) for one in asked}
    return _enlarged(plan, asked, standing, turns, seeds)


def _asked(plan: Plan, looks: Sequence[Look]) -> dict[str, _Asked]:
    return {
        known: _Asked(
            cell=cell,
            factor=factor_of(cell, question),
            claim=question.claim.name,
            rule=rule_of(plan.study, question.claim),
            fresh=plan.study.decision.confirmation_seeds,
            looks=tuple(look for look in looks if look.question == known),
        )
        for known, (cell, question) in asked_questions(plan).items()
    }


def _stands(one: _Asked, seeds: Sequence[int]) -> bool:
    return _standing_look(one, seeds) is not None


def _standing_look(one: _Asked, seeds: Sequence[int]) -> Look | None:
    """The latest look that had all trials that the seeds would bring, and whose word may be served."""
    found = [look for look in one.pooled if not look.changed and one.covering(look, seeds)]
    return found[-1] if found else None


def _turn(one: _Asked, study: Study) -> _Turn:
    """Which look this is, and with which earlier seeds it is judged.

    A rule that differs from that of before, or a seventh look, needs seeds that nobody has seen: these begin
    a series of their own, at half the alpha of the series before. Who comes back to the first rule of all
    goes on with the first series.
    """
    asked, first = set(study.seeds), one.pooled[0].rule
    rules = {look.series: look.rule for look in reversed(one.pooled) if not look.changed}
    latest = max(rules)
    seen = {seed for look in one.looks for seed in (*look.seeds, *look.fresh)}
    anew = _Turn(look=1, series=latest + 1, seeds=frozenset())
    if not _changes(rules[latest], one.rule) and not asked & _older(one, latest):
        series = latest
    elif not _changes(first, one.rule):
        series = 0
    elif not asked & seen:
        return anew
    else:
        before = rules[latest] if _changes(rules[latest], one.rule) else first
        changed, all_seeds = _changes(before, one.rule), _seeds(one.pooled)
        return _Turn(look=2, series=latest, seeds=all_seeds, changed=changed, rule=before)
    counted = {
        look.sweep for look in one.pooled if look.counts and not look.changed and look.series >= series
    }
    if len(counted) < MOST_LOOKS:
        return _Turn(look=len(counted) + 1, series=series, seeds=_seeds(one.pooled) - _older(one, series))
    if not asked & seen:
        return anew
    raise PlanError(_used_up(one, counted, seen, len(study.seeds)))


def _older(one: _Asked, series: int) -> frozenset[int]:
    """The seeds that were seen before a series began."""
    return _seeds(look for look in one.looks if look.series < series)


def _held_to_fresh(one: _Asked, turn: _Turn, seeds: Sequence[int]) -> _Turn:
    """A series on fresh seeds that is judged with older ones is none; another factor may bring them in."""
    old = _older(one, turn.series)
    if turn.changed or not old & set(seeds):
        return turn
    before = one.pooled[0].rule
    changed = _changes(before, one.rule) or (Changed(key="seeds", before=sorted(old), now=list(seeds)),)
    return replace(turn, changed=changed, rule=before)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Changed, ...]:
    """What differs between two rules; what only one release knows of is no change of the user's."""
    return tuple(
        Changed(key=key, before=before[key], now=now[key])
        for key in before
        if key in now and before[key] != now[key]
    )


def _used_up(one: _Asked, sweeps: Iterable[str], seen: Iterable[int], count: int) -> str:
    free = [seed for seed in range(max(seen, default=0) + count + 1) if seed not in set(seen)][:count]
    return (
        f"factor {one.factor.name}: {MOST_LOOKS} studies have looked at this question already "
        f"({', '.join(sorted(sweeps))}), and one more look at the same trials shows nothing; give seeds that "
        f"none of them had, such as seeds=[{','.join(map(str, free))}]"
    )


def _enlarged(
    plan: Plan,
    asked: Sequence[_Asked],
    standing: Sequence[_Asked],
    turns: Mapping[int, _Turn],
    seeds: tuple[int, ...],
) -> Plan:
    study, turning = plan.study, [one for one in asked if one not in standing]
    rule = study.decision
    if turning:
        again = [turns[id(one)] for one in turning]
        share = max(turn.share for turn in again)
        once = seeds != study.seeds or any(turn.look > 1 for turn in again)
        rule = replace(rule, alpha=rule.alpha / share, looks=(len(seeds),) if once else rule.looks)
    factors = tuple(
        _widened(factor, [one for one in turning if one.factor == factor], study) for factor in study.factors
    )
    known = tuple(
        _known(factor, factors[place], asked, standing, turns, seeds)
        for place, factor in enumerate(study.factors)
        if any(one.factor.name == factor.name for one in asked)
    )
    history = History(
        asked=plan.sweep_id,
        seeds=study.seeds,
        alpha=study.decision.alpha,
        factors=known,
        tried=tuple(sorted({seed for one in asked for look in one.looks for seed in look.fresh})),
    )
    return build_plan(replace(study, seeds=seeds, decision=rule, factors=factors, history=history))


def _known(
    factor: Factor,
    widened: Factor,
    asked: Sequence[_Asked],
    standing: Sequence[_Asked],
    turns: Mapping[int, _Turn],
    seeds: Sequence[int],
) -> AskedBefore:
    mine = [one for one in asked if one.factor.name == factor.name]
    again = [turns[id(one)] for one in mine if one not in standing]
    latest = max(again, key=lambda turn: (len(turn.changed), turn.look), default=None)
    looks = {look.sweep: look for one in reversed(mine) for look in one.looks if look.pools}
    order = dict.fromkeys(look.sweep for one in mine for look in one.pooled)
    words = [(one, look) for one in mine if one in standing and (look := _standing_look(one, seeds))]
    return AskedBefore(
        factor=factor.name,
        earlier=tuple(
            EarlierLook(
                sweep=sweep, word=looks[sweep].word, seeds=looks[sweep].seeds, counts=looks[sweep].counts
            )
            for sweep in order
        ),
        look=latest.look if latest else 1,
        changed=latest.changed if latest else (),
        rule=(latest.rule or {}) if latest else {},
        levels=tuple(
            one
            for one in (*widened.multiply, *widened.values)
            if one not in (*factor.multiply, *factor.values)
        ),
        series=max((turn.series for turn in again), default=0),
        stands=tuple(
            Standing(
                sweep=look.sweep,
                claim=one.claim,
                cell=look.cell,
                word=look.word,
                value=look.value,
                fresh=look.fresh,
            )
            for one, look in words
        ),
    )


def _widened(factor: Factor, asked: Sequence[_Asked], study: Study) -> Factor:
    """The factor with the levels and rungs of all looks at it."""
    looks = [look for one in asked for look in one.pooled]
    rungs = [rung for look in looks for rung in look.rungs]
    if factor.nuisance is not None and factor.nuisance.multiply:
        ladder = tuple(dict.fromkeys((*map(float, factor.nuisance.multiply), *sorted(rungs))))
        if set(ladder) != set(factor.nuisance.multiply):
            factor = replace(factor, nuisance=replace(factor.nuisance, multiply=ladder))
    own = {value for _, value in factor.levels(study.baseline)}
    more = [look for look in looks if _values(look, factor, study) - own]
    if not more:
        return factor
    if factor.multiply and all(look.multiply for look in more):
        numbers = {float(number) for look in more for number in look.multiply}
        lacking = [n for n in sorted(numbers) if not own & _levels(factor, (n,), study)]
        return replace(factor, multiply=(*factor.multiply, *lacking))
    values = [value for _, value in factor.levels(study.baseline)]
    found = {value for look in more for value in _values(look, factor, study)} - own
    return replace(factor, multiply=(), values=(*values, *sorted(found, key=str)))


def _values(look: Look, factor: Factor, study: Study) -> set[Any]:
    """The levels of a look as values."""
    return _levels(factor, look.multiply, study) if look.multiply else set(look.values)


def _levels(factor: Factor, numbers: Sequence[float], study: Study) -> set[Any]:
    of = replace(factor, multiply=tuple(numbers), values=())
    return {value for _, value in of.levels(study.baseline)}


def _together(asked: Sequence[int], earlier: Iterable[int]) -> tuple[int, ...]:
    return (*asked, *sorted(set(earlier) - set(asked)))


def _seeds(looks: Iterable[Look]) -> frozenset[int]:
    return frozenset(seed for look in looks for seed in look.seeds)


def under_the_rule_before(plan: Plan) -> Plan | None:
    """The same trials under the rule that was changed after they were seen; None where none was."""
    study, history = plan.study, plan.study.history
    known = [factor for factor in history.factors if factor.changed] if history else []
    if history is None or not known:
        return None
    before = {key: value for factor in reversed(known) for key, value in factor.rule.items()}
    direction, alpha, margin = (before.pop(key) for key in ("direction", "alpha", "margin"))
    margins: dict[str, Any] = margins_of(STANDARD, study.metric.name, {} if margin == BY_PURPOSE else margin)
    kept = tuple(map(Companion.from_dict, before.pop(KEPT, ()))) or None
    before = {key: value for key, value in before.items() if hasattr(study.decision, key)}
    alpha = study.decision.alpha * alpha / history.alpha
    rule = replace(study.decision, **before, **margins, alpha=alpha, guardrails={}, companions=kept)
    told = replace(history, factors=tuple(replace(factor, changed=()) for factor in history.factors))
    metric = replace(study.metric, direction=direction)
    return build_plan(replace(study, decision=rule, metric=metric, history=told))
