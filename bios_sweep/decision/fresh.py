"""The confirmation: a candidate meets its rival once more, on seeds that did not choose it. Pure.

The winner of a comparison is on average not as good as it looked; effect and bounds of this stage replace
those of screening. One paired one-sided test at alpha per candidate, and for each guardrail one more that
must pass as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bios_sweep.decision.bounds import Bound, paired_bound, student
from bios_sweep.decision.clusters import ClusterSums, ClusterTable, cluster_table, combined
from bios_sweep.decision.finding import (
    AS_LONG,
    BELOW,
    NOT_WORSE,
    SHARE,
    SUPERIOR,
    Finding,
    FreshTest,
    Margin,
    share_of,
)
from bios_sweep.decision.table import Blocks, ResultTable, complete_blocks
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.companions import Companion
from bios_sweep.study.metric_names import is_share
from bios_sweep.units import PERCENT
from bios_sweep.vocabulary import Word

NOT_REPLICATED = Kind("the candidate did not replicate on fresh seeds; {then}")
TOO_SMALL = Kind("better, by less than matters; {then}")
SIZE_OPEN = Kind("better, but whether by enough is open")
KEEP_DEFAULT = Kind("keep the default")
KEEP_CLAIMED = Kind("no reason to leave the level that is claimed")
NO_PERCENT = Kind("the default's mean is 0 on the fresh seeds, so that nothing is a percent of it")
NO_CLUSTERS = Kind("the clusters that screening counted with are not known on the fresh seeds")
DIVERGED_FRESH = Kind("{arm} diverged on a fresh seed")
SEEDS_MISSING = Kind("{count} of {seeds} fresh seeds are missing (failed trials)")
LOSS_OPEN = Kind("a loss of {limit:.2f} is not excluded")
GAIN_OPEN = Kind("a gain of {limit:.2f} is not excluded")
LESS_LOSS_OPEN = Kind("a loss of less than {limit:.2f} is not excluded")
SHARE_OPEN = Kind("{share:.0%} of the gain is not shown")
GUARD_UNMEASURED = Kind("guardrail {name}: it was not measured on these seeds")
GUARD_BROKEN = Kind(
    "guardrail {guardrail}: {gain:+.2f} {unit} (lower bound {lower:+.2f} {unit}), "
    "and a loss of {limit} is not excluded"
)
GUARD_BROKEN_OWN = Kind(  # in the metric's own unit
    "guardrail {guardrail}: {gain:+.3g} (lower bound {lower:+.3g}), and a loss of {limit} is not excluded"
)
GUARD_OF_NOTHING = Kind(
    "guardrail {guardrail}: its mean is 0 with the default, and {limit} of that is nothing; a loss is not "
    "excluded (decision.metrics takes a margin_absolute)"
)
MIXED_HARDWARE = Kind("the trials ran on different hardware ({devices})")


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A metric that must not lose, on the trials of a test.

    sums: (arm, seed) -> its evaluation by cluster, where the scope wants that and it is known.
    """

    keeps: Companion
    table: ResultTable
    sums: Mapping[tuple[str, int], ClusterSums] = field(default_factory=dict)

    def contrast(self, arm: str, alpha: float) -> tuple[Bound, Blocks] | None:
        """The arm's gain over the default, percent of its mean, with the blocks it is of.

        None where it was not measured.
        """
        arms = (self.table.arms[0], arm)
        blocks = complete_blocks(self.table, arms)
        measured = blocks.arms == arms and len(blocks.seeds) > 1 and not blocks.too_many_dropped
        if not measured:
            return None
        if not blocks.level:  # percents are then a mere way to its own unit, in which its margin is
            blocks = replace(blocks, of=1.0)
        return contrast(blocks, arm, arms[0], alpha, cluster_table(blocks, self.sums)), blocks

    def of_nothing(self, blocks: Blocks) -> bool:
        """Whether it may lose a percent of 0, which is nothing; a percent of a share that is 0 is a point."""
        share = is_share(self.table.metric.name)
        return self.keeps.unit == PERCENT and not share and not blocks.values[0].any()


