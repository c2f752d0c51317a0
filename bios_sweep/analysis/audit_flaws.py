"""Weaknesses of a set of runs that no arithmetic repairs, found from the table and told in a sentence."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bios_sweep.analysis.blocks_of_runs import Sorted, count_runs
from bios_sweep.analysis.finding import UNCONFIRMED, FactorLevels, Finding
from bios_sweep.analysis.runs import ArmRuns, ArmSet, RunTable, spread
from bios_sweep.study.design import FEW_STEPS, REPEAT

SERIOUS, CAUTION, NOTE = "serious", "caution", "note"
SEVERITIES = (SERIOUS, CAUTION, NOTE)

EQUAL = 1.02  # budgets within 2 % are equal: steps = ceil(examples / batch) rounds (chosen, not measured)
NAMED = 3  # arms or seeds named in one sentence (chosen, not measured)
PAIRS = 40  # settings compared two by two (chosen, not measured)
LENGTH = ("max_steps", "epochs", "train_examples")  # factors that change what an arm spends on purpose


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """A weakness. severity: serious (takes the ground from a verdict), caution, note."""

    kind: str
    severity: str
    sentence: str
    arms: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**asdict(self), "arms": list(self.arms)}


def find_flaws(
    table: RunTable,
    arms: ArmSet,
    runs: Sorted,
    factors: Sequence[FactorLevels],
    screening: Mapping[str, Finding],
    final: Mapping[str, Finding],
) -> tuple[Flaw, ...]:
    """Every weakness, the serious ones first."""
    found = [
        *_too_few(runs),
        *_seeds_that_seed_nothing(runs),
        *_seeds_not_shared(runs),
        *_lost_runs(table, runs),
        *_mixed_places(table),
        *_unequal_budgets(table, arms, runs),
        *_together(arms, runs),
        *_disagreeing(arms),
        *_twins(arms, runs),
        *_edges(factors, screening),
        *_no_fresh_seeds(runs, final),
        *_insensitive(screening),
        *_short(table, arms, runs),
    ]
    return tuple(sorted(found, key=lambda flaw: SEVERITIES.index(flaw.severity)))


def wrong_winner(arms: int) -> float:
    """How often picking the best of that many equal arms picks another than the default.

    Under no effect every arm is the best with the same probability 1 / arms, whatever the noise.
    """
    return 1.0 - 1.0 / arms


def winner_gain(arms: int) -> float:
    """How much the best of that many equal arms beats their mean by, in standard deviations of one value.

    The expected largest of n standard normal numbers, by its integral (trapezoids, within 1e-6).
    """
    step, total, normal = 0.01, 0.0, statistics.NormalDist()
    for place in range(-900, 901):
        below = normal.cdf(place * step)
        total += (1.0 - below**arms if place >= 0 else -(below**arms)) * step
    return total - (0.5 * step if arms else 0.0)


def budget_held(table: RunTable, arms: ArmSet, runs: Sorted) -> str:
    """What the compared arms had equal: `examples`, `tokens`, `steps`, `nothing`, or `unknown`.

    Arms that change their own length on purpose do not count.
    """
    spent = _spent(table, arms, [arm for arm in _compared(arms, runs) if arm.factor not in LENGTH])
    known = [kind for kind in ("examples", "tokens", "steps") if spent[kind]]
    equal = [kind for kind in known if spread(spent[kind].values()) <= EQUAL]
    return equal[0] if equal else "nothing" if known else "unknown"


def one_value(table: RunTable, kind: str) -> dict[str, list[str]]:
    """Columns of a kind of context that hold more than one value, with those values."""
    distinct = {
        column: sorted({text for text in set(values) if text})
        for column, values in table.contexts.get(kind, {}).items()
    }
    return {column: values for column, values in distinct.items() if len(values) > 1}


def some(names: Iterable[Any]) -> str:
    """The first few, and how many more."""
    listed = [str(name) for name in names]
    rest = len(listed) - NAMED
    return ", ".join(listed[:NAMED]) + (f" and {rest:,} more" if rest > 0 else "")


def _compared(arms: ArmSet, runs: Sorted) -> list[ArmRuns]:
    kept = frozenset(runs.screening.arms)
    return [arm for arm in arms.arms if arm.name in kept]


def _too_few(runs: Sorted) -> list[Flaw]:
    tried = 1 + len(runs.compared) + len(runs.aside)
    if tried == 1:
        return [_flaw("one_arm", SERIOUS, "the table has one arm: there is nothing to compare it with")]
    if len(runs.screening.seeds) > 1 or runs.constant:
        return []
    return [
        _flaw(
            "winner_of_one_seed",
            SERIOUS,
            f"one seed: it picks the best of {tried:,} arms on one seed, which is wrong in "
            f"{100 * wrong_winner(tried):.0f} % of sweeps without any effect, and its winner then looks "
            f"better than the average arm by {winner_gain(tried):.1f} standard deviations of the noise",
        )
    ]


def _seeds_that_seed_nothing(runs: Sorted) -> list[Flaw]:
    if runs.constant:
        return [
            _flaw(
                "zero_variance",
                SERIOUS,
                "the differences between arms are the same at every seed, so the seeds seed nothing: this is "
                "one measurement, and it has no error estimate",
            )
        ]
    values = runs.values
    same = [arm for arm, own in values.items() if len(own) > 1 and len(set(own)) == 1]
    if not same:
        return []
    severity = SERIOUS if len(same) == len(values) else CAUTION
    sentence = f"the metric is identical at every seed in {some(same)}: the seed changed nothing there"
    return [_flaw("identical_over_seeds", severity, sentence, same)]


def _seeds_not_shared(runs: Sorted) -> list[Flaw]:
    found = []
    apart = [arm for arm, reason in runs.aside.items() if reason.startswith("shares")]
    if apart:
        sentence = (
            f"{some(apart)}: no seed is shared with the baseline, so the runs are unpaired and not compared"
        )
        found.append(_flaw("seeds_not_shared", SERIOUS, sentence, apart))
    few = [arm for arm in runs.aside if arm not in apart]
    if few:
        reason = runs.aside[few[0]]
        found.append(_flaw("unequal_seeds", CAUTION, f"not compared: {some(few)} ({reason})", few))
    if runs.missing:
        lost = sorted({seed for seeds in runs.missing.values() for seed in seeds})
        planned = len(runs.screening.seeds)
        sentence = (
            f"{some(runs.missing)}: without a result at seed {some(lost)}; "
            f"{len(lost)} of {planned} seeds are dropped for every arm, never filled in"
        )
        found.append(_flaw("missing_seeds", CAUTION, sentence, tuple(runs.missing)))
    if runs.unused and not apart:
        sentence = f"seed {some(runs.unused)} is not in most arms or not in the baseline and stays unused"
        found.append(_flaw("unequal_seeds", NOTE, sentence))
    return found


def _lost_runs(table: RunTable, runs: Sorted) -> list[Flaw]:
    found = []
    counts = count_runs(table)
    diverged = runs.diverged
    if diverged:
        sentence = f"diverged, so never recommended and ranked worst: {some(diverged)}"
        found.append(_flaw("diverged", CAUTION, sentence, diverged))
    if counts["failed"]:
        sentence = (
            f"{counts['failed']:,} of {counts['planned']:,} runs have no outcome (failed, stopped early, "
            "still running, or no value)"
        )
        found.append(_flaw("failed_runs", CAUTION, sentence))
    if runs.retried:
        sentence = (
            f"{runs.retried:,} runs without outcome share arm and seed with another run; that one counts"
        )
        found.append(_flaw("retried", NOTE, sentence))
    return found


def _mixed_places(table: RunTable) -> list[Flaw]:
    severities = {"scenario": SERIOUS, "software": SERIOUS, "hardware": SERIOUS, "code": CAUTION}
    return [
        _flaw(
            f"mixed_{kind}",
            severity,
            f"the runs differ in {column} ({some(values)}): differences between arms may be that",
        )
        for kind, severity in severities.items()
        for column, values in one_value(table, kind).items()
    ]


def _spent(table: RunTable, arms: ArmSet, wanted: Sequence[ArmRuns]) -> dict[str, dict[str, float]]:
    """What each arm spent, where the table tells it for all of them: kind -> arm -> amount."""
    constant = {name: values[0] for name, values in table.settings.items() if len(set(values)) == 1}
    own = {arm.name: {**constant, **arm.settings} for arm in wanted}
    steps = {name: _positive(values.get("max_steps")) for name, values in own.items()}
    batch = {name: _positive(values.get("batch_size")) for name, values in own.items()}
    spent = {
        "steps": steps,
        "examples": {name: steps[name] * batch[name] for name in own},
        "tokens": _mean_cost(table, arms, "tokens", own),
    }
    if not _whole(spent["examples"]):
        spent["examples"] = _mean_cost(table, arms, "examples", own)
    return {kind: amounts if _whole(amounts) else {} for kind, amounts in spent.items()}


def _positive(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and value > 0 else math.nan


def _whole(amounts: Mapping[str, float]) -> bool:
    return bool(amounts) and not any(math.isnan(amount) for amount in amounts.values())


def _mean_cost(table: RunTable, arms: ArmSet, kind: str, wanted: Iterable[str]) -> dict[str, float]:
    """Mean over an arm's completed runs; NaN for an arm without any."""
    amounts: dict[str, list[float]] = {name: [] for name in wanted}
    for arm, status, amount in zip(arms.of_run, table.statuses, table.costs.get(kind, ()), strict=False):
        if arm in amounts and status == "completed" and amount > 0 and math.isfinite(amount):
            amounts[arm].append(amount)
    return {name: statistics.fmean(own) if own else math.nan for name, own in amounts.items()}


