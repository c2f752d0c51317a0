"""The decision rule: screening per factor, then confirmation on fresh seeds.

Screening may confirm a default or name a candidate; only the confirmation stage may refine one,
because the winner of a comparison is on average not as good as it looked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.analysis.bounds import Bound, pooled_error, student
from bios_sweep.analysis.bracket import bracket_of
from bios_sweep.analysis.clusters import ClusterSums, cluster_table
from bios_sweep.analysis.contrasts import Contrasts
from bios_sweep.analysis.costs import CostRatio
from bios_sweep.analysis.finding import (
    CANDIDATE,
    CONFIRM,
    EDGE,
    INCONCLUSIVE,
    REFINE,
    SCREENING_ONLY,
    SUPERIOR,
    UNCONFIRMED,
    UNDECIDED,
    FactorLevels,
    Finding,
    FreshTest,
    Margin,
)
from bios_sweep.analysis.fresh import judge_fresh, mixed_hardware
from bios_sweep.analysis.nuisance import Ladder, judge_ladder
from bios_sweep.analysis.roles import JUDGES, Evidence, judge_claim
from bios_sweep.analysis.table import Blocks, ResultTable, complete_blocks
from bios_sweep.study.claims import MINIMUM, OPTIMUM, SPEED
from bios_sweep.study.decision import DecisionRule

__all__ = [  # the words and values of findings are used together with the rule that makes them
    "CANDIDATE",
    "CONFIRM",
    "EDGE",
    "INCONCLUSIVE",
    "REFINE",
    "SCREENING_ONLY",
    "UNCONFIRMED",
    "UNDECIDED",
    "Asked",
    "FactorLevels",
    "Finding",
    "Margin",
    "confirm_candidate",
    "margin_of",
    "screen",
    "screen_claims",
]

NO_CLUSTERS = (
    "the evaluation's clusters are not known, or are fewer than ten, and decision.scope=distribution "
    "needs their error; auto and evaluation do without"
)
SENSITIVITY_MARGINS = 5.0  # statistics item 1: an untouched model must be worse by five margins


def margin_of(table: ResultTable, rule: DecisionRule) -> Margin | None:
    """The margin from the baseline arm alone; None when its mean is missing or 0 (no percent of it)."""
    values = [table.outcome(table.arms[0], seed) for seed in table.seeds]
    usable = [outcome.value for outcome in values if outcome.usable]
    loss = sum(usable) / len(usable) if usable else 0.0
    if loss == 0.0:
        return None
    percent, gained = rule.margin_percent, None
    if table.untouched is not None and math.isfinite(table.untouched):
        gained = 100.0 * table.metric.sign * (loss - table.untouched) / abs(loss)
        if gained > 0:
            percent = min(percent, rule.margin_share * gained)
    return Margin(percent=percent, absolute=percent * abs(loss) / 100.0, gained=gained)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One claim of a factor, to be judged. name: of the question, the key of its finding.

    ladder: of a nuisance-aware factor, the arms of every level.
    """

    name: str
    claim: str
    levels: FactorLevels
    ladder: Ladder | None = None


def screen(
    table: ResultTable, factors: Sequence[FactorLevels], rule: DecisionRule, variations: int | None = None
) -> dict[str, Finding]:
    """Judge factors by loss alone, as optima: `screen_claims` for whoever knows of no costs."""
    asked = [Asked(name=levels.name, claim=OPTIMUM, levels=levels) for levels in factors]
    return screen_claims(table, asked, rule, variations=variations)


