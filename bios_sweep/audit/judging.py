"""What runs that somebody already has support and what they do not: verdicts, flaws, the next study. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.audit.arms_of_runs import arrange, default_level
from bios_sweep.audit.blocks_of_runs import Sorted, count_runs, sort_runs
from bios_sweep.audit.budgets import budget_held
from bios_sweep.audit.conclusions import does_not_support, settles, supports
from bios_sweep.audit.flaw import Flaw
from bios_sweep.audit.flaws import find_flaws, one_value
from bios_sweep.audit.runs import ARM, ArmSet, RunTable
from bios_sweep.claims import OPTIMUM, role_of
from bios_sweep.decision.finding import FactorLevels, Finding, Margin
from bios_sweep.decision.gates import margin_of
from bios_sweep.decision.statement import Verdict, make_verdict
from bios_sweep.decision.verdicts import confirm_candidate, screen
from bios_sweep.jsonable import to_json
from bios_sweep.reasons import Kind
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.factors import natural_ends
from bios_sweep.vocabulary import Word

WEAKENED = {  # kind of flaw -> what it means for the verdict on that arm
    "unequal_budgets": Kind("its budget differs from the default's, so the gain may be the budget"),
    "mixed_arm": Kind("its own runs differ in their settings"),
    "moves_together": Kind("several settings changed at once, so the gain belongs to none of them"),
}
DIFFERS = Kind("{column} differs between the runs ({values})")
NO_FRESH_SEEDS = Kind("no fresh seeds: chosen and measured on the same runs, so no value is served")
NOT_COMPARED = Kind("{level}: not compared ({why})")


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The whole answer. `to_dict` is `report --json`; every verdict has the keys of the contract.

    hold: what the arms had equal. supports, not_supported: one sentence each. settle: the smallest next
    study. compared: arms that took part, the baseline first.
    """

    source: str
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
    counts: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        metric = self.table.metric
        return {
            "source": self.source,
            "metric": {"name": metric.name, "unit": metric.unit, "direction": metric.direction},
            "judged_on": metric.words,
            "margin": to_json(self.margin),
            "baseline": {"arm": self.arms.baseline.name, "settings": dict(self.arms.baseline.settings)},
            "counts": dict(self.counts),
            "compared": list(self.compared),
            "seeds": list(self.seeds),
            "hold": self.hold,
            "verdicts": to_json(self.verdicts),
            "audit": {
                "findings": to_json(self.flaws),
                "supports": list(self.supports),
                "does_not_support": list(self.not_supported),
                "settle": self.settle,
            },
            "served": {},
            "notes": list(self.table.notes),
        }


def audit(table: RunTable, rule: DecisionRule, baseline: str | None = None) -> Audit:
    """Judge runs by the rule of our own sweeps, as the last planned look, and say what weakens them.

    A table that says how many looks were planned pays for them; any other had one.

    The scope is always this evaluation set, and nothing is served: whoever ran these trials knows how
    many more there were. Rows of the stage `confirmation` are the fresh-seed test.

    rule: alpha and the margin count; of an accuracy the margin is one point unless the rule says else.

    Raises:
        InputError: the baseline is not named or not there, a seed is given twice, text where none may be.
    """
    arms = arrange(table, baseline)
    runs = sort_runs(table, arms)
    rule = dataclasses.replace(rule, looks=(len(runs.screening.seeds),))
    margin = margin_of(runs.screening, rule)
    hold = budget_held(table, arms, runs)
    factors = _factors(arms, runs)
    per_look = dataclasses.replace(rule, alpha=rule.alpha / table.looks)
    screening = _gated(screen(runs.screening, factors, per_look, _tried(runs)), table)
    final = {name: _after(finding, runs, margin, rule) for name, finding in screening.items()}
    flaws = find_flaws(table, arms, runs, factors, screening, final)
    final = {name: _weakened(finding, flaws) for name, finding in final.items()}
    verdicts = tuple(
        _verdict(table, arms, runs, factor, screening[factor.name], final[factor.name], margin, hold, rule)
        for factor in factors
    )
    return Audit(
        source=table.source,
        table=table,
        arms=arms,
        margin=margin,
        verdicts=verdicts,
        flaws=flaws,
        compared=runs.screening.arms,
        seeds=runs.screening.seeds,
        hold=hold,
        supports=supports(verdicts, runs),
        not_supported=does_not_support(verdicts, flaws),
        settle=settles(verdicts, flaws, runs, factors, final, unnamed={*arms.together, ARM}),
        counts=count_runs(table),
    )


