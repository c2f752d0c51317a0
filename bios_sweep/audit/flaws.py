"""Weaknesses of a set of runs that no arithmetic repairs, found from the table and told in a sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bios_sweep.audit.blocks_of_runs import Sorted
from bios_sweep.audit.budgets import short_trainings, unequal_budgets
from bios_sweep.audit.confounding import Confounding
from bios_sweep.audit.flaw import CAUTION, NOTE, SERIOUS, SEVERITIES, Flaw, compared_arms, new_flaw, some
from bios_sweep.audit.odd_runs import Collapsed, Copies
from bios_sweep.audit.runs import ArmRuns, ArmSet, RunTable
from bios_sweep.audit.seeds import (
    collapsed,
    copied,
    lost_runs,
    rows_for_seeds,
    seeds_not_shared,
    seeds_that_seed_nothing,
    too_few,
    without_seeds,
)
from bios_sweep.claims import REPEAT
from bios_sweep.decision.claims.evidence import INSENSITIVE
from bios_sweep.decision.finding import FactorLevels, Finding
from bios_sweep.reasons import is_any
from bios_sweep.units import Scale
from bios_sweep.vocabulary import Word

PAIRS = 40  # settings compared two by two (chosen, not measured)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What flaws are looked for in: the runs, how they were arranged, and what was found in them.

    scale: how gains are told.
    """

    table: RunTable
    arms: ArmSet
    runs: Sorted
    factors: Sequence[FactorLevels]
    screening: Mapping[str, Finding]
    final: Mapping[str, Finding]
    confounding: Confounding
    copies: Copies | None = None
    collapsed: Sequence[Collapsed] = ()
    scale: Scale = field(default_factory=Scale)


def find_flaws(judged: Judged) -> tuple[Flaw, ...]:
    """Every weakness, the serious ones first."""
    table, arms, runs = judged.table, judged.arms, judged.runs
    found = [
        *too_few(runs),
        *without_seeds(table, arms, runs, judged.scale),
        *collapsed(judged.collapsed, judged.scale),
        *copied(judged.copies),
        *seeds_that_seed_nothing(table, arms, runs),
        *seeds_not_shared(runs),
        *rows_for_seeds(table, runs),
        *lost_runs(table, runs),
        *_mixed_places(table),
        *unequal_budgets(table, arms, runs),
        *_together(arms, runs, judged.confounding),
        *_disagreeing(arms),
        *_twins(arms, runs),
        *_edges(judged.factors, judged.screening),
        *_no_fresh_seeds(runs, judged.final),
        *_insensitive(judged.screening),
        *short_trainings(table, arms, runs),
    ]
    return tuple(sorted(found, key=lambda flaw: SEVERITIES.index(flaw.severity)))


def one_value(table: RunTable, kind: str) -> dict[str, list[str]]:
    """Columns of a kind of context that hold more than one value, with those values."""
    distinct = {
        column: sorted({text for text in set(values) if text})
        for column, values in table.contexts.get(kind, {}).items()
    }
    return {column: values for column, values in distinct.items() if len(values) > 1}


def _mixed_places(table: RunTable) -> list[Flaw]:
    severities = {"scenario": SERIOUS, "software": SERIOUS, "hardware": SERIOUS, "code": CAUTION}
    return [
        new_flaw(
            f"mixed_{kind}",
            severity,
            f"the runs differ in {column} ({some(values)}): differences between arms may be that",
        )
        for kind, severity in severities.items()
        for column, values in one_value(table, kind).items()
    ]


def _together(arms: ArmSet, runs: Sorted, confounding: Confounding) -> list[Flaw]:
    found = []
    compared = compared_arms(arms, runs)[1:]
    joint = [arm for arm in compared if arm.confounded]
    if joint:
        first = joint[0]
        named = (
            some(first.confounded) if first.name == first.level else f"{first.name}: {some(first.confounded)}"
        )
        sentence = (
            f"{len(joint):,} of {len(compared):,} arms change several settings at once ({named}): "
            "their effect belongs to no single setting"
        )
        serious = any(arm.name in confounding.arms for arm in joint)
        kind, severity = ("moves_together", SERIOUS) if serious else ("combinations", NOTE)
        found.append(new_flaw(kind, severity, sentence, [arm.name for arm in joint]))
    behaved = [name for group in confounding.groups for name in group if name in confounding.unasked]
    if behaved:
        sentence = (
            f"{some(dict.fromkeys(behaved))} is taken for a setting by how it behaves; if it tells what came "
            f"out, say --outcome {behaved[0]}"
        )
        found.append(new_flaw("setting_by_behaviour", NOTE, sentence))
    pairs = _always_together(compared)
    if pairs and confounding.groups:
        told = some(f"{one} with {other}" for one, other in pairs)
        sentence = f"never changed apart: {told}; no number of seeds can tell their effects apart"
        found.append(new_flaw("collinear", SERIOUS, sentence))
    return found