def screen_claims(
    table: ResultTable,
    asked: Sequence[Asked],
    rule: DecisionRule,
    *,
    costs: Mapping[str, CostRatio] | None = None,
    durations: Mapping[float, str] | None = None,
    variations: int | None = None,
    sums: Mapping[tuple[str, int], ClusterSums] | None = None,
) -> dict[str, Finding]:
    """Judge every claim of the study on the shared seeds, at level alpha / number of looks.

    All variations of the study share one variance and one Dunnett correction: the more is tried,
    the more a best arm must show. costs: arm -> time ratio, where timed. durations: multiple of the
    default's steps -> arm. variations: of the whole study, also those that an earlier look decided and
    that the table no longer has; by default those of the table. sums: (arm, seed) -> evaluation by
    cluster; with them the bounds hold for data like the evaluation set, and without them a rule whose
    scope is the distribution decides nothing.
    """
    blocked = _gate(table)
    margin = margin_of(table, rule)
    if blocked or margin is None:
        reason = blocked or "the baseline has no finite result, or its mean is 0 and has no percent"
        return {question.name: _stopped(table, question.levels, reason) for question in asked}
    blocks = complete_blocks(table)
    if len(blocks.arms) < 2:
        return {
            question.name: _stopped(table, question.levels, "every variation diverged") for question in asked
        }
    if len(table.seeds) < 2:
        return {question.name: _one_seed(table, question.levels, blocks) for question in asked}
    tried = max(len(table.arms) - 1, variations or 0)
    alpha = rule.alpha / len(rule.looks)
    clusters = cluster_table(blocks, sums or {})
    if clusters is None and rule.scope == "distribution":
        return {question.name: _stopped(table, question.levels, NO_CLUSTERS) for question in asked}
    contrasts = Contrasts(blocks=blocks, alpha=alpha, tried=tried, clusters=clusters)
    bounds = {arm: contrasts.over(arm, blocks.arms[0]) for arm in blocks.arms[1:]}
    evidence = Evidence(
        contrasts=contrasts,
        margin=margin,
        rule=rule,
        costs=costs or {},
        durations=durations or {},
        gained=_gained(table, blocks),
        sensitive=_sensitive(bounds, margin),
        diverged=frozenset(arm for arm in table.arms if table.diverged(arm)),
    )
    answers = {question.name: _answer(question, bounds, table, evidence) for question in asked}
    return {
        question.name: replace(answers[question.name], bracket=_bracket(question.levels, evidence))
        for question in asked
    }


def _bracket(levels: FactorLevels, evidence: Evidence) -> tuple[Any, Any] | None:
    """The interval of the best level, where the factor's levels have an order."""
    if not levels.ordered:
        return None
    named = dict(zip(levels.levels, levels.arms, strict=True)) | {levels.default: evidence.baseline}
    return bracket_of(named, evidence.contrasts)


def _answer(asked: Asked, bounds: Mapping[str, Bound], table: ResultTable, evidence: Evidence) -> Finding:
    if asked.ladder is not None:
        return judge_ladder(asked.claim, asked.levels, asked.ladder, evidence)
    if asked.claim not in JUDGES or not any(arm in bounds for arm in asked.levels.arms):
        return _judge(
            asked.levels,
            bounds,
            evidence.margin,
            table,
            evidence.contrasts.blocks,
            evidence.rule,
            evidence.sensitive,
        )
    finding = judge_claim(asked.claim, asked.levels, evidence)
    if finding.state != UNDECIDED or asked.claim in (SPEED, MINIMUM):
        return finding
    open_gain = finding.iso or finding.bound
    if open_gain is None:
        return finding
    more = _more_seeds((open_gain,), evidence.margin, evidence.contrasts.blocks, evidence.rule)
    return replace(finding, reasons=(*finding.reasons, more))


def _gained(table: ResultTable, blocks: Blocks) -> tuple[float, ...] | None:
    """Gain of the default over the untouched model at every seed, percent of the default's mean."""
    if table.untouched is None or not math.isfinite(table.untouched):
        return None
    baseline = blocks.values[0]
    scale = 100.0 * table.metric.sign / abs(float(baseline.mean()))
    return tuple(float(scale * (value - table.untouched)) for value in baseline)


def confirm_candidate(table: ResultTable, arm: str, factor: str, margin: Margin, alpha: float) -> Finding:
    """Meet the default once more, on fresh seeds, as the candidate for an optimum (see `judge_fresh`)."""
    test = FreshTest(arm=arm, over=table.arms[0], kind=SUPERIOR, value=None)
    return judge_fresh(
        Finding(factor=factor, state=CANDIDATE, best=arm, test=test), test, table, margin, alpha
    )


def _gate(table: ResultTable) -> str:
    """Why no factor of the study can be judged, or an empty string."""
    baseline = table.arms[0]
    if table.diverged(baseline):
        return f"the baseline diverged at {table.diverged(baseline)} of {len(table.seeds)} seeds"
    if table.flaw:
        return table.flaw
    if len(table.hardware) > 1:
        return mixed_hardware(table)
    blocks = complete_blocks(table)
    if blocks.too_many_dropped or not blocks.seeds:
        return (
            f"{len(blocks.dropped)} of {len(table.seeds)} seed blocks are incomplete (failed trials); "
            "at most a fifth may be"
        )
    return ""


