"""The planned looks of a sweep of ours, taken again from its table. Pure.

An arm that a look showed to gain less than what matters ran no more, and neither did the levels of a default
that was decided: they have fewer seeds than others because of the rule, not for want of results. So a table
that says at which look a run's seed joined is judged look by look, as its sweep was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from bios_sweep.audit.blocks_of_runs import Sorted
from bios_sweep.audit.runs import RunTable
from bios_sweep.claims import OPTIMUM
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.finding import FactorLevels, Finding, Margin
from bios_sweep.decision.gates import margin_of
from bios_sweep.decision.looks import last_bounds, out_of
from bios_sweep.decision.question import Question
from bios_sweep.decision.table import ResultTable
from bios_sweep.decision.verdicts import Asked, screen_claims
from bios_sweep.study.design import DecisionRule
from bios_sweep.vocabulary import Stage, Status


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What the looks came to. findings, margins: by factor, of the last whole look that asked about it.

    last: the last whole look. ended: arms that had to run no more by then.
    """

    findings: Mapping[str, Finding]
    margins: Mapping[str, Margin]
    last: int
    ended: frozenset[str]

    def rows(self, table: RunTable) -> list[int]:
        """The runs that the last whole look saw, with the confirmation's."""
        rows = enumerate(zip(table.stages, table.joined or (), strict=True))
        return [row for row, (stage, look) in rows if stage != Stage.SCREENING or look <= self.last]


def replayed(
    table: RunTable, runs: Sorted, factors: Sequence[FactorLevels], rule: DecisionRule, tried: int
) -> Replay | None:
    """The looks one after the other, as far as the table has them whole; None where it has or tells none.

    rule: with the alpha of one look.
    """
    joined, base = _joined(table), runs.screening.arms[0]
    if table.looks < 2 or runs.constant or runs.unpaired or not joined:
        return None
    found: dict[str, Finding] = {}
    margins: dict[str, Margin] = {}
    last, running = 0, set[str]()
    for look in range(1, table.looks + 1):
        seeds = tuple(sorted(seed for seed, first in joined.items() if first <= look))
        there = {arm for arm in (base, *_arms(factors)) if _ran(runs, arm, seeds)}
        out = {name: _out(finding, margins.get(name), there) for name, finding in found.items()}
        asked = [one for one in factors if _is_asked(one, there, out.get(one.name, {}))]
        if len(seeds) < 2:
            continue
        if base not in there or not asked:
            break
        running = there.intersection(_arms(asked))
        block = _block(runs, [arm for arm in _arms(asked) if arm in there], seeds)
        margin = margin_of(block, rule)
        questions = [_question(one, found.get(one.name), out.get(one.name, {}), block) for one in asked]
        before = last_bounds(found.values(), running)
        answers = screen_claims(block, questions, rule, variations=tried, before=before)
        found |= {question.factor: finding for question, finding in answers.items()}
        margins |= dict.fromkeys((one.name for one in asked), margin) if margin else {}
        last = look
    if found.keys() < {one.name for one in factors}:
        return None
    return Replay(findings=found, margins=margins, last=last, ended=frozenset(_arms(factors)) - running)


def _is_asked(levels: FactorLevels, there: Collection[str], out: Collection[str]) -> bool:
    """Whether a look asked about a factor: all of its arms are there, but for those that were out."""
    left = [arm for arm in levels.arms if arm not in out]
    return bool(left) and all(arm in there for arm in left)


def _block(runs: Sorted, arms: Sequence[str], seeds: tuple[int, ...]) -> ResultTable:
    """The outcomes of a look; an arm that failed at every seed was not tested, as in its sweep."""
    tested = [arm for arm in arms if any(runs.screened[arm, s].status != Status.FAILED for s in seeds)]
    return replace(runs.screening, arms=(runs.screening.arms[0], *tested), seeds=seeds)


def _question(
    levels: FactorLevels, before: Finding | None, out: Mapping[str, Bound], block: ResultTable
) -> Asked:
    kept = [
        row
        for row in zip(levels.arms, levels.levels, levels.labels, strict=True)
        if row[0] in block.arms or row[0] in out
    ]
    names, values, labels = zip(*kept, strict=True) if kept else ((), (), ())
    return Asked(
        question=Question(factor=levels.name, claim=OPTIMUM),
        levels=replace(levels, arms=names, levels=values, labels=labels),
        excluded=out,
        bracket=before.bracket if before is not None else None,
    )


def _arms(factors: Sequence[FactorLevels]) -> list[str]:
    return [arm for one in factors for arm in one.arms]


def _joined(table: RunTable) -> dict[int, int]:
    """Seed -> the look at which it joined; {} where the table does not say it of every run."""
    if table.joined is None or table.seeds is None:
        return {}
    rows = zip(table.stages, table.seeds, table.joined, strict=True)
    pairs = {(seed, look) for stage, seed, look in rows if stage == Stage.SCREENING}
    known = dict(pairs)
    return known if len(known) == len(pairs) and 0 not in known.values() else {}


def _out(finding: Finding, margin: Margin | None, there: Collection[str]) -> dict[str, Bound]:
    """The arms that were shown to gain too little and are not there any more."""
    if margin is None:
        return {}
    return {arm: bound for arm, bound in out_of(finding, margin).items() if arm not in there}


def _ran(runs: Sorted, arm: str, seeds: Sequence[int]) -> bool:
    return all((arm, seed) in runs.screened for seed in seeds)
