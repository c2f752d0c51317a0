"""A question with the looks at it so far: what each tested, and which of them a plan adds nothing to. Pure.

docs/statistics.md, item 10.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.procedure.looks import Look, asked_questions, rule_of, rungs_tested
from bios_sweep.procedure.questions import factor_of, levels_of
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.history import Changed
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Word


@dataclass(frozen=True, kw_only=True)
class LookedAt:
    """A question of a plan with the looks at it so far, the first one first. fresh: how many it plans."""

    cell: Plan
    factor: Factor
    claim: str
    rule: Mapping[str, Any]
    fresh: int
    looks: tuple[Look, ...]

    @property
    def pooled(self) -> tuple[Look, ...]:
        """The looks whose trials belong into a later judgement."""
        return tuple(look for look in self.looks if look.pools)

    def covered_by(self, look: Look, seeds: Sequence[int]) -> bool:
        """Whether the look had every trial that these seeds would bring, under the same rule.

        What met nobody on fresh seeds, or fewer, may be decided by these. Nothing covers what was stopped by
        hand.
        """
        if look.stopped:
            return False
        unmet = look.word == Word.UNCONFIRMED or (look.word == Word.INCONCLUSIVE and look.fresh)
        if unmet and self.fresh > len(look.fresh):
            return False
        asked = set(levels_of(self.cell, self.factor.name).levels)
        levels = asked <= values_of(look, self.factor, self.cell.study)
        rungs = set(rungs_tested(self.factor)) <= set(look.rungs)
        same = not changes(look.rule, self.rule)
        return same and levels and rungs and set(seeds) <= set(look.seeds)

    def stands(self, seeds: Sequence[int]) -> Look | None:
        """The latest look that had all trials that the seeds would bring, and whose word may be served."""
        found = [look for look in self.pooled if not look.changed and self.covered_by(look, seeds)]
        return found[-1] if found else None


def looked_at(plan: Plan, looks: Sequence[Look]) -> dict[str, LookedAt]:
    """Identity -> each question of a plan, with those of the looks that are at it."""
    return {
        known: LookedAt(
            cell=cell,
            factor=factor_of(cell, question),
            claim=question.claim.name,
            rule=rule_of(plan.study, question.claim),
            fresh=plan.study.decision.confirmation_seeds,
            looks=tuple(look for look in looks if look.question == known),
        )
        for known, (cell, question) in asked_questions(plan).items()
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Changed, ...]:
    """What differs between two rules; what only one release knows of is no change of the user's."""
    return tuple(
        Changed(key=key, before=before[key], now=now[key])
        for key in before
        if key in now and before[key] != now[key]
    )


def values_of(look: Look, factor: Factor, study: Study) -> set[Any]:
    """The levels of a look as values."""
    return values_at(factor, look.multiply, study) if look.multiply else set(look.values)


def values_at(factor: Factor, numbers: Sequence[float], study: Study) -> set[Any]:
    """The levels that multiples of the default make, as values."""
    of = replace(factor, multiply=tuple(numbers), values=())
    return {value for _, value in of.levels(study.baseline)}


def seeds_of(looks: Iterable[Look]) -> frozenset[int]:
    """The seeds on which any of the looks compared levels."""
    return frozenset(seed for look in looks for seed in look.seeds)