def _judge(
    factor: FactorLevels,
    bounds: Mapping[str, Bound],
    margin: Margin,
    table: ResultTable,
    blocks: Blocks,
    rule: DecisionRule,
    sensitive: bool,
) -> Finding:
    own = tuple(bounds[arm] for arm in factor.arms if arm in bounds)
    diverged = tuple(arm for arm in factor.arms if table.diverged(arm))
    if not own:
        return _stopped(table, factor, "every level of the factor diverged")

    def found(state: str, bound: Bound, *reasons: str) -> Finding:
        return Finding(
            factor=factor.name,
            state=state,
            best=bound.arm,
            bound=bound,
            bounds=own,
            diverged=diverged,
            reasons=reasons,
            seeds=blocks.seeds,
        )

    nearest = max(own, key=lambda bound: bound.upper)
    if nearest.upper < margin.percent:
        if not sensitive:
            return found(INCONCLUSIVE, nearest, "insensitive: nothing in this study could have been worse")
        return found(CONFIRM, nearest, *factor.one_sided([bound.arm for bound in own]))
    better = [bound for bound in own if bound.lower > 0]
    if better:
        best = max(better, key=lambda bound: bound.gain)
        if factor.ends_grid(factor.level(best.arm)):
            return found(INCONCLUSIVE, best, f"{EDGE} the best level {factor.label(best.arm)} ends the grid")
        test = FreshTest(arm=best.arm, over=table.arms[0], kind=SUPERIOR, value=factor.level(best.arm))
        return replace(found(CANDIDATE, best), test=test)
    leading = max(own, key=lambda bound: bound.gain)
    return found(UNDECIDED, leading, _open_question(nearest, margin), _more_seeds(own, margin, blocks, rule))


def _sensitive(bounds: Mapping[str, Bound], margin: Margin) -> bool:
    worse = any(bound.upper < 0 for bound in bounds.values())
    trained = margin.gained is not None and margin.gained >= SENSITIVITY_MARGINS * margin.percent
    return worse or trained


def _open_question(nearest: Bound, margin: Margin) -> str:
    return (
        f"gain between {nearest.lower:+.2f} % and {nearest.upper:+.2f} % ({nearest.arm}); "
        f"{margin.percent:.2f} % is neither shown nor excluded"
    )


def _more_seeds(own: Sequence[Bound], margin: Margin, blocks: Blocks, rule: DecisionRule) -> str:
    """About how many seeds would decide at this noise; an estimate from the present gains."""
    sigma = pooled_error(blocks) * math.sqrt(len(blocks.seeds) / 2.0)
    width = sigma * student(rule.alpha / len(rule.looks), 30) * math.sqrt(2.0)
    distance = min(abs(margin.percent - bound.gain) for bound in own)
    if distance * 10 < width / math.sqrt(len(blocks.seeds)):
        return "the gain lies too near the margin for more seeds to decide soon"
    seeds = max(len(blocks.seeds) + 1, math.ceil((width / distance) ** 2))
    return f"about {seeds} seeds would decide at this noise (a new study on fresh seeds)"


def _stopped(table: ResultTable, factor: FactorLevels, reason: str) -> Finding:
    diverged = tuple(arm for arm in factor.arms if table.diverged(arm))
    return Finding(
        factor=factor.name, state=INCONCLUSIVE, diverged=diverged, reasons=(reason,), seeds=table.seeds
    )


def _one_seed(table: ResultTable, factor: FactorLevels, blocks: Blocks) -> Finding:
    gains = dict(zip(blocks.arms[1:], blocks.gains()[:, 0], strict=True))
    own = {arm: float(gains[arm]) for arm in factor.arms if arm in gains}
    best = max(own, key=lambda arm: own[arm]) if own else None
    bounds = tuple(
        Bound(arm=arm, gain=gain, lower=-math.inf, upper=math.inf, standard_error=math.inf, pooled=False)
        for arm, gain in own.items()
    )
    return Finding(
        factor=factor.name,
        state=SCREENING_ONLY,
        best=best,
        bound=next((bound for bound in bounds if bound.arm == best), None),
        bounds=bounds,
        diverged=tuple(arm for arm in factor.arms if table.diverged(arm)),
        reasons=("one seed has no error estimate",),
        seeds=table.seeds,
    )
