"""How often each claim of a default is judged right: simulated studies against the rates promised for them.

Losses are drawn straight into the table that the rule sees, at five seeds, a residual of 0.2 % and timings
that spread by 3 %. Each world says which bound it sits on: there a false confirmation may happen in a
twentieth of the studies and no more.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from bios_sweep.claims import CLAIMS, OPTIMUM
from bios_sweep.decision.claims import speed
from bios_sweep.decision.costs import cost_ratios
from bios_sweep.decision.finding import (
    BELOW,
    NOT_WORSE,
    SHARE,
    SUPERIOR,
    FactorLevels,
    Finding,
    FreshTest,
    Margin,
)
from bios_sweep.decision.fresh import Guard, judge_fresh
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.study.companions import Companion
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status, Word
from tests.answers import answer
from tests.scenarios import PUBLISH

BALANCED, ENOUGH, MINIMUM, QUALITY, SPEED = (
    CLAIMS[name] for name in ("balanced", "enough", "minimum", "quality", "speed")
)

ALPHA = 0.05
DELTA = 0.5  # the margin, percent
LOSS, UNTOUCHED = 2.0, 4.0  # training gains 100 % of the final loss, so the margin is the 0.5 %
SEEDS, SIGMA = 5, 0.2
REPEATS, SPREAD = 5, 0.03
FEW = 200
MANY = int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "4000"))
RULE = DecisionRule(**PUBLISH)
DURATIONS = {0.5: "max_steps x0.5", 1.0: "baseline", 2.0: "max_steps x2", 4.0: "max_steps x4"}
LONGER = {"max_steps x0.5": -1.0, "max_steps x2": 1.0, "max_steps x4": 2.0}  # 1 % per doubling of the time


def factor(name, default, levels):
    labels = tuple(f"{level:g}" for level in levels)
    return FactorLevels(
        name=name,
        default=default,
        arms=tuple(f"{name}={label}" for label in labels),
        levels=tuple(levels),
        labels=labels,
    )


BATCH = factor("batch_size", 128, (32, 64, 256, 512))
RANK = factor("lora_rank", 32, (8, 16, 64, 128))
STEPS = factor("max_steps", 1000, (50, 100, 250, 2000))


@dataclass(frozen=True, kw_only=True)
class World:
    """What is true. gains: percent over the default, per level in order; costs: time over the default's."""

    claim: str
    levels: FactorLevels
    gains: tuple[float, ...]
    costs: tuple[float, ...] = ()
    more: dict = field(default_factory=dict)


def batch(claim, gains, costs=(2.5, 1.5, 0.75, 0.6)):
    return World(claim=claim, levels=BATCH, gains=gains, costs=costs, more=LONGER)


def drawn(gains, random, seeds=SEEDS, sigma=SIGMA, untouched=UNTOUCHED, start=0):
    """A table of losses; gains: arm -> true percent, the default first."""
    shared = random.normal(0, 2.0, seeds)
    percent = shared + random.normal(0, sigma, (len(gains), seeds)) - np.array([*gains.values()])[:, None]
    values = LOSS * (1 + percent / 100)
    numbers = tuple(range(start, start + seeds))
    return ResultTable(
        arms=tuple(gains),
        seeds=numbers,
        outcomes={
            (arm, seed): Outcome(status=Status.COMPLETED, value=float(values[row, place]))
            for row, arm in enumerate(gains)
            for place, seed in enumerate(numbers)
        },
        metric=Metric(),
        untouched=untouched,
    )


def timed(world, random):
    """Cost ratios as a probe of five interleaved repeats would find them."""
    true = {"baseline": 1.0, **dict(zip(world.levels.arms, world.costs, strict=True))}
    seconds = {arm: ratio * np.exp(SPREAD * random.normal(size=REPEATS)) for arm, ratio in true.items()}
    return cost_ratios(seconds, dict.fromkeys(true, 1), ALPHA, "a simulated clock")


def judged(world, random, rule=RULE):
    """One study's finding of its claim."""
    gains = {"baseline": 0.0, **dict(zip(world.levels.arms, world.gains, strict=True)), **world.more}
    costs = timed(world, random) if world.costs else {}
    durations = DURATIONS if world.more else {}
    table = drawn(gains, random)
    return answer(world.claim, world.levels, table, rule, costs=costs, durations=durations)


def rate(world, sweeps, seed=11, state=Word.CONFIRM):
    random = np.random.default_rng([seed, round(1000 * abs(sum(world.gains)))])
    words = Counter(judged(world, random).state for _ in range(sweeps))
    return words[state] / sweeps


def allowed(share, sweeps, errors=3):
    return share + errors * math.sqrt(share * (1 - share) / sweeps)


