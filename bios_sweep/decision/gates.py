"""What must hold before a study is judged: whole blocks, a margin, and that a loss could be seen. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from bios_sweep.decision.bounds import Bound, unbounded
from bios_sweep.decision.finding import FactorLevels, Finding, Margin
from bios_sweep.decision.fresh import MIXED_HARDWARE
from bios_sweep.decision.table import Blocks, ResultTable
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.margins import MARGINS, of_before, scale_of
from bios_sweep.study.metric_names import is_signed
from bios_sweep.vocabulary import Word

NO_PERCENT = Kind(
    "the baseline has no finite result, or its mean is 0 and has no percent; decision.margin_absolute has one"
)
BASELINE_DIVERGED = Kind("the baseline diverged at {count} of {seeds} seeds")
BLOCKS_MISSING = Kind("{count} of {seeds} seed blocks are incomplete (failed trials); at most a fifth may be")
ONE_SEED = Kind("one seed has no error estimate")
SENSITIVITY_MARGINS = 5.0  # docs/statistics.md, item 1: an untouched model must be worse by five margins


def margin_of(table: ResultTable, rule: DecisionRule) -> Margin | None:
    """The margin from the baseline arm alone; None when its mean is missing, or 0 and no share."""
    values = [table.outcome(table.arms[0], seed) for seed in table.seeds]
    usable = [outcome.value for outcome in values if outcome.usable]
    loss = sum(usable) / len(usable) if usable else 0.0
    level = table.level(loss) if usable else 0.0
    if level == 0.0:
        return None
    gained = None
    if table.untouched is not None and math.isfinite(table.untouched):
        gained = 100.0 * table.metric.sign * (loss - table.untouched) / level
    if rule.version == 1:
        given = {name: getattr(rule, name) for name in MARGINS}
        rule = replace(rule, **of_before(given, table.metric.name))
    if not loss and is_signed(table.metric.name):
        rule = replace(rule, margin_percent=None)  # of 0, which only counts in its own unit, nothing is one
        if rule.margin_absolute is None and not (rule.margin_share and (gained or 0.0) > 0.0):
            return None
    percent = rule.margin(level, gained)
    absolute = percent * level / 100.0
    return Margin(
        percent=percent,
        absolute=absolute,
        gained=gained,
        plain=rule.plain_margin(level),
        scale=scale_of(
            table.metric.name,
            level,
            points=rule.margin_points is not None,
            percent=rule.margin_percent is not None,
        ),
    )


def gate(table: ResultTable, blocks: Blocks) -> Reason | None:
    """Why no factor of the study can be judged; None where they can. blocks: of the table."""
    baseline = table.arms[0]
    if table.diverged(baseline):
        return BASELINE_DIVERGED(count=table.diverged(baseline), seeds=len(table.seeds))
    if table.flaw is not None:
        return table.flaw
    if len(table.hardware) > 1:
        return MIXED_HARDWARE(devices=", ".join(table.hardware))
    if blocks.too_many_dropped or not blocks.seeds:
        return BLOCKS_MISSING(count=len(blocks.dropped), seeds=len(table.seeds))
    return None


def gained_per_seed(table: ResultTable, blocks: Blocks) -> tuple[float, ...] | None:
    """Gain of the default over the untouched model at every seed, percent of the default's mean."""
    if table.untouched is None or not math.isfinite(table.untouched):
        return None
    baseline = blocks.values[0]
    scale = 100.0 * table.metric.sign / blocks.level
    return tuple(float(scale * (value - table.untouched)) for value in baseline)


def is_sensitive(bounds: Iterable[Bound], margin: Margin) -> bool:
    """Whether something is seen to be worse: a variation, or the untouched model by five margins.

    These are taken before the share of the gain, of which every gain would be more than five.
    """
    worse = any(bound.upper < 0 for bound in bounds)
    plain = margin.percent if margin.plain is None else margin.plain
    trained = margin.gained is not None and margin.gained >= SENSITIVITY_MARGINS * plain
    return worse or trained


def stopped(table: ResultTable, levels: FactorLevels, reason: Reason) -> Finding:
    """A factor that cannot be judged, and why."""
    return Finding(
        factor=levels.name,
        state=Word.INCONCLUSIVE,
        diverged=tuple(arm for arm in levels.arms if table.diverged(arm)),
        reasons=(reason,),
        seeds=table.seeds,
    )


def one_seed(table: ResultTable, levels: FactorLevels, blocks: Blocks) -> Finding:
    """Gains without bounds: one seed has no error estimate, so nothing is decided."""
    gains = dict(zip(blocks.arms[1:], blocks.gains()[:, 0], strict=True))
    bounds = tuple(unbounded(arm, float(gains[arm])) for arm in levels.arms if arm in gains)
    best = max(bounds, key=lambda bound: bound.gain, default=None)
    return Finding(
        factor=levels.name,
        state=Word.SCREENING_ONLY,
        best=best.arm if best else None,
        bound=best,
        bounds=bounds,
        diverged=tuple(arm for arm in levels.arms if table.diverged(arm)),
        reasons=(ONE_SEED(),),
        seeds=table.seeds,
    )
