"""A verdict as it is told: the contract's fields, and one sentence that claims no more than was shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.claims import Claim
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.choice import Choice, choice_of
from bios_sweep.decision.finding import FactorLevels, Finding, Margin, told_in
from bios_sweep.decision.flattery import flattered
from bios_sweep.decision.rows import Estimate, LevelRow, MemoryRow, RateRow
from bios_sweep.decision.sentences import OPEN, contrast_of, over_words, reasons_told, sentence
from bios_sweep.jsonable import LEFT_OUT, OPTIONAL, WORDS
from bios_sweep.reasons import Kind, Reason
from bios_sweep.settings import LEARNS
from bios_sweep.units import PERCENT, Scale, kept_scale
from bios_sweep.vocabulary import Stage, Status, Word

LOSS_ALONE = Kind("judged on {metric} at equal {hold}; cost is not weighed against it")
BUDGETS_OPEN = Kind("judged on {metric}, {budgets}; cost is not weighed against it")
UNHELD = {"unknown": "whether at equal budgets is not recorded", "nothing": "at unequal budgets"}
DIVERGED = Kind("diverged: {arms}")
EXCLUDED = Kind("shown to gain less than what matters, and not trained on further seeds: {arms}")
WEIGHED = ("batch_size", "max_steps", "lora_rank", *LEARNS)  # settings whose levels cost differently


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a study says of one default; `to_json` of it is the contract of `report --json`.

    effect_percent, lower, upper: percent of the baseline's metric, positive = better: the gain of
    `effect_of` (a level, or an arm's name) over `effect_over`, the contrast that the verdict rests on; bounds
    are one-sided at `confidence`. margin: the percent that this contrast is held against (what speed may
    cost; 0 for a share of the gain). margin_absolute: the same in the metric's own unit. unit, per_percent:
    of a score, that texts tell its gains in points, and what one percent is in points; None: percent. seeds:
    those the effect was measured on, the fresh ones where `stage` is confirmation. arms: all compared ones.
    levels: one row per variation, from the shared seeds. default: the level that is claimed, which the
    quality, speed and minimum claims say of another level than the baseline's; baseline_level: the latter.
    cost_ratio, cost_lower,
    cost_upper: time of the level in question over the baseline's, on `hardware`. memory: of what learns, its
    own beside the default's, where it is known. iso_cost_percent: its
    gain over the default trained for the same time. profile: for whom a served value holds.
    test: what fresh seeds must show, or have shown (a kind of `FreshTest`); empty where nothing is asked.
    served: the value that this claim serves. withheld: why what it stands for is served to nobody; None
    where it is served, and where nothing was decided. recommended: the value that the claim's goal is to
    use, which is what the tuned file gives it; None where the claim is about no goal. told: reasons
    that the sentence says already. now: the choice under the verdict, and the cheapest step that would settle
    it; advice: the same in words. extend: the command that adds a level beyond the grid's end, where there is
    one.
    """

    factor: str
    role: str
    claim: str
    verdict: str
    default: Any
    best_level: Any
    effect_percent: float | None
    lower: float | None
    upper: float | None
    margin: float | None
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    hold: str
    reasons: tuple[Reason, ...]
    sentence: str
    scope: str
    confidence: float
    margin_absolute: float | None = None
    unit: str | None = field(default=None, metadata=OPTIONAL)
    per_percent: float | None = field(default=None, metadata=OPTIONAL)
    stage: str = Stage.SCREENING
    served: Any = None
    levels: tuple[LevelRow, ...] = ()
    cost_ratio: float | None = None
    cost_lower: float | None = None
    cost_upper: float | None = None
    iso_cost_percent: float | None = None
    hardware: str = ""
    memory: MemoryRow | None = field(default=None, metadata=OPTIONAL)
    profile: str | None = None
    cell: str = ""
    by_rate: tuple[RateRow, ...] = ()
    bracket: tuple[Any, Any] | None = None
    baseline_level: Any = None
    test: str = ""
    effect_of: Any = None
    effect_over: str = ""
    withheld: Reason | None = field(default=None, metadata=WORDS)
    recommended: Any = None
    told: tuple[Reason, ...] = field(default=(), metadata=LEFT_OUT)
    now: Choice | None = field(default=None, metadata=OPTIONAL)
    advice: str | None = field(default=None, metadata=OPTIONAL)
    extend: str | None = field(default=None, metadata=OPTIONAL)

    @property
    def scale(self) -> Scale:
        """How its gains are told."""
        return kept_scale(self.unit, self.per_percent)


def question_titles(asked: Sequence[tuple[str, str, str]]) -> list[str]:
    """A name per verdict: its factor, the claim where the factor has several, the cell where it has one.

    asked: factor, claim and cell of each.
    """
    claims: dict[str, set[str]] = {}
    for factor, claim, _ in asked:
        claims.setdefault(factor, set()).add(claim)
    return [
        factor + (f" ({claim})" if len(claims[factor]) > 1 else "") + (f", {cell}" if cell else "")
        for factor, claim, cell in asked
    ]


