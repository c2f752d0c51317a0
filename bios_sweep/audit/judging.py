"""What the runs of one context support: arms and seeds, findings, flaws, verdicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bios_sweep.audit.arms_of_runs import default_level
from bios_sweep.audit.blocks_of_runs import NO_FINISHED_RUN, Sorted, sort_runs
from bios_sweep.audit.budgets import budget_held, confounded_budgets
from bios_sweep.audit.conclusions import does_not_support, settles, supports
from bios_sweep.audit.confounding import Confounding, confounding_of
from bios_sweep.audit.contexts import Context
from bios_sweep.audit.flaw import Flaw
from bios_sweep.audit.flaws import Judged, find_flaws
from bios_sweep.audit.odd_runs import Collapsed, collapsed_runs, copies, rows_without, without_copies
from bios_sweep.audit.replay import replayed
from bios_sweep.audit.runs import ARM, ArmRuns, ArmSet, RunTable
from bios_sweep.audit.soundness import (
    after_screening,
    against_rivals,
    gated,
    one_look,
    rivals_of,
    sound,
    still_true,
    weakened,
)
from bios_sweep.audit.unpaired import RIVAL, Unpaired, judge_unpaired
from bios_sweep.checks import is_number
from bios_sweep.claims import OPTIMUM, role_of
from bios_sweep.decision.finding import FactorLevels, Finding, Margin, told_in
from bios_sweep.decision.gates import margin_of
from bios_sweep.decision.statement import Verdict, make_verdict
from bios_sweep.decision.verdicts import screen
from bios_sweep.reasons import Kind
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.factors import natural_ends

NOT_COMPARED = Kind("{level}: not compared ({why})")
WITHOUT = Kind(
    "this is with the run of {arm} at seed {seed}, {away:+.1f} from its arm's median; without it: {told}"
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the runs of one context come to.

    context: empty where the table has one. hold: what the arms had equal. compared: arms that took part, the
    baseline first. supports, not_supported: one sentence each. settle: the smallest next study.
    """

    context: str
    table: RunTable
    arms: ArmSet
    margin: Margin | None
    verdicts: tuple[Verdict, ...]
    flaws: tuple[Flaw, ...]
    compared: tuple[str, ...]
    seeds: tuple[int, ...]
    hold: str
    supports: tuple[str, ...]
    not_supported: tuple[str, ...]
    settle: str


@dataclass(frozen=True, kw_only=True)
class _Screened:
    """One judgement of a table: with all of its runs, or without those that collapsed.

    margins: by factor; that of the look that decided it, where looks were taken again.
    """

    runs: Sorted
    margin: Margin | None
    margins: Mapping[str, Margin | None]
    factors: list[FactorLevels]
    screening: Mapping[str, Finding]
    final: Mapping[str, Finding]


def judge(context: Context, rule: DecisionRule) -> Part:
    """Judge the runs of one context as one look of the optimum's rule, and say what weakens them."""
    arms, copied = context.arms, copies(context.table, context.arms)
    table = without_copies(context.table, copied)
    confounding = confounding_of(arms, table)
    found = _screen(context, table, rule, confounding)
    runs, margin = found.runs, found.margin
    gone = collapsed_runs(runs, margin)
    hold = budget_held(table, arms, runs)
    flaws = find_flaws(
        Judged(
            table=table, arms=arms, runs=runs, factors=found.factors, screening=found.screening,
            final=found.final, confounding=confounding, copies=copied, collapsed=gone,
            scale=told_in(margin),
        )
    )  # fmt: skip
    final = {name: weakened(one, flaws) for name, one in found.final.items()}
    if gone:
        final = _with_and_without(context, table, rule, confounding, found, final, gone)
    verdicts = tuple(
        _verdict(context, found, factor, final[factor.name], hold, rule) for factor in found.factors
    )
    return Part(
        context=context.name,
        table=context.table,
        arms=arms,
        margin=margin,
        verdicts=verdicts,
        flaws=flaws,
        compared=runs.screening.arms if not runs.unpaired else _apart(runs, found.factors),
        seeds=runs.screening.seeds,
        hold=hold,
        supports=supports(verdicts, runs),
        not_supported=does_not_support(verdicts, flaws),
        settle=settles(verdicts, flaws, runs, found.factors, final, unnamed={*arms.together, ARM}),
    )


def _apart(runs: Sorted, factors: Sequence[FactorLevels]) -> tuple[str, ...]:
    return (runs.screening.arms[0], *dict.fromkeys(arm for levels in factors for arm in levels.arms))


