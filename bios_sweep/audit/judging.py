"""What the runs of one context support: arms and seeds, findings, flaws, verdicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.audit.arms_of_runs import default_level
from bios_sweep.audit.blocks_of_runs import NO_FINISHED_RUN, Sorted, sort_runs
from bios_sweep.audit.budgets import budget_held
from bios_sweep.audit.conclusions import does_not_support, settles, supports
from bios_sweep.audit.confounding import CONFOUNDED, Confounding, confounding_of
from bios_sweep.audit.contexts import Context
from bios_sweep.audit.flaw import Flaw
from bios_sweep.audit.flaws import Judged, find_flaws, one_value
from bios_sweep.audit.odd_runs import Collapsed, collapsed_runs, copies, rows_without, without_copies
from bios_sweep.audit.replay import replayed
from bios_sweep.audit.runs import ARM, ArmRuns, ArmSet, RunTable
from bios_sweep.audit.unpaired import RIVAL, Unpaired, judge_unpaired, rival
from bios_sweep.checks import is_number
from bios_sweep.claims import OPTIMUM, role_of
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import MORE_SEEDS, NEAR_THE_MARGIN
from bios_sweep.decision.finding import NO_NOISE, NO_SEEDS, UNPAIRED, FactorLevels, Finding, Margin
from bios_sweep.decision.gates import ONE_SEED, margin_of
from bios_sweep.decision.statement import Verdict, make_verdict
from bios_sweep.decision.verdicts import confirm_candidate, screen
from bios_sweep.reasons import Kind
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.factors import natural_ends
from bios_sweep.vocabulary import Word

WEAKENED = {  # kind of flaw -> what it means for the verdict on that arm
    "unequal_budgets": Kind("its budget differs from the default's, so the gain may be the budget"),
}
DIFFERS = Kind("{column} differs between the runs ({values})")
NO_FRESH_SEEDS = Kind("no fresh seeds: chosen and measured on the same runs, so no value is served")
NOT_COMPARED = Kind("{level}: not compared ({why})")
MIXED_ARM = Kind("runs of {arm} differ among themselves in {settings}, so they are no repetitions")
BELOW_MARGIN = Kind("better than the default, but a gain of {margin:.2f} %, which would matter, is not shown")
WITHOUT = Kind(
    "this is with the run of {arm} at seed {seed}, {away:+.1f} % from its arm's median; without it: {told}"
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
        )
    )  # fmt: skip
    final = {name: _weakened(one, flaws) for name, one in found.final.items()}
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
    one_look = replace(rule, alpha=rule.alpha / table.looks)
    again = replayed(table, runs, factors, one_look, tried)
    if again is not None:
        rows = again.rows(table)
        runs = sort_runs(table.kept(rows), arms.kept(rows), again.ended)
    margin = margin_of(runs.screening, rule)
    apart = Unpaired(
        outcomes=runs.screened,
        arms=runs.screening.arms,
        metric=table.metric,
        rule=one_look,
        tried=max(1, tried),
    )
    if again is not None:
        screening = again.findings
    elif runs.unpaired:
        screening = judge_unpaired(runs, factors, apart, margin)
    else:
        screening = screen(runs.screening, factors, one_look, tried)
    screening = {name: _one_look(one, runs) for name, one in _gated(screening, table).items()}
    margins = {one.name: again.margins.get(one.name, margin) if again else margin for one in factors}
    rivals = dict(_rivals(arms, runs, apart))
    final = {}
    for factor in factors:
        finding = _after(screening[factor.name], runs, margins[factor.name], rule)
        finding = _sound(finding, factor, confounding, arms)
        final[factor.name] = _against_rivals(finding, factor, arms, runs, rivals, margins[factor.name])
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


def _gated(findings: Mapping[str, Finding], table: RunTable) -> Mapping[str, Finding]:
    """Runs of several models, data sets or software stacks that no split makes comparable."""
    mixed = tuple(
        DIFFERS(column=column, values=", ".join(values[:3]))
        for kind in ("scenario", "software")
        for column, values in one_value(table, kind).items()
    )
    if not mixed:
        return findings
    return {
        name: Finding(
            factor=name,
            state=Word.INCONCLUSIVE,
            diverged=finding.diverged,
            reasons=mixed,
            seeds=finding.seeds,
        )
        for name, finding in findings.items()
    }


def _one_look(finding: Finding, runs: Sorted) -> Finding:
    """A table has one look: what it leaves open is inconclusive. Not one seed alone lacks bounds."""
    if finding.state == Word.UNDECIDED:
        return replace(finding, state=Word.INCONCLUSIVE)
    if finding.state == Word.SCREENING_ONLY and (runs.repeats > 1 or runs.constant):
        rest = tuple(reason for reason in finding.reasons if reason.kind != ONE_SEED)
        return replace(finding, reasons=(NO_NOISE() if runs.constant else NO_SEEDS(), *rest))
    return finding


def _after(finding: Finding, runs: Sorted, margin: Margin | None, rule: DecisionRule) -> Finding:
    """A candidate meets the default on the table's fresh seeds, where it has them; else it stays one."""
    if finding.state != Word.CANDIDATE or finding.best is None or margin is None:
        return finding
    if runs.fresh is not None and finding.best in runs.fresh.arms:
        return confirm_candidate(runs.fresh, finding.best, finding.factor, margin, rule.alpha)
    told = (*finding.reasons, *((UNPAIRED(),) if runs.unpaired else ()))
    if finding.bound is not None and finding.bound.gain < margin.percent:
        reason = BELOW_MARGIN(margin=margin.percent)
        return replace(finding, state=Word.INCONCLUSIVE, test=None, reasons=(reason, *told))
    return replace(finding, state=Word.UNCONFIRMED, reasons=(*told, NO_FRESH_SEEDS()))


