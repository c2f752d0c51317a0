"""The decision rule: screening per factor, then confirmation on fresh seeds.

Screening may confirm a default or name a candidate; only the confirmation stage may refine one,
because the winner of a comparison is on average not as good as it looked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bios_sweep.analysis.bounds import Bound, gain_bounds, paired_bound, pooled_error, student
from bios_sweep.analysis.finding import (
    CANDIDATE,
    CONFIRM,
    EDGE,
    INCONCLUSIVE,
    REFINE,
    SCREENING_ONLY,
    UNCONFIRMED,
    UNDECIDED,
    FactorLevels,
    Finding,
    Margin,
)
from bios_sweep.analysis.table import Blocks, ResultTable, complete_blocks
from bios_sweep.study.design import DecisionRule

__all__ = [  # the words and values of findings are used together with the rule that makes them
    "CANDIDATE",
    "CONFIRM",
    "EDGE",
    "INCONCLUSIVE",
    "REFINE",
    "SCREENING_ONLY",
    "UNCONFIRMED",
    "UNDECIDED",
    "FactorLevels",
    "Finding",
    "Margin",
    "combination_holds",
    "confirm_candidate",
    "margin_of",
    "screen",
]

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


def screen(
    table: ResultTable, factors: Sequence[FactorLevels], rule: DecisionRule, variations: int | None = None
) -> dict[str, Finding]:
    """Judge every factor of the study on the shared seeds, at level alpha / number of looks.

    All variations of the study share one variance and one Dunnett correction: the more is tried,
    the more a best arm must show. variations: of the whole study, also those that an earlier look
    decided and that the table no longer has; by default those of the table.
    """
    blocked = _gate(table)
    margin = margin_of(table, rule)
    if blocked or margin is None:
        reason = blocked or "the baseline has no finite result, or its mean is 0 and has no percent"
        return {f.name: _stopped(table, f, reason) for f in factors}
    blocks = complete_blocks(table)
    if len(blocks.arms) < 2:
        return {f.name: _stopped(table, f, "every variation diverged") for f in factors}
    if len(table.seeds) < 2:
        return {f.name: _one_seed(table, f, blocks) for f in factors}
    tried = max(len(table.arms) - 1, variations or 0)
    bounds = {bound.arm: bound for bound in gain_bounds(blocks, rule.alpha / len(rule.looks), tried)}
    sensitive = _sensitive(bounds, margin)
    return {f.name: _judge(f, bounds, margin, table, blocks, rule, sensitive) for f in factors}


def confirm_candidate(table: ResultTable, arm: str, factor: str, margin: Margin, alpha: float) -> Finding:
    """Meet the default once more, on fresh seeds, once, with one paired one-sided t at alpha.

    Effect and bounds are those of this stage only.
    """
    baseline = table.arms[0]
    if table.diverged(baseline) or table.diverged(arm):
        who = "the default" if table.diverged(baseline) else "the candidate"
        return Finding(
            factor=factor,
            state=INCONCLUSIVE,
            best=arm,
            diverged=(arm,) if table.diverged(arm) else (),
            reasons=(f"{who} diverged on a fresh seed",),
            seeds=table.seeds,
        )
    if len(table.hardware) > 1:
        return Finding(
            factor=factor,
            state=INCONCLUSIVE,
            best=arm,
            reasons=(_mixed_hardware(table),),
            seeds=table.seeds,
        )
    blocks = complete_blocks(table, (baseline, arm))
    if blocks.too_many_dropped or len(blocks.seeds) < 2:
        reason = f"{len(blocks.dropped)} of {len(table.seeds)} fresh seeds are missing (failed trials)"
        return Finding(factor=factor, state=INCONCLUSIVE, best=arm, reasons=(reason,), seeds=blocks.seeds)
    bound = paired_bound(arm, blocks.gains()[0], alpha)
    state, reasons = _confirmed(bound, margin)
    return Finding(
        factor=factor,
        state=state,
        best=arm,
        bound=bound,
        bounds=(bound,),
        reasons=reasons,
        seeds=blocks.seeds,
    )


def combination_holds(
    table: ResultTable, combination: str, singles: Sequence[str], margin: Margin, alpha: float
) -> bool:
    """Whether the refined factors together are not worse, by the margin, than the best single one."""
    arms = (table.arms[0], combination, *singles)
    blocks = complete_blocks(table, arms)
    if blocks.arms != arms or len(blocks.seeds) < 2 or blocks.too_many_dropped:
        return False
    gains = blocks.gains()
    best = int(gains[1:].mean(axis=1).argmax()) + 1
    return paired_bound(combination, gains[0] - gains[best], alpha).lower > -margin.percent


def _confirmed(bound: Bound, margin: Margin) -> tuple[str, tuple[str, ...]]:
    if bound.lower <= 0:
        return INCONCLUSIVE, ("the candidate did not replicate on fresh seeds; keep the default",)
    if bound.gain < margin.percent:
        return INCONCLUSIVE, ("better, by less than matters; keep the default",)
    return REFINE, ()


def _gate(table: ResultTable) -> str:
    """Why no factor of the study can be judged, or an empty string."""
    baseline = table.arms[0]
    if table.diverged(baseline):
        return f"the baseline diverged at {table.diverged(baseline)} of {len(table.seeds)} seeds"
    if len(table.hardware) > 1:
        return _mixed_hardware(table)
    blocks = complete_blocks(table)
    if blocks.too_many_dropped or not blocks.seeds:
        return (
            f"{len(blocks.dropped)} of {len(table.seeds)} seed blocks are incomplete (failed trials); "
            "at most a fifth may be"
        )
    return ""


def _mixed_hardware(table: ResultTable) -> str:
    return f"the trials ran on different hardware ({', '.join(table.hardware)})"


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
        return found(CONFIRM, nearest, *_one_sided(factor, own))
    better = [bound for bound in own if bound.lower > 0]
    if better:
        best = max(better, key=lambda bound: bound.gain)
        if _at_edge(factor, best.arm):
            return found(INCONCLUSIVE, best, f"{EDGE} the best level {factor.label(best.arm)} ends the grid")
        return found(CANDIDATE, best)
    leading = max(own, key=lambda bound: bound.gain)
    return found(UNDECIDED, leading, _open_question(nearest, margin), _more_seeds(own, margin, blocks, rule))


def _sensitive(bounds: Mapping[str, Bound], margin: Margin) -> bool:
    worse = any(bound.upper < 0 for bound in bounds.values())
    trained = margin.gained is not None and margin.gained >= SENSITIVITY_MARGINS * margin.percent
    return worse or trained


def _one_sided(factor: FactorLevels, own: Sequence[Bound]) -> tuple[str, ...]:
    """A confirmation needs a finite level on each side of the default, else it says which side it has."""
    if not factor.ordered:
        return ()
    levels = [factor.level(bound.arm) for bound in own]
    if not any(level < factor.default for level in levels):
        return ("confirmed against larger only",)
    if not any(level > factor.default for level in levels):
        return ("confirmed against smaller only",)
    return ()


def _at_edge(factor: FactorLevels, arm: str) -> bool:
    """Whether the arm's level is the outermost tested; a diverged level beyond it closes the grid."""
    if not factor.ordered:
        return False
    tested = (factor.default, *factor.levels)
    return factor.level(arm) in (min(tested), max(tested))


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