def make_verdict(
    levels: FactorLevels,
    screening: Finding,
    final: Finding,
    margin: Margin | None,
    *,
    role: str,
    claim: Claim,
    arms: Sequence[str],
    hold: str,
    scope: str,
    held: str = "",
    alpha: float,
    looks: int,
    limit: float | None = None,
    served: Any = None,
    withheld: Reason | None = None,
    recommended: Any = None,
    cell: str = "",
    metric: str = "",
    costs: Sequence[str] = (),
) -> Verdict:
    """Put one factor's findings into the contract's form.

    final: the finding that counts (the confirmation's where there was one). alpha: of the whole rule;
    the screening's bounds are at alpha / looks. limit: percent that the claim is held against, where it is
    not the margin. held: what was equal, where that is not `hold`. metric: what was judged on, by its name;
    empty: a loss. costs: metrics that the level in question is not shown to keep.
    """
    stage = Stage.CONFIRMATION if final.fresh else Stage.SCREENING
    confidence = 1.0 - (alpha if stage == Stage.CONFIRMATION else alpha / looks)
    word = final.state
    reasons = final.reasons
    if word == Word.CANDIDATE:
        word, reasons = Word.INCONCLUSIVE, (*reasons, OPEN())
    if claim.by_loss and levels.name in WEIGHED and word in (Word.CONFIRM, Word.REFINE, Word.UNCONFIRMED):
        kind = BUDGETS_OPEN if hold in UNHELD else LOSS_ALONE
        equal = held or hold
        reasons = (*reasons, kind(metric=_judged_on(metric), hold=equal, budgets=UNHELD.get(hold, "")))
    scale = told_in(margin)
    chosen = None
    if word == Word.REFINE and final.bound:
        chosen = flattered(final.bound, len(screening.bounds), scale)
    if chosen is not None and final.fresh:
        reasons = (*reasons, chosen)
    if final.diverged:
        reasons = (*reasons, DIVERGED(arms=", ".join(final.diverged)))
    early = [bound for bound in screening.bounds if bound.arm in screening.excluded]
    if early:
        told = ", ".join(f"{levels.label(bound.arm)} ({bound.seeds} seeds)" for bound in early)
        reasons = (*reasons, EXCLUDED(arms=told))
    bound = contrast_of(final)
    default = claim.claimed(levels.default)
    best = default if word == Word.CONFIRM or final.best is None else _best_level(levels, final)
    cost = final.cost
    return Verdict(
        factor=levels.name,
        role=role,
        claim=claim.name,
        verdict=word,
        default=default,
        best_level=best,
        effect_percent=_rounded(bound.gain) if bound else None,
        lower=_rounded(bound.lower) if bound else None,
        upper=_rounded(bound.upper) if bound else None,
        margin=_rounded(margin.percent if limit is None else limit) if margin else None,
        margin_absolute=_rounded(margin.absolute * _times(margin, limit)) if margin else None,
        unit=None if scale.unit == PERCENT else scale.unit,
        per_percent=None if scale.unit == PERCENT else _rounded(scale.per_percent),
        seeds=final.seeds,
        arms=tuple(arms),
        hold=hold,
        reasons=reasons,
        sentence=sentence(claim, word, levels, final, margin, confidence, withheld),
        scope=scope,
        confidence=confidence,
        stage=stage,
        served=served,
        levels=tuple(_level(levels, arm, screening) for arm in levels.arms),
        cost_ratio=_rounded(cost.ratio) if cost else None,
        cost_lower=_rounded(cost.lower) if cost else None,
        cost_upper=_rounded(cost.upper) if cost else None,
        iso_cost_percent=_rounded(final.iso.gain) if final.iso else None,
        hardware=cost.hardware if cost else "",
        profile=claim.goal,
        cell=cell,
        by_rate=final.by_rate,
        bracket=screening.bracket,
        baseline_level=levels.default,
        test=final.test.kind if final.test else "",
        effect_of=_of(levels, bound.arm) if bound else None,
        effect_over=over_words(levels, bound) if bound else "",
        withheld=withheld,
        recommended=recommended,
        told=reasons_told(word, final, margin),
        now=choice_of(
            claim,
            word,
            levels,
            screening,
            final,
            settled=best,
            recommended=recommended,
            withheld=withheld,
            alpha=alpha,
            costs=costs,
        ),
    )


def _judged_on(metric: str) -> str:
    return "loss" if not metric or "loss" in metric.lower() else metric


def _times(margin: Margin, limit: float | None) -> float:
    return 1.0 if limit is None or not margin.percent else limit / margin.percent


def _of(levels: FactorLevels, arm: str) -> Any:
    return levels.level(arm) if arm in levels.arms else arm


def _best_level(levels: FactorLevels, finding: Finding) -> Any:
    """The level a finding ends at: what its fresh test serves or would, else its best arm's."""
    if finding.value is not None:
        return finding.value
    if finding.test is not None and finding.test.value is not None:
        return finding.test.value
    return levels.level(finding.best) if finding.best in levels.arms else levels.default


def _level(levels: FactorLevels, arm: str, screening: Finding) -> LevelRow:
    bound = next((bound for bound in screening.bounds if bound.arm == arm), None)
    return LevelRow(
        arm=arm,
        level=levels.level(arm),
        label=levels.label(arm),
        status=Status.DIVERGED if arm in screening.diverged else "compared" if bound else "not compared",
        seeds=bound.seeds if bound else None,
        estimate=_estimate(bound) if bound else None,
    )


def _estimate(bound: Bound) -> Estimate:
    return Estimate(
        gain=_rounded(bound.gain),
        lower=_rounded(bound.lower),
        upper=_rounded(bound.upper),
        standard_error=_rounded(bound.standard_error),
        pooled=bound.pooled,
    )


def _rounded(value: float) -> float | None:
    """Six significant digits: enough for any reader, short in a table; None for an infinite bound."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