def _tried(runs: Sorted) -> int:
    """Every arm that was tried counts in the correction, also one that cannot be compared."""
    return len(runs.compared) + len(runs.aside)


def _factors(arms: ArmSet, runs: Sorted) -> list[FactorLevels]:
    """Factors in the order of the table, each with the arms that can be compared."""
    ran = {*runs.compared, *runs.aside}
    groups: dict[str, list[Any]] = {}
    for arm in arms.arms[1:]:
        if arm.name in ran:
            groups.setdefault(arm.factor, []).append(arm)
    kept = frozenset(runs.compared)
    return [
        FactorLevels(
            name=factor,
            default=default_level(arms, factor),
            arms=tuple(arm.name for arm in own if arm.name in kept),
            levels=tuple(arm.level for arm in own if arm.name in kept),
            labels=tuple(arm.label for arm in own if arm.name in kept),
            ends=natural_ends(factor),
        )
        for factor, own in groups.items()
    ]


def _gated(findings: Mapping[str, Finding], table: RunTable) -> dict[str, Finding]:
    """Runs of several models, data sets or software stacks are no comparison of settings."""
    mixed = [
        DIFFERS(column=column, values=", ".join(values[:3]))
        for kind in ("scenario", "software")
        for column, values in one_value(table, kind).items()
    ]
    if not mixed:  # a table has one look, so what it leaves undecided is inconclusive
        return {
            name: dataclasses.replace(finding, state=Word.INCONCLUSIVE)
            if finding.state == Word.UNDECIDED
            else finding
            for name, finding in findings.items()
        }
    return {
        name: Finding(
            factor=name,
            state=Word.INCONCLUSIVE,
            diverged=finding.diverged,
            reasons=tuple(mixed),
            seeds=finding.seeds,
        )
        for name, finding in findings.items()
    }


def _after(finding: Finding, runs: Sorted, margin: Margin | None, rule: DecisionRule) -> Finding:
    """A candidate meets the default on the table's fresh seeds, where it has them; else it stays one."""
    if finding.state != Word.CANDIDATE or finding.best is None or margin is None:
        return finding
    if runs.fresh is not None and finding.best in runs.fresh.arms:
        return confirm_candidate(runs.fresh, finding.best, finding.factor, margin, rule.alpha)
    return dataclasses.replace(finding, state=Word.UNCONFIRMED, reasons=(*finding.reasons, NO_FRESH_SEEDS()))


def _weakened(finding: Finding, flaws: tuple[Flaw, ...]) -> Finding:
    """With the flaws of the arm that the finding is about; a verdict must not be read without them."""
    reasons = tuple(
        WEAKENED[flaw.kind]() for flaw in flaws if flaw.kind in WEAKENED and finding.best in flaw.arms
    )
    return dataclasses.replace(finding, reasons=(*finding.reasons, *reasons)) if reasons else finding


def _verdict(
    table: RunTable,
    arms: ArmSet,
    runs: Sorted,
    factor: FactorLevels,
    screening: Finding,
    final: Finding,
    margin: Margin | None,
    hold: str,
    rule: DecisionRule,
) -> Verdict:
    aside = [
        NOT_COMPARED(level=arm.label, why=runs.aside[arm.name])
        for arm in arms.arms
        if arm.factor == factor.name and arm.name in runs.aside
    ]
    final = dataclasses.replace(final, reasons=(*final.reasons, *aside))
    return make_verdict(
        factor,
        screening,
        final,
        margin,
        role=role_of(factor.name),
        claim=OPTIMUM,
        arms=runs.screening.arms,
        hold=hold,
        scope=_scope(table, hold),
        alpha=rule.alpha,
        looks=table.looks,
    )


def _scope(table: RunTable, hold: str) -> str:
    equal = {
        "nothing": "budgets differ between the arms",
        "unknown": "whether budgets were equal is not recorded",
    }.get(hold, f"{hold} held equal")
    return f"this evaluation set, as in {table.source}; {equal}"