def _unequal_budgets(table: RunTable, arms: ArmSet, runs: Sorted) -> list[Flaw]:
    compared = _compared(arms, runs)
    if len(compared) < 2:
        return []
    found = []
    lengths = [arm.name for arm in compared[1:] if arm.factor in LENGTH]
    if lengths:
        sentence = (
            f"{some(lengths)}: trained for another length on purpose; what that costs is not weighed here"
        )
        found.append(_flaw("length_is_the_factor", NOTE, sentence, lengths))
    wanted = [arm for arm in compared if arm.factor not in LENGTH]
    spent = _spent(table, arms, wanted)
    if not any(spent.values()):
        sentence = (
            "the table does not say what each arm spent (tokens, or max_steps and batch_size): whether "
            "budgets were equal cannot be checked"
        )
        return [*found, _flaw("budget_unknown", CAUTION, sentence)]
    kind = next(kind for kind in ("examples", "tokens", "steps") if spent[kind])
    base = spent[kind][compared[0].name]
    ratios = {name: amount / base for name, amount in spent[kind].items()}
    unequal = [name for name, ratio in ratios.items() if not 1 / EQUAL <= ratio <= EQUAL]
    if unequal:
        most = max(unequal, key=lambda name: abs(math.log(ratios[name])))
        how = " (max_steps x batch_size)" if kind == "examples" else ""
        sentence = (
            f"unequal budgets: {most} spent {ratios[most]:.3g} times the {kind} of the default{how}, "
            f"{len(unequal):,} of {len(ratios) - 1:,} arms differ; a gain may be the budget, not the setting"
        )
        found.append(_flaw("unequal_budgets", SERIOUS, sentence, unequal))
    return found