LOW = -3.0
EDGES = {  # worlds in which the claim is false by a hair, named by the bound that they sit on
    "balanced: a rival gains the margin at the same time": batch(
        BALANCED, (LOW, math.log2(1.5) + DELTA, LOW, LOW)
    ),
    "quality: the claimed level gains nothing": batch(QUALITY, (LOW, 0.0, LOW, LOW)),
    "quality: a rival gains the margin over it": batch(QUALITY, (2.0 + DELTA, 2.0, LOW, LOW)),
    "speed: the claimed level saves a fifth and no more": batch(
        SPEED, (LOW, LOW, 0.0, LOW), (2.5, 1.5, 1 / 1.2, 0.4)
    ),
    "speed: it loses all that speed may cost": batch(SPEED, (LOW, LOW, -1.0, LOW), (2.5, 1.5, 0.7, 0.4)),
    "speed: a faster level loses no more than speed may cost": batch(
        SPEED, (LOW, LOW, 0.0, -1.0), (2.5, 1.5, 0.7, 0.4)
    ),
    "speed: a level is faster by a fifth more, and loses nothing": batch(
        SPEED, (LOW, LOW, 0.0, 0.0), (2.5, 1.5, 0.7, 0.7 / 1.2)
    ),
    "enough: a larger level gains the margin": World(
        claim=ENOUGH, levels=RANK, gains=(LOW, LOW, DELTA, 0.0), costs=(0.4, 0.6, 1.2, 1.4)
    ),
    "enough: the next lower level loses the margin and no more": World(
        claim=ENOUGH, levels=RANK, gains=(LOW, -DELTA, 0.0, 0.0), costs=(0.4, 0.6, 1.2, 1.4)
    ),
    "enough: the next lower level saves a fifth": World(
        claim=ENOUGH, levels=RANK, gains=(LOW, 0.0, 0.0, 0.0), costs=(0.4, 1 / 1.2, 1.2, 1.4)
    ),
    "enough: the next lower level loses the margin and saves a fifth, both by a hair": World(
        claim=ENOUGH, levels=RANK, gains=(LOW, -DELTA, 0.0, 0.0), costs=(0.4, 1 / 1.2, 1.2, 1.4)
    ),
    "minimum: the steps reach four fifths and no more": World(
        claim=MINIMUM, levels=STEPS, gains=(-60.0, -20.0, -5.0, 1.0)
    ),
}
POWERS = {  # worlds in which the claim is true, and how often it must be confirmed
    "balanced: the nearest rival gains 0.26 % at the same time": (
        batch(BALANCED, (LOW, math.log2(1.5) + 0.26, LOW, LOW)),
        0.55,
    ),
    "balanced: every rival lies below the curve": (batch(BALANCED, (0.5, 0.2, -0.6, -1.5)), 0.99),
    "quality: 0.8 % better, and half as large again gains 0.1 % more": (
        batch(QUALITY, (0.9, 0.8, LOW, LOW)),
        0.86,
    ),
    "speed: 0.6 % worse": (batch(SPEED, (LOW, LOW, -0.6, LOW), (2.5, 1.5, 0.7, 0.4)), 0.84),
    "enough: more gains nothing, less loses 1.5 %": (
        World(claim=ENOUGH, levels=RANK, gains=(LOW, -1.5, 0.0, 0.0), costs=(0.4, 0.6, 1.2, 1.4)),
        0.90,
    ),
    "minimum: 82 % of the gain": (World(claim=MINIMUM, levels=STEPS, gains=(-40.0, -18.0, -5.0, 1.0)), 0.99),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_claim_that_is_false_by_a_hair_is_confirmed_in_a_twentieth(name):
    assert rate(EDGES[name], FEW) <= allowed(ALPHA, FEW)


@pytest.mark.parametrize("name", POWERS)
def test_a_claim_that_is_true_is_confirmed_as_often_as_promised(name):
    world, promised = POWERS[name]
    assert rate(world, FEW) >= promised - (allowed(promised, FEW) - promised)


def test_a_rule_without_bounds_confirms_false_claims_too_often(monkeypatch):
    """The meta-test: the same studies must see a Student quantile of 0."""
    monkeypatch.setattr("bios_sweep.decision.contrasts.student", lambda alpha, nu: 0.0)
    monkeypatch.setattr("bios_sweep.decision.costs.student", lambda alpha, nu: 0.0)
    for name in EDGES:
        if EDGES[name].claim != MINIMUM:  # its bound is a paired one
            assert rate(EDGES[name], 60) > 0.2, name


def test_a_planned_contrast_does_not_pay_for_the_levels_beside_it(monkeypatch):
    """The meta-test of the power: with the correction for choosing, the speed claim misses its promise."""
    world, promised = POWERS["speed: 0.6 % worse"]
    monkeypatch.setattr(speed, "planned", lambda bound: bound)
    assert rate(world, FEW) < promised - 0.1


def test_larger_levels_beyond_the_knee_do_not_push_the_choice_to_the_end_of_the_grid():
    """Rank 64 and 128 gain the same: the candidate is 64 whichever was luckier."""
    world = World(claim=ENOUGH, levels=RANK, gains=(LOW, -2.0, 1.2, 1.2), costs=(0.4, 0.6, 1.2, 1.4))
    random = np.random.default_rng(5)
    best = Counter(judged(world, random).best for _ in range(FEW))
    assert best["lora_rank=64"] >= 0.98 * FEW, best


@pytest.mark.parametrize("gains", [(-4.0, -3.0, -1.0, -5.0), (-4.0, -3.0, -1.0, -2.0)])
def test_the_quality_claim_never_sends_a_level_that_is_better_than_64_and_worse_than_128(gains):
    random = np.random.default_rng(3)
    for _ in range(40):
        finding = judged(batch(QUALITY, gains), random)
        assert finding.state != Word.CANDIDATE or finding.test.value == 128


def test_the_optimum_rule_would_send_a_batch_size_to_the_largest_and_its_role_does_not():
    """At equal steps twice the batch is twice the data: better, and dearer. Only the role weighs both."""
    at_equal_steps = (-2.0, -1.0, 1.0, 1.9)
    costs = (0.62, 0.75, 1.5, 2.5)  # seconds of a step; 0.9 % and 1.9 % are bought by duration as well
    ignored = World(claim=OPTIMUM, levels=BATCH, gains=at_equal_steps, costs=costs, more={"wall": LOW})
    kept = World(
        claim=BALANCED,
        levels=BATCH,
        gains=at_equal_steps,
        costs=costs,
        more={"max_steps x0.5": -2.5, "max_steps x2": 1.8, "max_steps x4": 2.9},
    )
    random = np.random.default_rng(3)
    by_loss = Counter(judged(ignored, random).best for _ in range(50))
    by_role = Counter(judged(kept, random).state for _ in range(50))
    assert by_loss == {"batch_size=512": 50}
    assert by_role[Word.CONFIRM] >= 44, by_role
    assert not by_role[Word.CANDIDATE]


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """A fresh test at the truth where passing is an error. gains: default, rival and candidate, percent."""

    kind: str
    candidate: float
    rival: float = 0.0
    limit: float = 0.0


FRESH_EDGES = {
    "superior at no gain": Boundary(kind=SUPERIOR, candidate=0.0),
    "superior to another level than the default": Boundary(kind=SUPERIOR, candidate=0.8, rival=0.8),
    "not worse at the loss that is allowed": Boundary(kind=NOT_WORSE, candidate=-1.0, limit=1.0),
    "below at the limit": Boundary(kind=BELOW, candidate=DELTA, limit=DELTA),
    "below a loss": Boundary(kind=BELOW, candidate=-1.0, limit=-1.0),
    "share at four fifths": Boundary(kind=SHARE, candidate=-20.0, limit=0.8),
}


def refined_by(boundary, random, guards=()):
    """Whether fresh seeds refine."""
    table = drawn({"baseline": 0.0, "rival": boundary.rival, "new": boundary.candidate}, random, start=50)
    test = FreshTest(arm="new", over="rival", kind=boundary.kind, value=1, limit=boundary.limit)
    candidate = Finding(factor="any", state=Word.CANDIDATE, best="new", test=test)
    margin = Margin(percent=DELTA, absolute=0.01, gained=100.0)
    return judge_fresh(candidate, test, table, margin, ALPHA, guards).state == Word.REFINE


def fresh_rate(name, sweeps):
    random = np.random.default_rng([23, len(name)])
    return sum(refined_by(FRESH_EDGES[name], random) for _ in range(sweeps)) / sweeps


def guard_rate(loss, sweeps):
    """Share of studies that refine a candidate whose task score truly falls by `loss` percent, 1 allowed."""
    random = np.random.default_rng([29, round(100 * loss)])
    better = Boundary(kind=SUPERIOR, candidate=3.0)
    refined = 0
    for _ in range(sweeps):
        score = drawn({"baseline": 0.0, "rival": 0.0, "new": -loss}, random, untouched=None, start=50)
        refined += refined_by(
            better, random, (Guard(keeps=Companion(metric=score.metric, margin_percent=1.0), table=score),)
        )
    return refined / sweeps


@pytest.mark.parametrize("name", FRESH_EDGES)
def test_fresh_seeds_refine_at_their_boundary_in_at_most_a_twentieth(name):
    assert fresh_rate(name, 2 * FEW) <= allowed(ALPHA, 2 * FEW)


def test_a_guardrail_that_is_crossed_by_a_hair_lets_a_twentieth_pass():
    assert guard_rate(1.0, 2 * FEW) <= allowed(ALPHA, 2 * FEW)
    assert guard_rate(0.0, FEW) >= 0.98  # and it does not stop what loses nothing


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_role_claims_keep_their_error_rates_and_power_in_many_studies():
    found = {name: rate(world, MANY) for name, world in EDGES.items()}
    powers = {name: (rate(world, MANY), promised) for name, (world, promised) in POWERS.items()}
    fresh = {name: fresh_rate(name, MANY) for name in FRESH_EDGES} | {"guardrail": guard_rate(1.0, MANY)}
    for name, share in (found | fresh).items():
        print(f"\n{name:62} {share:.4f}", end="")
    for name, (share, promised) in powers.items():
        print(f"\n{name:62} {share:.4f} (promised {promised})", end="")
    for name, share in (found | fresh).items():
        assert share <= allowed(ALPHA, MANY), name
    for name, (share, promised) in powers.items():
        assert share >= promised - (allowed(promised, MANY) - promised), name