def judge_fresh(
    candidate: Finding,
    test: FreshTest,
    table: ResultTable,
    margin: Margin,
    alpha: float,
    guards: Sequence[Guard] = (),
    sums: Mapping[tuple[str, int], ClusterSums] | None = None,
) -> Finding:
    """The candidate's finding by its fresh seeds alone.

    table: the fresh seeds of (at least) the default and the test's two arms, the default first. test: the
    candidate's, with the arm that was really trained as `over`. guards: the other metrics.
    sums: (arm, seed) -> evaluation by cluster, for the scope of screening.
    """
    found = replace(
        candidate, state=Word.INCONCLUSIVE, bound=None, iso=None, bounds=(), seeds=table.seeds, fresh=True
    )
    gone = [arm for arm in (table.arms[0], test.over, test.arm) if table.diverged(arm)]
    if gone:
        who = {table.arms[0]: "the default", test.arm: "the candidate"}.get(gone[0], gone[0])
        ended = tuple(arm for arm in gone if arm == test.arm)
        return replace(found, diverged=ended, reasons=(DIVERGED_FRESH(arm=who),))
    if len(table.hardware) > 1:
        return replace(found, diverged=(), reasons=(MIXED_HARDWARE(devices=", ".join(table.hardware)),))
    blocks = _of_margin(
        complete_blocks(table, tuple(dict.fromkeys((table.arms[0], test.over, test.arm)))), margin
    )
    found = replace(found, diverged=(), seeds=blocks.seeds)
    if blocks.too_many_dropped or len(blocks.seeds) < 2:
        return replace(found, reasons=(SEEDS_MISSING(count=len(blocks.dropped), seeds=len(table.seeds)),))
    if not blocks.level:
        return replace(found, reasons=(NO_PERCENT(),))
    clusters = None if test.kind == SHARE else cluster_table(blocks, sums or {})
    if clusters is None and candidate.bound is not None and candidate.bound.clusters:
        return replace(found, reasons=(NO_CLUSTERS(),))
    bound = (
        _share(blocks, table, test, alpha)
        if test.kind == SHARE
        else _told(contrast(blocks, test.arm, test.over, alpha, clusters), table.arms[0], candidate, test)
    )
    state, reasons = _passed(bound, test, margin, blocks, table, alpha)
    serves_the_arm = state == Word.REFINE and test.kind != BELOW  # below: the arm is turned down, not served
    broken = broken_guards(guards, test.arm, alpha) if serves_the_arm else ()
    if broken:
        state, reasons = Word.INCONCLUSIVE, broken
    # against the default at the same cost, the gain is the iso-cost one
    iso = bound if test.duration is not None else None
    return replace(
        found, state=state, bound=bound, iso=iso, bounds=(bound,), reasons=reasons, value=test.value
    )


def _told(bound: Bound, default: str, candidate: Finding, test: FreshTest) -> Bound:
    """The bound with what it is over: a default trained for another time is told as that."""
    over, how = test.over, ""
    if test.duration is not None and candidate.test is not None:
        over, how = candidate.test.over, AS_LONG
    return replace(bound, over="" if over == default else over, how=how)


def combination_holds(
    table: ResultTable,
    combination: str,
    singles: Sequence[str],
    margin: Margin,
    alpha: float,
    guards: Sequence[Guard] = (),
    sums: Mapping[tuple[str, int], ClusterSums] | None = None,
) -> bool:
    """Whether the refined factors together are not worse, by the margin, than the best single one.

    One more test on the fresh seeds, in their scope; the guardrails hold for the combination as well.
    """
    blocks = complete_blocks(table, (table.arms[0], *singles))
    if blocks.arms != (table.arms[0], *singles) or not blocks.seeds or not blocks.level:
        return False  # a single one that failed or diverged is no measure
    best = singles[int(blocks.gains().mean(axis=1).argmax())]
    test = FreshTest(arm=combination, over=best, kind=NOT_WORSE, value=None, limit=margin.percent)
    together = Finding(factor=combination, state=Word.CANDIDATE, best=combination, test=test)
    return judge_fresh(together, test, table, margin, alpha, guards, sums).state == Word.REFINE


def _of_margin(blocks: Blocks, margin: Margin) -> Blocks:
    """Points are the same on all seeds: their gains are percents of what the margin is a percent of."""
    return blocks if margin.scale.unit == PERCENT else replace(blocks, of=margin.level)


