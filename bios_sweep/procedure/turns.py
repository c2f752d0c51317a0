"""Which look at a question a study is, where its trials are not all there: its number and its series. Pure.

Alpha is shared by the looks of a series, so that who asks until an answer comes errs no more often than who
asks once (docs/statistics.md, item 10). A rule that was changed once results were seen serves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.errors import PlanError
from bios_sweep.procedure.looked_at import LookedAt, changes, seeds_of
from bios_sweep.study.design import Study
from bios_sweep.study.history import MOST_LOOKS, Changed, share_of


@dataclass(frozen=True, kw_only=True)
class Turn:
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


def turn_of(one: LookedAt, study: Study) -> Turn:
    """Which look this is, and with which earlier seeds it is judged.

    A rule that differs from that of before, or a seventh look, needs seeds that nobody has seen: these begin
    a series of their own, at half the alpha of the series before. Who comes back to the first rule of all
    goes on with the first series.
    """
    asked, seen = set(study.seeds), _seen(one)
    series = _goes_on(one, asked)
    if series is not None:
        counted = _counted(one, series)
        if len(counted) < MOST_LOOKS:
            earlier = seeds_of(one.pooled) - _older(one, series)
            return Turn(look=len(counted) + 1, series=series, seeds=earlier)
        if asked & seen:
            raise PlanError(_used_up(one, counted, seen, len(study.seeds)))
    elif asked & seen:
        return _by_another_rule(one)
    return Turn(look=1, series=max(_rules(one)) + 1, seeds=frozenset())


def _rules(one: LookedAt) -> dict[int, Mapping[str, Any]]:
    """Series -> the rule of its first look."""
    return {look.series: look.rule for look in reversed(one.pooled) if not look.changed}


def _seen(one: LookedAt) -> set[int]:
    return {seed for look in one.looks for seed in (*look.seeds, *look.fresh)}


def _goes_on(one: LookedAt, asked: Set[int]) -> int | None:
    """The series whose rule is asked for: the latest, unless older seeds come with it, else the first."""
    rules = _rules(one)
    latest = max(rules)
    if not changes(rules[latest], one.rule) and not asked & _older(one, latest):
        return latest
    return None if changes(one.pooled[0].rule, one.rule) else 0


def _counted(one: LookedAt, series: int) -> set[str]:
    """The studies that have used up a look of a series, or of a later one."""
    return {look.sweep for look in one.pooled if look.counts and not look.changed and look.series >= series}


def _by_another_rule(one: LookedAt) -> Turn:
    """The trials of before under a rule that was chosen after they were seen."""
    rules = _rules(one)
    latest = max(rules)
    before = rules[latest] if changes(rules[latest], one.rule) else one.pooled[0].rule
    changed = changes(before, one.rule)
    return Turn(look=2, series=latest, seeds=seeds_of(one.pooled), changed=changed, rule=before)


def _older(one: LookedAt, series: int) -> frozenset[int]:
    """The seeds that were seen before a series began."""
    return seeds_of(look for look in one.looks if look.series < series)


def held_to_fresh(one: LookedAt, turn: Turn, seeds: Sequence[int]) -> Turn:
    """A series on fresh seeds that is judged with older ones is none; another factor may bring them in."""
    old = _older(one, turn.series)
    if turn.changed or not old & set(seeds):
        return turn
    before = one.pooled[0].rule
    changed = changes(before, one.rule) or (Changed(key="seeds", before=sorted(old), now=list(seeds)),)
    return replace(turn, changed=changed, rule=before)


def _used_up(one: LookedAt, sweeps: Iterable[str], seen: Iterable[int], count: int) -> str:
    free = [seed for seed in range(max(seen, default=0) + count + 1) if seed not in set(seen)][:count]
    return (
        f"factor {one.factor.name}: {MOST_LOOKS} studies have looked at this question already "
        f"({', '.join(sorted(sweeps))}), and one more look at the same trials shows nothing; give seeds that "
        f"none of them had, such as seeds=[{','.join(map(str, free))}]"
    )
