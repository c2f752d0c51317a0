"""What an audit concludes: what runs support, what they do not, the smallest study that would settle it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from bios_sweep.audit.blocks_of_runs import Sorted
from bios_sweep.audit.flaw import Flaw, some
from bios_sweep.audit.soundness import is_by_budget
from bios_sweep.audit.unpaired import RIVAL
from bios_sweep.claims import claims_of
from bios_sweep.decision.claims.evidence import INSENSITIVE, MORE_SEEDS
from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.finding import CONFOUNDED, EDGE, FactorLevels, Finding
from bios_sweep.decision.gates import BASELINE_DIVERGED, BLOCKS_MISSING
from bios_sweep.decision.rows import LevelRow
from bios_sweep.decision.statement import Verdict
from bios_sweep.reasons import Reason, is_any
from bios_sweep.vocabulary import Status, Word

SEEDS = 5  # docs/statistics.md, item 7: seeds of a first study, and fresh ones of a confirmation
NAMED_ARMS = 2  # besides the default, in the next study (chosen, not measured)
NOT_COMPARED = "not compared"  # the status of a level that was set aside
GROUND = ("mixed_scenario", "mixed_software", "mixed_hardware", "mixed_arm")


def supports(verdicts: Sequence[Verdict], runs: Sorted) -> tuple[str, ...]:
    """What may be said with these runs in hand: no more than their bounds show, and no less."""
    told = []
    for verdict in verdicts:
        name, margin, scale = verdict.factor, verdict.margin, verdict.scale
        if is_by_budget(verdict.reasons):
            continue
        better = [row for row in _estimated(verdict) if _lower(row) > 0.0]
        if verdict.verdict in (Word.CONFIRM, Word.REFINE):
            told.append(f"{name}: {verdict.sentence}")
        elif verdict.verdict == Word.UNCONFIRMED:
            told.append(f"{name}: {_text(verdict.best_level)} is worth a test on fresh seeds")
        elif better:
            shown = some(f"{row.label} (by {scale.told(_lower(row)):.2f} or more)" for row in better)
            told.append(f"{name}: better than the default: {shown}")
        told += [
            f"{name}: on the seeds that it has, {one.facts['level']} is better than the default "
            f"(by {one.facts['lower']:.2f} or more)"
            for one in _better_rivals(verdict)
        ]
        if is_any(verdict.reasons, INSENSITIVE) and margin is not None and _estimated(verdict):
            most = max(_upper(row) for row in _estimated(verdict))
            if most < margin:
                told.append(
                    f"{name}: no tested level gains {scale.told(margin):.2f} "
                    f"(largest upper bound {scale.told(most):+.2f})"
                )
        told += _shown_worse(verdict)
    if runs.screening.seeds and not told:
        told.append("a list of values to plan the next study by, and no verdict")
    return tuple(told)


def _better_rivals(verdict: Verdict) -> list[Reason]:
    """Levels that lack seeds and are shown to be better on those that they have."""
    return [one for one in verdict.reasons if one.kind == RIVAL and one.facts["lower"] > 0.0]


def _estimated(verdict: Verdict) -> list[LevelRow]:
    return [row for row in verdict.levels if row.estimate is not None]


def _lower(row: LevelRow) -> float:
    return _or(row.estimate.lower if row.estimate else None, -math.inf)


def _upper(row: LevelRow) -> float:
    return _or(row.estimate.upper if row.estimate else None, math.inf)


def _or(bound: float | None, otherwise: float) -> float:
    """A bound, or what stands for none."""
    return otherwise if bound is None else bound


def _shown_worse(verdict: Verdict) -> list[str]:
    """Levels shown to be worse, corrected for their number as lower bounds are: one list claims them all."""
    worse = [
        row.label
        for row in _estimated(verdict)
        if row.estimate is not None and 2.0 * _or(row.estimate.gain, math.inf) - _lower(row) < 0.0
    ]
    if not worse or verdict.margin is None:
        return []
    return [f"{verdict.factor}: worse than the default, corrected for all that were tried: {some(worse)}"]


def _open_levels(verdict: Verdict) -> list[str]:
    """The levels of which a gain that matters is neither shown nor excluded."""
    margin = _or(verdict.margin, 0.0)
    return [
        row.label
        for row in verdict.levels
        if row.status != Status.DIVERGED and _lower(row) <= 0.0 and _upper(row) >= margin
    ]


def does_not_support(verdicts: Sequence[Verdict], flaws: Sequence[Flaw]) -> tuple[str, ...]:
    """What may not be said, though a table of means seems to say it."""
    told = [sentence for verdict in verdicts for sentence in _not_supported(verdict)]
    kinds = {flaw.kind for flaw in flaws}
    if "unequal_budgets" in kinds:
        told.append("that a gain comes from the setting and not from the larger budget")
    if kinds & {"moves_together", "collinear"}:
        told.append("which of the settings that were changed together made the difference")
    if verdicts:
        told.append("anything about other data, models or evaluation sets")
    return tuple(told)


def _not_supported(verdict: Verdict) -> list[str]:
    name, best = verdict.factor, _text(verdict.best_level)
    if verdict.verdict == Word.UNCONFIRMED:
        return [f"{name}: how much better {best} is, or that it is better at all on new seeds"]
    if verdict.verdict == Word.SCREENING_ONLY:
        return [f"{name}: any ranking of its levels"]
    if verdict.verdict in (Word.CONFIRM, Word.REFINE):
        needs = judgement_of(claims_of(name)[0]).words.needs
        return [f"{name}: {needs}"] if needs else []
    joint = next((reason for reason in verdict.reasons if reason.kind == CONFOUNDED), None)
    if joint is not None and joint.facts["main"] == name:
        others = joint.facts["others"]
        return [
            f"{name}: that the default is right, or what those of its values gain with which {others} moved"
        ]
    if joint is not None:
        return [f"{name}: anything about one of these settings alone"]
    if is_any(verdict.reasons, INSENSITIVE):
        return [f"{name}: that the default is right: nothing here could have been worse"]
    if any(_lower(row) > 0.0 for row in _estimated(verdict)) or _better_rivals(verdict):
        if is_any(verdict.reasons, EDGE):
            return [f"{name}: that {best} is the best there is, for the grid ends with it"]
        return [f"{name}: that the default is right, or which level is to take its place"]
    return [f"{name}: neither that the default is right nor that another level is better"]


def settles(
    verdicts: Sequence[Verdict],
    flaws: Sequence[Flaw],
    runs: Sorted,
    factors: Sequence[FactorLevels],
    final: Mapping[str, Finding],
    unnamed: Collection[str],
) -> str:
    """The smallest next study, in one sentence; what blocks most is said first.

    unnamed: factors whose levels name what they set.
    """
    kinds = {flaw.kind for flaw in flaws}
    leaders = _leaders(final)
    if "one_arm" in kinds:
        return f"run the default and at least one variation at the same {SEEDS} seeds"
    if "collapsed_runs" in kinds:
        lost = next(flaw for flaw in flaws if flaw.kind == "collapsed_runs")
        return (
            f"see why single runs of {some(lost.arms)} came out so far below the others: run those seeds "
            "again if it was an accident, and count how often it happens if it is the setting's doing"
        )
    if kinds & set(GROUND):
        return (
            f"run the default and {_arms(leaders)} again under one model, data set, software and device "
            f"class, at the same {SEEDS} seeds ({_trials(leaders)} trials)"
        )
    if "zero_variance" in kinds:
        return (
            "find out why the seed changes nothing (is it set before the model and the order of the examples "
            "are made?), or judge by a metric with more digits; then run the default and "
            f"{_arms(leaders)} at {SEEDS} new seeds, the same for all ({_trials(leaders)} trials)"
        )
    if kinds & {"winner_of_one_seed", "repeats_without_seeds"}:
        return (
            f"run the default and {_arms(leaders)} at {SEEDS} new seeds, the same for all "
            f"({_trials(leaders)} trials), and judge by those seeds alone"
        )
    undecided = not all(v.verdict in (Word.CONFIRM, Word.REFINE) for v in verdicts)
    if kinds & {"seeds_not_shared", "unpaired_seeds"} and not runs.compared and undecided:
        return f"run the variations at the baseline's own seeds ({some(runs.screening.seeds)})"
    if kinds & {"moves_together", "collinear"} and not any(v.verdict == Word.CONFIRM for v in verdicts):
        return (
            "change one setting at a time: for each setting that moved, one arm that changes it alone, with "
            f"the default, at the same {SEEDS} seeds"
        )
    if runs.missing and any(is_any(v.reasons, BLOCKS_MISSING) for v in verdicts):
        seeds = sorted({seed for own in runs.missing.values() for seed in own})
        return (
            f"run {some(runs.missing)} again where they have no result (seed {some(seeds)}), then read the "
            "table again"
        )
    if any(is_any(v.reasons, BASELINE_DIVERGED) for v in verdicts):
        return "take a default that trains at every seed, or find out why it diverged, and run it at them all"
    return _by_verdicts(verdicts, factors, kinds, unnamed)


def _by_verdicts(
    verdicts: Sequence[Verdict], factors: Sequence[FactorLevels], kinds: set[str], unnamed: Collection[str]
) -> str:
    chosen = [v for v in verdicts if v.verdict == Word.UNCONFIRMED]
    if chosen:
        named, margin = some(_choice(v, unnamed) for v in chosen), chosen[0].margin
        least = f"{chosen[0].scale.told(_or(margin, math.nan)):.2f}"
        return (
            f"run the default and {named} once on {SEEDS} fresh seeds ({SEEDS * (len(chosen) + 1)} trials): "
            f"a lower bound above 0 and a gain of {least} or more make it a refinement"
        )
    lacking = [row.arm for v in verdicts for row in v.levels if row.status == NOT_COMPARED]
    if "unequal_seeds" in kinds and lacking:
        named = some(dict.fromkeys(lacking))
        return f"run {named} at the default's seeds that it lacks, then read the table again"
    edge = [v for v in verdicts if is_any(v.reasons, EDGE)]
    if edge:
        factor = next(factor for factor in factors if factor.name == edge[0].factor)
        larger = edge[0].best_level > factor.default
        beyond = edge[0].best_level * (2 if larger else 0.5)
        return f"add {factor.name} {_text(beyond)}, beyond the present end of the grid, at the same seeds"
    if "unequal_budgets" in kinds:
        return f"run the arms again with the default's number of training examples, at the same {SEEDS} seeds"
    for verdict in verdicts:
        for reason in verdict.reasons:
            if reason.kind == MORE_SEEDS:
                seeds = reason.facts["seeds"]
                levels = _open_levels(verdict) or [_text(verdict.best_level)]
                name = "" if verdict.factor in unnamed else f"{verdict.factor} "
                return (
                    f"run the default and {name}{some(levels)} at about {seeds} fresh seeds "
                    f"({(1 + len(levels)) * seeds} trials): at this noise that would decide"
                )
    if "insensitive" in kinds:
        return (
            "record the metric of the untouched model, or add one arm that must be worse, such as the "
            "default with four times its learning rate, at the same seeds"
        )
    if verdicts and all(v.verdict in (Word.CONFIRM, Word.REFINE) for v in verdicts):
        return "nothing more on this evaluation set; other data and models are a new study"
    return f"a study on {SEEDS} fresh seeds, the same for all arms, with one setting changed at a time"


def _leaders(final: Mapping[str, Finding]) -> list[str]:
    """The best arms by mean, best first: the ones worth a second look."""
    gains = {bound.arm: bound.gain for finding in final.values() for bound in finding.bounds}
    return sorted(gains, key=lambda arm: -gains[arm])[:NAMED_ARMS]


def _arms(leaders: Sequence[str]) -> str:
    return " and ".join(leaders) if leaders else "the variations"


def _trials(leaders: Sequence[str]) -> int:
    return SEEDS * (1 + max(1, len(leaders)))


def _choice(verdict: Verdict, unnamed: Collection[str]) -> str:
    """`learning_rate 0.0004`; the level of several settings, or of an unnamed one, names them itself."""
    level = _text(verdict.best_level)
    return level if verdict.factor in unnamed else f"{verdict.factor} {level}"


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
