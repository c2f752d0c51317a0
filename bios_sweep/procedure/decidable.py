"""What a number of items can decide: the smallest margin of a share, before anything is trained. Pure.

A share over n items is itself a sample: another n items of the same kind would have given another difference
between two trained models (Miller 2024, arXiv 2411.00640). More seeds average out what training again would
change in an answer, and not what the items are. So a margin may lie below what any number of seeds can show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from bios_sweep.decision.bounds import student
from bios_sweep.decision.clusters import combined
from bios_sweep.jsonable import OPTIONAL
from bios_sweep.study.companions import Companion
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.plan import Plan

# Of two trained models, the share of items that come out differently: 2 p (1 - p) (1 - r) where p = 0.7 are
# right and answers correlate by r = 0.5. Chosen.
DIFFERING = 0.2
# Of that, the share that further seeds leave as it is. Chosen: half.
LASTING = 0.5
SAID = " (who knows how many items differ says so: `differing`)"


@dataclass(frozen=True, kw_only=True)
class Decidable:
    """Whether a metric's items can decide its margin. Margins in points.

    decides: whether it is the metric that decides; else it must not lose. seeds: over which it is judged.
    smallest: the half width of the bounds that can be expected: with a smaller margin, a model that changes
    nothing is told from one that changes by the margin in fewer than half of all studies. items_needed: with
    so many the margin itself is that one. differing: share of the items in which two trained models are taken
    to differ. seen: the sweep whose trials showed it, None where it was said or is taken. decided: whether
    the items are enough.
    """

    metric: str
    decides: bool
    items: int
    clusters: int
    seeds: int
    margin: float
    smallest: float
    items_needed: int
    decided: bool
    differing: float
    seen: str | None = field(default=None, metadata=OPTIONAL)


def decidable(plan: Plan) -> tuple[Decidable, ...]:
    """Every judged share whose number of items is known, the one that decides first."""
    return tuple(_rows(plan))


def _rows(plan: Plan) -> Iterator[Decidable]:
    study, rule = plan.study, plan.study.decision
    asked: list[tuple[str, DecisionRule | Companion]] = [(study.metric.name, rule)]
    asked += [(kept.metric.name, kept) for kept in rule.companions or ()]
    score = study.scenario.data.score
    for metric, said in asked:
        own = score if score is not None and metric == score.metric else None
        known = study.scenario.data.known_items(metric)
        items = said.items if known is None else known
        margin = said.margin_points
        if margin is None and said.margin_absolute and own is not None and own.is_share:
            margin = 100.0 * said.margin_absolute
        seeds = len(study.seeds) if said is rule else rule.confirmation_seeds
        if margin is None or items is None or seeds < 2:
            continue
        clusters = items if known is None else study.scenario.data.clusters_of(metric)
        seen = own.seen if own is not None and said.differing is None else None
        differing = said.differing or (seen.differing if seen else DIFFERING)
        lasting = seen.lasting if seen else LASTING
        smallest = smallest_margin(rule, items, clusters, seeds, differing, lasting, decides=said is rule)
        yield Decidable(
            metric=metric,
            decides=said is rule,
            items=items,
            clusters=clusters,
            seeds=seeds,
            margin=margin,
            smallest=smallest,
            items_needed=math.ceil(items * (smallest / margin) ** 2),
            decided=margin >= smallest,
            differing=differing,
            seen=seen.sweep if seen else None,
        )


def smallest_margin(
    rule: DecisionRule,
    items: int,
    clusters: int,
    seeds: int,
    differing: float = DIFFERING,
    lasting: float = LASTING,
    *,
    decides: bool,
) -> float:
    """Half the width of the bounds that can be expected, in points.

    Of an item's difference d between two models, E[d^2] = `differing`; a share `lasting` of that is the
    item's own, the rest is drawn anew at every seed and is in the error over seeds and, averaged, in that
    over items. clusters: that the items come from, whose number limits what is known of that error.
    """
    alpha = rule.alpha / len(rule.looks) if decides else rule.alpha
    drawn = differing * (1.0 - lasting) / seeds
    over_seeds, own = drawn / items, (differing * lasting + drawn) / items
    freedom = seeds + 1 if decides else seeds - 1
    if rule.scope == "evaluation":
        return 100.0 * student(alpha, freedom) * math.sqrt(over_seeds)
    error, nu = combined(over_seeds, freedom, own, max(1, clusters - 1))
    return 100.0 * student(alpha, nu) * error


def undecided_lines(plan: Plan) -> list[str]:
    """What of a plan cannot be decided, and what could be; a sentence each."""
    return [undecided_words(one) for one in decidable(plan) if not one.decided]


def undecided_words(one: Decidable) -> str:
    """What cannot be decided, and what could be."""
    role = "decides" if one.decides else "must not lose"
    return (
        f"CANNOT BE DECIDED: {one.metric} ({role}) by a margin of {_points(one.margin)} on {one.items:,} "
        f"items: {_bounds(one)}; about {one.items_needed:,} items could decide it, or a margin of "
        f"{_points(_up(one.smallest))} on these{'' if one.seen else SAID}"
    )


def decided_words(one: Decidable) -> str:
    """What the items can decide."""
    return (
        f"{one.metric}: {one.items:,} items can decide a margin of about {_points(_up(one.smallest))}, and "
        f"{_points(one.margin)} is asked; {_bounds(one)}"
    )


def _bounds(one: Decidable) -> str:
    """Where the bounds can be expected, and on what that rests."""
    seen = f", as those of {one.seen} did," if one.seen else ","
    return (
        f"with two trained models that differ in {100 * one.differing:.3g} % of the items{seen} bounds lie "
        f"{_points(one.smallest)} to each side at {one.seeds} seeds"
    )


def _up(points: float) -> float:
    """A margin that is surely enough, in tenths of a point."""
    return math.ceil(points * 10.0) / 10.0


def _points(points: float) -> str:
    return f"{points:.3g} point{'' if points == 1 else 's'}"