def _sound(finding: Finding, factor: FactorLevels, confounding: Confounding, arms: ArmSet) -> Finding:
    """No word about a setting that never moved alone, nor about an arm whose runs differ among themselves."""
    if finding.state == Word.SCREENING_ONLY:
        return finding
    reasons = []
    main, others = confounding.of(factor.name)
    if others:
        reasons.append(CONFOUNDED(settings=", ".join(others), factor=main))
    about = (arms.baseline.name, *factor.arms)
    mixed = next((arm for arm in arms.arms if arm.mixed and arm.name in about), None)
    if mixed is not None:
        reasons.append(MIXED_ARM(arm=mixed.name, settings=", ".join(mixed.mixed)))
    if not reasons:
        return finding
    return replace(finding, state=Word.INCONCLUSIVE, test=None, reasons=(*reasons, *_kept(finding)))


def _kept(finding: Finding) -> tuple[Any, ...]:
    """The reasons that still hold where no word is left: not those that advise seeds."""
    advice = (MORE_SEEDS, NEAR_THE_MARGIN, NO_FRESH_SEEDS)
    return tuple(reason for reason in finding.reasons if reason.kind not in advice)


def _rivals(arms: ArmSet, runs: Sorted, apart: Unpaired) -> list[tuple[str, Bound | None]]:
    """Arms that ran and are not compared, with the bound of what they have; never one without any outcome."""
    names = [
        name for name, reason in runs.aside.items() if reason.kind != NO_FINISHED_RUN and not runs.unpaired
    ]
    names += [
        arm.name
        for arm in arms.arms[1:]
        if runs.unpaired
        and arm.name in runs.aside
        and apart.apart(arm.name) is None
        and runs.aside[arm.name].kind != NO_FINISHED_RUN
    ]
    return [(name, apart.rival(name)) for name in names if apart.values.get(name)]


def _against_rivals(
    finding: Finding,
    factor: FactorLevels,
    arms: ArmSet,
    runs: Sorted,
    rivals: Mapping[str, Bound | None],
    margin: Margin | None,
) -> Finding:
    """A level set aside is a rival that was not excluded, unless its own bound excludes it."""
    if margin is None or finding.state not in (Word.CONFIRM, Word.REFINE, Word.UNCONFIRMED):
        return finding
    left = {
        arm.name: (arm.label, rivals[arm.name])
        for arm in arms.arms
        if arm.factor == factor.name and arm.name in rivals and _is_open(rivals[arm.name], margin)
    }
    if not left:
        return finding
    reasons = (rival(label, runs.aside[name], bound, margin) for name, (label, bound) in left.items())
    bounded = [bound for _, bound in left.values() if bound is not None]
    most = max(bounded, key=lambda bound: bound.upper, default=finding.bound)
    return replace(
        finding,
        state=Word.INCONCLUSIVE,
        test=None,
        best=most.arm if most else finding.best,
        bound=most,
        reasons=(*reasons, *_kept(finding)),
    )


def _is_open(bound: Bound | None, margin: Margin) -> bool:
    return bound is None or not bound.upper < margin.percent


def _weakened(finding: Finding, flaws: Sequence[Flaw]) -> Finding:
    """With the flaws of the arm that the finding is about; a verdict must not be read without them."""
    reasons = tuple(
        WEAKENED[flaw.kind]() for flaw in flaws if flaw.kind in WEAKENED and finding.best in flaw.arms
    )
    return replace(finding, reasons=(*finding.reasons, *reasons)) if reasons else finding


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
        reason = WITHOUT(arm=worst.arm, seed=worst.seed, away=worst.away, told=_told(without))
        told[name] = replace(finding, reasons=(*_kept(finding), reason))
    return told


def _told(finding: Finding | None) -> str:
    if finding is None:
        return "nothing can be compared"
    bound = finding.bound
    gain = (
        ""
        if bound is None
        else f" ({bound.arm} {bound.gain:+.2f} %, between {bound.lower:+.2f} % and {bound.upper:+.2f} %)"
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
