"""What becomes of a finding in a table made elsewhere: what takes its word, what is told with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bios_sweep.audit.blocks_of_runs import NO_FINISHED_RUN, Sorted
from bios_sweep.audit.confounding import Confounding
from bios_sweep.audit.flaw import Flaw
from bios_sweep.audit.flaws import one_value
from bios_sweep.audit.runs import ArmSet, RunTable
from bios_sweep.audit.unpaired import Unpaired, rival
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.claims.evidence import INSENSITIVE, MORE_SEEDS, NEAR_THE_MARGIN
from bios_sweep.decision.finding import (
    BELOW_MARGIN,
    CONFOUNDED,
    NO_NOISE,
    NO_SEEDS,
    UNPAIRED,
    FactorLevels,
    Finding,
    Margin,
)
from bios_sweep.decision.gates import ONE_SEED
from bios_sweep.decision.verdicts import confirm_candidate
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.design import DecisionRule
from bios_sweep.vocabulary import Word

WEAKENED = {  # kind of flaw -> what it means for the verdict on that arm
    "unequal_budgets": Kind("its budget differs from the default's, so the gain may be the budget"),
}


SPENT = "the number of "  # before what a budget is of, where that is what moved


DIFFERS = Kind("{column} differs between the runs ({values})")


NO_FRESH_SEEDS = Kind("no fresh seeds: chosen and measured on the same runs, so no value is served")


MIXED_ARM = Kind("runs of {arm} differ among themselves in {settings}, so they are no repetitions")


def gated(findings: Mapping[str, Finding], table: RunTable) -> Mapping[str, Finding]:
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


def one_look(finding: Finding, runs: Sorted) -> Finding:
    """A table has one look: what it leaves open is inconclusive. Not one seed alone lacks bounds."""
    if finding.state == Word.UNDECIDED:
        return replace(finding, state=Word.INCONCLUSIVE)
    if finding.state == Word.SCREENING_ONLY and (runs.repeats > 1 or runs.constant):
        rest = tuple(reason for reason in finding.reasons if reason.kind != ONE_SEED)
        return replace(finding, reasons=(NO_NOISE() if runs.constant else NO_SEEDS(), *rest))
    return finding


def after_screening(finding: Finding, runs: Sorted, margin: Margin | None, rule: DecisionRule) -> Finding:
    """A candidate meets the default on the table's fresh seeds, where it has them; else it stays one."""
    if finding.state != Word.CANDIDATE or finding.best is None or margin is None:
        return finding
    if runs.fresh is not None and finding.best in runs.fresh.arms:
        return confirm_candidate(runs.fresh, finding.best, finding.factor, margin, rule.alpha)
    told = (*finding.reasons, *((UNPAIRED(),) if runs.unpaired else ()))
    if finding.bound is not None and finding.bound.gain < margin.percent:
        reason = BELOW_MARGIN(margin=margin.told(margin.percent))
        return replace(finding, state=Word.INCONCLUSIVE, test=None, reasons=(reason, *told))
    return replace(finding, state=Word.UNCONFIRMED, reasons=(*told, NO_FRESH_SEEDS()))


def sound(
    finding: Finding,
    factor: FactorLevels,
    confounding: Confounding,
    arms: ArmSet,
    budgets: Mapping[str, str] = MappingProxyType({}),
) -> Finding:
    """No word about a setting that never moved alone, nor about an arm whose runs differ among themselves.

    budgets: arms whose gain what they spent could explain, and what they spent more or less of.
    """
    if finding.state == Word.SCREENING_ONLY:
        return finding
    reasons = []
    main, others = confounding.of(factor.name)
    if not others:
        others = tuple(dict.fromkeys(f"{SPENT}{budgets[arm]}" for arm in factor.arms if arm in budgets))
    if others:
        reasons.append(CONFOUNDED(others=", ".join(others), main=main))
    about = (arms.baseline.name, *factor.arms)
    mixed = next((arm for arm in arms.arms if arm.mixed and arm.name in about), None)
    if mixed is not None:
        reasons.append(MIXED_ARM(arm=mixed.name, settings=", ".join(mixed.mixed)))
    if not reasons:
        return finding
    # that none of the levels which moved alone gains says nothing of those that did not
    rest = [one for one in still_true(finding) if not (others and one.kind == INSENSITIVE)]
    return replace(finding, state=Word.INCONCLUSIVE, test=None, reasons=(*reasons, *rest))


def is_by_budget(reasons: Sequence[Reason]) -> bool:
    """Whether what was spent could explain the effect, so that nothing is said of the setting."""
    return any(one.kind == CONFOUNDED and one.facts["others"].startswith(SPENT) for one in reasons)


def still_true(finding: Finding) -> tuple[Any, ...]:
    """The reasons that still hold where no word is left: not those that advise seeds."""
    advice = (MORE_SEEDS, NEAR_THE_MARGIN, NO_FRESH_SEEDS)
    return tuple(reason for reason in finding.reasons if reason.kind not in advice)


def rivals_of(arms: ArmSet, runs: Sorted, apart: Unpaired) -> list[tuple[str, Bound | None]]:
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


def against_rivals(
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
        reasons=(*reasons, *still_true(finding)),
    )


def _is_open(bound: Bound | None, margin: Margin) -> bool:
    return bound is None or not bound.upper < margin.percent


def weakened(finding: Finding, flaws: Sequence[Flaw]) -> Finding:
    """With the flaws of the arm that the finding is about; a verdict must not be read without them."""
    reasons = tuple(
        WEAKENED[flaw.kind]() for flaw in flaws if flaw.kind in WEAKENED and finding.best in flaw.arms
    )
    return replace(finding, reasons=(*finding.reasons, *reasons)) if reasons else finding
