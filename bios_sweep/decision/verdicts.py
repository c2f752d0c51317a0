"""The decision rule: screening per factor, then confirmation on fresh seeds.

Screening may confirm a default or name a candidate; only the confirmation stage may refine one,
because the winner of a comparison is on average not as good as it looked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bios_sweep.claims import OPTIMUM
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.bracket import bracket_of
from bios_sweep.decision.claims.evidence import Evidence
from bios_sweep.decision.claims.judging import judge_claim
from bios_sweep.decision.clusters import FEWEST_CLUSTERS, ClusterSums, cluster_table
from bios_sweep.decision.contrasts import Contrasts
from bios_sweep.decision.costs import CostRatio
from bios_sweep.decision.earlier_rule import PooledContrasts
from bios_sweep.decision.finding import SUPERIOR, FactorLevels, Finding, FreshTest, Margin
from bios_sweep.decision.fresh import judge_fresh
from bios_sweep.decision.gates import (
    NO_PERCENT,
    gained_per_seed,
    gate,
    is_sensitive,
    margin_of,
    one_seed,
    stopped,
)
from bios_sweep.decision.ladder import NuisanceLadder
from bios_sweep.decision.nuisance import judge_ladder
from bios_sweep.decision.question import Question
from bios_sweep.decision.table import ResultTable, complete_blocks
from bios_sweep.reasons import Kind
from bios_sweep.study.design import DecisionRule
from bios_sweep.vocabulary import Word

NO_CLUSTERS = Kind(
    "the evaluation's clusters are not known for every trial, and decision.scope=distribution "
    "needs their error; auto and evaluation do without"
)
TOO_FEW_CLUSTERS = Kind(
    "the evaluation examples come from {count} clusters (documents, modules, conversations), and fewer than "
    "{least} say nothing of others of their kind; give data of more clusters, or "
    "decision.scope=evaluation for an answer about this evaluation set alone"
)
CONTRASTS = {1: PooledContrasts, 2: Contrasts}  # by the version of the rule
NO_VARIATION = Kind("every variation diverged")
NO_LEVEL = Kind("every level of the factor diverged")
NONE_COMPARED = Kind("no level of the factor could be compared")  # some lack the seeds that others have


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question with the levels that answer it.

    ladder: of a nuisance-aware factor, the arms of every level. excluded: arm -> its bound, of those that an
    earlier look excluded. bracket: as that look left it.
    """

    question: Question
    levels: FactorLevels
    ladder: NuisanceLadder | None = None
    excluded: Mapping[str, Bound] = field(default_factory=dict)
    bracket: tuple[Any, Any] | None = None


def screen(
    table: ResultTable, factors: Sequence[FactorLevels], rule: DecisionRule, variations: int | None = None
) -> dict[str, Finding]:
    """Judge factors by loss alone, as optima: `screen_claims` for whoever knows of no costs."""
    asked = [Asked(question=Question(factor=levels.name, claim=OPTIMUM), levels=levels) for levels in factors]
    found = screen_claims(table, asked, rule, variations=variations)
    return {question.factor: finding for question, finding in found.items()}