def _together(arms: ArmSet, runs: Sorted) -> list[Flaw]:
    found = []
    compared = _compared(arms, runs)[1:]
    joint = [arm for arm in compared if arm.confounded]
    if joint:
        alone = {arm.factor for arm in compared if not arm.confounded}
        apart = all(name in alone for arm in joint for name in arm.confounded)
        first = joint[0]
        named = (
            some(first.confounded) if first.name == first.level else f"{first.name}: {some(first.confounded)}"
        )
        sentence = (
            f"{len(joint):,} of {len(compared):,} arms change several settings at once ({named}): "
            "their effect belongs to no single setting"
        )
        kind, severity = ("combinations", NOTE) if apart else ("moves_together", SERIOUS)
        found.append(_flaw(kind, severity, sentence, [arm.name for arm in joint]))
    pairs = _always_together(compared)
    if pairs:
        told = some(f"{one} with {other}" for one, other in pairs)
        sentence = f"never changed apart: {told}; no number of seeds can tell their effects apart"
        found.append(_flaw("collinear", SERIOUS, sentence))
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
    return [_flaw("mixed_arm", SERIOUS, sentence, [arm.name for arm in mixed])]


def _twins(arms: ArmSet, runs: Sorted) -> list[Flaw]:
    """Different arms with the same value at every seed: a setting that never reached the training."""
    repeats = {arm.name for arm in arms.arms if arm.factor == REPEAT}
    groups: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for arm, own in runs.values.items():
        if arm not in repeats and len(own) > 1 and len(set(own)) > 1:
            groups[own].append(arm)
    return [
        _flaw(
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
        level, tested = factor.level(best.arm), (factor.default, *factor.levels)
        if level in (min(tested), max(tested)):
            end = "smallest" if level == min(tested) else "largest"
            sentence = (
                f"edge of the grid: the best {factor.name} ({factor.label(best.arm)}) is the {end} tested; "
                "the optimum may lie beyond"
            )
            found.append(_flaw("edge", CAUTION, sentence, [best.arm]))
    return found


def _no_fresh_seeds(runs: Sorted, final: Mapping[str, Finding]) -> list[Flaw]:
    found = []
    chosen = [f.best for f in final.values() if f.state == UNCONFIRMED and f.best]
    if chosen:
        tried = len(runs.compared) + len(runs.aside)
        sentence = (
            f"{some(chosen)}: chosen among {tried:,} variations and measured on the same seeds and the same "
            "evaluation set, so the gain is on average overstated; no fresh seeds are in the table"
        )
        found.append(_flaw("chosen_and_measured_on_the_same_runs", CAUTION, sentence, chosen))
    if runs.overlapping:
        sentence = (
            f"seed {some(runs.overlapping)} of the confirmation also chose the candidate and is not fresh"
        )
        found.append(_flaw("confirmation_not_fresh", SERIOUS, sentence))
    return found


def _insensitive(screening: Mapping[str, Finding]) -> list[Flaw]:
    blind = [name for name, f in screening.items() if any(r.startswith("insensitive") for r in f.reasons)]
    if not blind:
        return []
    sentence = (
        f"{some(blind)}: nothing here was shown to be worse than the default, so these runs could not have "
        "told a bad default from a good one"
    )
    return [_flaw("insensitive", CAUTION, sentence)]


def _short(table: RunTable, arms: ArmSet, runs: Sorted) -> list[Flaw]:
    wanted = [arm for arm in _compared(arms, runs) if arm.factor not in LENGTH]
    steps = _spent(table, arms, wanted)["steps"]
    short = [name for name, amount in steps.items() if amount < FEW_STEPS]
    if not short:
        return []
    sentence = f"fewer than {FEW_STEPS} steps: {some(short)}; what holds for so short a training may not last"
    return [_flaw("few_steps", CAUTION, sentence, short)]


def _flaw(kind: str, severity: str, sentence: str, arms: Iterable[str] = ()) -> Flaw:
    return Flaw(kind=kind, severity=severity, sentence=sentence, arms=tuple(arms))