def _always_together(compared: Sequence[ArmRuns]) -> list[tuple[str, str]]:
    """Pairs of settings that no arm changes one without the other, followers left out."""
    changed: dict[str, set[str]] = defaultdict(set)
    for arm in compared:
        for name in arm.confounded or [key for key in arm.changes if key not in arm.follows]:
            changed[name].add(arm.name)
    names = list(changed)[:PAIRS]
    return [
        (one, other)
        for place, one in enumerate(names)
        for other in names[place + 1 :]
        if changed[one] == changed[other]
    ]


def _disagreeing(arms: ArmSet) -> list[Flaw]:
    mixed = [arm for arm in arms.arms if arm.mixed]
    if not mixed:
        return []
    sentence = (
        f"runs of one arm differ among themselves ({mixed[0].name}: {some(mixed[0].mixed)}): they are not "
        "repetitions of one another"
    )
    return [new_flaw("mixed_arm", SERIOUS, sentence, [arm.name for arm in mixed])]


def _twins(arms: ArmSet, runs: Sorted) -> list[Flaw]:
    """Different arms with the same value at every seed: a setting that never reached the training."""
    repeats = {arm.name for arm in arms.arms if arm.factor == REPEAT}
    groups: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for arm, own in runs.values.items():
        if arm not in repeats and len(own) > 1 and len(set(own)) > 1:
            groups[own].append(arm)
    return [
        new_flaw(
            "identical_arms",
            CAUTION,
            f"{some(twins)} have the same value at every seed: the setting did not reach the training, or "
            "one run is logged twice",
            twins,
        )
        for twins in groups.values()
        if len(twins) > 1
    ]


def _edges(factors: Sequence[FactorLevels], screening: Mapping[str, Finding]) -> list[Flaw]:
    found = []
    for factor in factors:
        bounds = screening[factor.name].bounds
        best = max(bounds, key=lambda bound: bound.gain) if bounds else None
        if best is None or best.gain <= 0 or not factor.ordered:
            continue
        level = factor.level(best.arm)
        if factor.ends_grid(level):
            end = "smallest" if level == min(factor.default, *factor.levels) else "largest"
            sentence = (
                f"edge of the grid: the best {factor.name} ({factor.label(best.arm)}) is the {end} tested; "
                "the optimum may lie beyond"
            )
            found.append(new_flaw("edge", CAUTION, sentence, [best.arm]))
    return found


def _no_fresh_seeds(runs: Sorted, final: Mapping[str, Finding]) -> list[Flaw]:
    found = []
    chosen = [f.best for f in final.values() if f.state == Word.UNCONFIRMED and f.best]
    if chosen:
        tried = len(runs.compared) + len(runs.aside)
        sentence = (
            f"{some(chosen)}: chosen among {tried:,} variations and measured on the same seeds and the same "
            "evaluation set, so the gain is on average overstated; no fresh seeds are in the table"
        )
        found.append(new_flaw("chosen_and_measured_on_the_same_runs", CAUTION, sentence, chosen))
    if runs.overlapping:
        sentence = (
            f"seed {some(runs.overlapping)} of the confirmation also chose the candidate and is not fresh"
        )
        found.append(new_flaw("confirmation_not_fresh", SERIOUS, sentence))
    return found


def _insensitive(screening: Mapping[str, Finding]) -> list[Flaw]:
    blind = [name for name, f in screening.items() if is_any(f.reasons, INSENSITIVE)]
    if not blind:
        return []
    sentence = (
        f"{some(blind)}: nothing here was shown to be worse than the default, so these runs could not have "
        "told a bad default from a good one"
    )
    return [new_flaw("insensitive", CAUTION, sentence)]