def contrast(blocks: Blocks, arm: str, over: str, alpha: float, clusters: ClusterTable | None) -> Bound:
    """The paired gain of an arm over another, percent of the blocks' level."""
    rows = dict(zip(blocks.arms, blocks.values, strict=True))
    scale = 100.0 * blocks.metric.sign / blocks.level
    bound = paired_bound(arm, (rows[arm] - rows[over]) * scale, alpha)
    if clusters is None:
        return bound
    variance = clusters.variance({arm: 1.0, over: -1.0})
    error, nu = combined(bound.standard_error**2, len(blocks.seeds) - 1, variance, clusters.freedom)
    width = student(alpha, nu) * error
    return replace(
        bound,
        lower=bound.gain - width,
        upper=bound.gain + width,
        standard_error=error,
        clusters=clusters.count,
    )


def _passed(
    bound: Bound, test: FreshTest, margin: Margin, blocks: Blocks, table: ResultTable, alpha: float
) -> tuple[str, tuple[Reason, ...]]:
    if test.kind == SUPERIOR:
        if bound.lower > 0 and bound.gain >= margin.percent:
            return Word.REFINE, ()
        held_against_default = test.over == table.arms[0] or test.duration is not None
        if bound.lower > 0 and bound.upper >= margin.percent:  # the better level is the one to use meanwhile
            return Word.INCONCLUSIVE, (SIZE_OPEN(),)
        kind = TOO_SMALL if bound.lower > 0 else NOT_REPLICATED
        return Word.INCONCLUSIVE, (kind(then=KEEP_DEFAULT() if held_against_default else KEEP_CLAIMED()),)
    if test.kind == NOT_WORSE:
        passed = bound.lower > -test.limit
        return (
            (Word.REFINE, ()) if passed else (Word.INCONCLUSIVE, (LOSS_OPEN(limit=margin.told(test.limit)),))
        )
    if test.kind == BELOW:
        passed = bound.upper < test.limit
        kind = LESS_LOSS_OPEN if test.limit < 0 else GAIN_OPEN
        return (
            (Word.REFINE, ()) if passed else (Word.INCONCLUSIVE, (kind(limit=margin.told(abs(test.limit))),))
        )
    assert test.kind == SHARE  # there are no other kinds
    gained = blocks.metric.sign * (blocks.values[0] - _untouched(table))
    passed = paired_bound("gained", gained, alpha).lower > 0 and bound.lower > 0
    return (Word.REFINE, ()) if passed else (Word.INCONCLUSIVE, (SHARE_OPEN(share=test.limit),))


def _untouched(table: ResultTable) -> float:
    return table.untouched if table.untouched is not None else float("nan")


def _share(blocks: Blocks, table: ResultTable, test: FreshTest, alpha: float) -> Bound:
    """Bounds of gain(arm) - share * gain(default), both over the untouched model, percent of the default."""
    rows = dict(zip(blocks.arms, blocks.values, strict=True))
    untouched = _untouched(table)
    gained = blocks.metric.sign * (rows[test.arm] - untouched)
    needed = test.limit * blocks.metric.sign * (blocks.values[0] - untouched)
    scale = 100.0 / blocks.level
    return replace(
        paired_bound(test.arm, (gained - needed) * scale, alpha),
        how=share_of(test.limit),
    )


def broken_guards(guards: Sequence[Guard], arm: str, alpha: float) -> tuple[Reason, ...]:
    """The metrics that an arm is not shown to keep, each a non-inferiority test at alpha."""
    broken = []
    for guard in guards:
        keeps, found = guard.keeps, guard.contrast(arm, alpha)
        if found is None:
            broken.append(GUARD_UNMEASURED(name=keeps.metric.name))
            continue
        bound, blocks = found
        level = blocks.level
        if guard.of_nothing(blocks):
            if bound.lower < 0:
                broken.append(GUARD_OF_NOTHING(guardrail=keeps.metric.name, limit=keeps.limit_words))
            continue
        if bound.lower <= -keeps.percent(level):
            gain, lower = keeps.told(bound.gain, level), keeps.told(bound.lower, level)
            kind = GUARD_BROKEN if keeps.unit else GUARD_BROKEN_OWN
            broken.append(
                kind(
                    guardrail=keeps.metric.name,
                    gain=gain,
                    lower=lower,
                    limit=keeps.limit_words,
                    unit=keeps.unit,
                )
            )
    return tuple(broken)