def _screen(context: Context, table: RunTable, rule: DecisionRule, confounding: Confounding) -> _Screened:
    """Findings of every factor, by what its runs allow: paired seeds, unpaired ones, or none."""
    arms = context.arms
    runs = sort_runs(table, arms)
    factors = _factors(arms, runs)
    tried = context.tried or len(runs.compared) + len(runs.aside)
    rule = replace(rule, looks=(len(runs.screening.seeds),))
    each = replace(rule, alpha=rule.alpha / table.looks)
    again = replayed(table, runs, factors, each, tried)
    if again is not None:
        rows = again.rows(table)
        runs = sort_runs(table.kept(rows), arms.kept(rows), again.ended)
    margin = margin_of(runs.screening, rule)
    apart = Unpaired(
        outcomes=runs.screened,
        arms=runs.screening.arms,
        metric=table.metric,
        rule=each,
        tried=max(1, tried),
    )
    if again is not None:
        screening = again.findings
    elif runs.unpaired:
        screening = judge_unpaired(runs, factors, apart, margin)
    else:
        screening = screen(runs.screening, factors, each, tried)
    screening = {name: one_look(one, runs) for name, one in gated(screening, table).items()}
    margins = {one.name: again.margins.get(one.name, margin) if again else margin for one in factors}
    rivals = dict(rivals_of(arms, runs, apart))
    final, budgets = {}, confounded_budgets(table, arms, runs)
    for factor in factors:
        finding = after_screening(screening[factor.name], runs, margins[factor.name], rule)
        bounds = {bound.arm: bound for bound in (*screening[factor.name].bounds, *finding.bounds)}
        least = margins[factor.name]
        spent = {
            arm: one.kind
            for arm, one in budgets.items()
            if one.explains(bounds.get(arm), least.percent if least else 0.0)
        }
        finding = sound(finding, factor, confounding, arms, spent)
        final[factor.name] = against_rivals(finding, factor, arms, runs, rivals, margins[factor.name])
    return _Screened(
        runs=runs, margin=margin, margins=margins, factors=factors, screening=screening, final=final
    )


def _factors(arms: ArmSet, runs: Sorted) -> list[FactorLevels]:
    """Factors in the order of the table, each with the arms that can be compared, levels in numeric order."""
    ran = {*runs.compared, *runs.aside}
    groups: dict[str, list[ArmRuns]] = {}
    for arm in arms.arms[1:]:
        if arm.name in ran:
            groups.setdefault(arm.factor, []).append(arm)
    kept = {name for name in ran if name in runs.compared or runs.aside[name].kind != NO_FINISHED_RUN}
    return [_levels(factor, [arm for arm in own if arm.name in kept], arms) for factor, own in groups.items()]


def _levels(factor: str, own: list[ArmRuns], arms: ArmSet) -> FactorLevels:
    if all(is_number(arm.level) for arm in own):
        own = sorted(own, key=lambda arm: arm.level)
    once = len({str(arm.level) for arm in own}) == len(own)
    return FactorLevels(
        name=factor,
        default=default_level(arms, factor),
        arms=tuple(arm.name for arm in own),
        levels=tuple(arm.level for arm in own),
        labels=tuple(arm.label if once else arm.name for arm in own),
        ends=natural_ends(factor),
    )


def _with_and_without(
    context: Context,
    table: RunTable,
    rule: DecisionRule,
    confounding: Confounding,
    found: _Screened,
    final: Mapping[str, Finding],
    gone: Sequence[Collapsed],
) -> dict[str, Finding]:
    """What each factor comes to with the collapsed runs, and beside it without them; no seeds are advised."""
    rows = rows_without(table, context.arms, gone, paired=not found.runs.unpaired)
    rest, arms = table.kept(rows), context.arms.kept(rows)
    there = context.arms.baseline.name in arms.of_run
    other = _screen(replace(context, arms=arms), rest, rule, confounding) if there else None
    worst = min(gone, key=lambda one: one.away)
    told = {}
    for name, finding in final.items():
        without = other.final.get(name) if other is not None else None
        away = told_in(found.margin).told(worst.away)
        reason = WITHOUT(arm=worst.arm, seed=worst.seed, away=away, told=_told(without, found.margin))
        told[name] = replace(finding, reasons=(*still_true(finding), reason))
    return told


def _told(finding: Finding | None, margin: Margin | None) -> str:
    if finding is None:
        return "nothing can be compared"
    bound, told = finding.bound, told_in(margin).told
    gain = (
        ""
        if bound is None
        else f" ({bound.arm} {told(bound.gain):+.2f}, between {told(bound.lower):+.2f} and "
        f"{told(bound.upper):+.2f})"
    )
    return f"{finding.state}{gain}"


def _verdict(
    context: Context, found: _Screened, factor: FactorLevels, final: Finding, hold: str, rule: DecisionRule
) -> Verdict:
    runs, screening = found.runs, found.screening[factor.name]
    aside = [
        NOT_COMPARED(level=arm.label, why=runs.aside[arm.name])
        for arm in context.arms.arms
        if arm.factor == factor.name and arm.name in runs.aside
        if not any(bound.arm == arm.name for bound in screening.bounds)
        if not any(one.kind == RIVAL and one.facts["level"] == arm.label for one in final.reasons)
    ]
    if set(factor.arms) & runs.aside.keys():  # what was not compared may be the best, wherever it lies
        screening = replace(screening, bracket=None)
    table = context.table
    return make_verdict(
        factor,
        screening,
        replace(final, reasons=(*final.reasons, *aside)),
        found.margins[factor.name],
        role=role_of(factor.name),
        claim=OPTIMUM,
        arms=runs.screening.arms,
        hold=hold,
        scope=_scope(table, hold),
        alpha=rule.alpha,
        looks=table.looks,
        cell=context.name,
        metric=table.metric.name,
    )


def _scope(table: RunTable, hold: str) -> str:
    equal = {
        "nothing": "budgets differ between the arms",
        "unknown": "whether budgets were equal is not recorded",
    }.get(hold, f"{hold} held equal")
    return f"this evaluation set, as in {table.source}; {equal}"