def screen_claims(
    table: ResultTable,
    asked: Sequence[Asked],
    rule: DecisionRule,
    *,
    costs: Mapping[str, CostRatio] | None = None,
    durations: Mapping[float, str] | None = None,
    variations: int | None = None,
    sums: Mapping[tuple[str, int], ClusterSums] | None = None,
    before: Mapping[str, Bound] | None = None,
) -> dict[Question, Finding]:
    """Judge every claim of the study on the shared seeds, at level alpha / number of looks.

    All variations of the study share one correction: the more is tried, the more a best arm must show.
    costs: arm -> time ratio, where timed. durations: multiple of the default's steps -> arm. variations:
    of the whole study, also those that an earlier look decided and that the table no longer has; by default
    those of the table. sums: (arm, seed) -> evaluation by cluster; with them the bounds hold for data like
    the evaluation set, and without them a rule whose scope is the distribution decides nothing. before:
    arm -> its gain over the default at its last look, of arms that run no more.
    """
    blocks, margin = complete_blocks(table), margin_of(table, rule)
    reason = gate(table, blocks)
    if margin is None or reason is not None:
        return {one.question: stopped(table, one.levels, reason or NO_PERCENT()) for one in asked}
    if blocks.seeds and not blocks.level:
        return {one.question: stopped(table, one.levels, NO_PERCENT()) for one in asked}
    if len(blocks.arms) < 2 and not any(one.excluded for one in asked):
        return {one.question: stopped(table, one.levels, NO_VARIATION()) for one in asked}
    if len(table.seeds) < 2:
        return {one.question: one_seed(table, one.levels, blocks) for one in asked}
    clusters = cluster_table(blocks, sums or {})
    if clusters is None and rule.scope == "distribution":
        return {one.question: stopped(table, one.levels, NO_CLUSTERS()) for one in asked}
    if clusters is not None and clusters.too_few:
        few = TOO_FEW_CLUSTERS(count=clusters.count, least=FEWEST_CLUSTERS)
        return {one.question: stopped(table, one.levels, few) for one in asked}
    tried = max(len(table.arms) - 1, variations or 0)
    contrasts = CONTRASTS[rule.version](
        blocks=blocks,
        alpha=rule.alpha / len(rule.looks),
        tried=tried,
        clusters=clusters,
        looks=len(rule.looks),
        before=before or {},
    )
    evidence = _evidence(table, contrasts, margin, rule, costs or {}, durations or {})
    return {one.question: _answer(one, table, evidence) for one in asked}


def confirm_candidate(table: ResultTable, arm: str, factor: str, margin: Margin, alpha: float) -> Finding:
    """Meet the default once more, on fresh seeds, as the candidate for an optimum (see `judge_fresh`)."""
    test = FreshTest(arm=arm, over=table.arms[0], kind=SUPERIOR, value=None)
    return judge_fresh(
        Finding(factor=factor, state=Word.CANDIDATE, best=arm, test=test), test, table, margin, alpha
    )


def _evidence(
    table: ResultTable,
    contrasts: Contrasts,
    margin: Margin,
    rule: DecisionRule,
    costs: Mapping[str, CostRatio],
    durations: Mapping[float, str],
) -> Evidence:
    baseline, *variations = contrasts.blocks.arms
    return Evidence(
        contrasts=contrasts,
        margin=margin,
        rule=rule,
        costs=costs,
        durations=durations,
        gained=gained_per_seed(table, contrasts.blocks),
        sensitive=is_sensitive(
            (*(contrasts.over(arm, baseline) for arm in variations), *contrasts.before.values()), margin
        ),
        diverged=frozenset(arm for arm in table.arms if table.diverged(arm)),
    )


def _answer(asked: Asked, table: ResultTable, evidence: Evidence) -> Finding:
    """The finding of one question, with the bracket of its best level."""
    levels, evidence = asked.levels, replace(evidence, excluded=asked.excluded)
    if asked.ladder is not None:
        finding = judge_ladder(asked.question.claim, levels, asked.ladder, evidence)
    elif evidence.finite(levels):
        finding = judge_claim(asked.question.claim, levels, evidence)
    else:
        gone = bool(levels.arms) and all(table.diverged(arm) for arm in levels.arms)
        finding = stopped(table, levels, NO_LEVEL() if gone else NONE_COMPARED())
    return replace(finding, bracket=_bracket(asked, evidence))


def _bracket(asked: Asked, evidence: Evidence) -> tuple[Any, Any] | None:
    """The interval of the best level, where the factor's levels have an order.

    An arm that was excluded stays inside if it was inside when it last ran: it is no better by what matters,
    and was not seen to be worse.
    """
    levels = asked.levels
    if not levels.ordered:
        return None
    low, high = asked.bracket or (None, None)
    left = [
        level
        for level, arm in zip(levels.levels, levels.arms, strict=True)
        if arm in asked.excluded and (low is None or low < level) and (high is None or level < high)
    ]
    named = dict(zip(levels.levels, levels.arms, strict=True)) | {levels.default: evidence.baseline}
    return bracket_of(named, evidence.contrasts, levels.ends, left)
