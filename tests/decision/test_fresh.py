"""The test on fresh seeds: each kind on both sides of its bound, guardrails, and what goes wrong."""

from __future__ import annotations

import math

import pytest

from bios_sweep.claims import CLAIMS
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
from bios_sweep.decision.fresh import (
    KEEP_CLAIMED,
    NOT_REPLICATED,
    SIZE_OPEN,
    TOO_SMALL,
    Guard,
    judge_fresh,
)
from bios_sweep.decision.sentences import sentence
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.study.companions import Companion
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status, Word
from tests.texts import texts

BALANCED, ENOUGH, MINIMUM, QUALITY, SPEED = (
    CLAIMS[name] for name in ("balanced", "enough", "minimum", "quality", "speed")
)

LOSS, UNTOUCHED = 2.0, 4.0
MARGIN = Margin(percent=0.5, absolute=0.01, gained=100.0)
SEEDS = (50, 51, 52, 53, 54)
WOBBLE = {"baseline": (1, -1, 0, 1, -1), "rival": (0, 1, -1, -1, 1), "new": (-1, 0, 1, 1, -1)}
BATCH = FactorLevels(name="batch_size", default=128, arms=("new",), levels=(64,), labels=("64",))


def table(noise=0.05, metric=None, hardware=(), untouched=UNTOUCHED, **gains):
    """Fresh losses of the default, a rival and the candidate; gains in percent over the default."""
    metric = metric or Metric()
    outcomes = {}
    for arm, pattern in WOBBLE.items():
        for seed, wobble in zip(SEEDS, pattern, strict=True):
            percent = gains.get(arm, 0.0) + noise * wobble
            value = LOSS * (1 + metric.sign * percent / 100)
            outcomes[arm, seed] = Outcome(status=Status.COMPLETED, value=value)
    return ResultTable(
        arms=tuple(WOBBLE),
        seeds=SEEDS,
        outcomes=outcomes,
        metric=metric,
        untouched=untouched,
        hardware=hardware,
    )


def ending(results, arm, *seeds, status=Status.FAILED):
    """The table with some trials that ended otherwise."""
    changed = {(arm, seed): Outcome(status=status) for seed in seeds}
    return ResultTable(
        arms=results.arms,
        seeds=results.seeds,
        outcomes={**results.outcomes, **changed},
        metric=results.metric,
        untouched=results.untouched,
    )


def asked(kind, limit=0.0, duration=None, value=64, over="rival"):
    return FreshTest(arm="new", over=over, kind=kind, value=value, limit=limit, duration=duration)


def judge(test, results, guards=()):
    candidate = Finding(factor="batch_size", state=Word.CANDIDATE, best="new", test=test, seeds=(0, 1, 2))
    return judge_fresh(candidate, test, results, MARGIN, 0.05, guards)


def test_a_better_level_refines_by_its_gain_over_its_rival_not_over_the_default():
    found = judge(asked(SUPERIOR), table(rival=1.0, new=2.0))
    assert (found.state, found.value, found.seeds) == (Word.REFINE, 64, SEEDS)
    assert found.bound.gain == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("gain", "noise", "reason"),
    [
        (0.0, 0.05, NOT_REPLICATED(then=KEEP_CLAIMED())),
        (0.3, 0.05, TOO_SMALL(then=KEEP_CLAIMED())),
        (0.4, 0.15, SIZE_OPEN()),
        (0.8, 2.0, NOT_REPLICATED(then=KEEP_CLAIMED())),
    ],
)
def test_what_is_not_shown_better_by_the_margin_is_inconclusive(gain, noise, reason):
    found = judge(asked(SUPERIOR), table(noise=noise, new=gain))
    assert (found.state, found.reasons) == (Word.INCONCLUSIVE, (reason,))


@pytest.mark.parametrize(
    ("kind", "limit", "passes", "fails", "reason"),
    [
        (NOT_WORSE, 1.0, -0.8, -1.0, "a loss of 1.00 % is not excluded"),
        (BELOW, 0.5, 0.3, 0.5, "a gain of 0.50 % is not excluded"),
        (BELOW, -1.0, -1.2, -1.0, "a loss of less than 1.00 % is not excluded"),
        (SHARE, 0.8, -19.0, -20.0, "80% of the gain is not shown"),
    ],
)
def test_a_bound_passes_its_limit_or_the_reason_says_which(kind, limit, passes, fails, reason):
    test = asked(kind, limit)
    assert judge(test, table(new=passes)).state == Word.REFINE
    failed = judge(test, table(new=fails))
    assert (failed.state, texts(failed.reasons)) == (Word.INCONCLUSIVE, (reason,))


def test_a_share_needs_the_untouched_model():
    assert judge(asked(SHARE, 0.8), table(new=5.0, untouched=None)).state == Word.INCONCLUSIVE


def test_against_the_default_at_the_same_cost_the_gain_is_the_iso_cost_one():
    found = judge(asked(SUPERIOR, duration=1.5), table(rival=0.5, new=1.5))
    assert found.iso == found.bound
    assert judge(asked(SUPERIOR), table(new=1.5)).iso is None


@pytest.mark.parametrize(
    ("arm", "who"), [("baseline", "the default"), ("rival", "rival"), ("new", "the candidate")]
)
def test_divergence_of_any_arm_of_the_test_ends_it(arm, who):
    results = ending(table(rival=0.5, new=2.0), arm, 51, status=Status.DIVERGED)
    found = judge(asked(SUPERIOR), results)
    assert (found.state, texts(found.reasons)) == (Word.INCONCLUSIVE, (f"{who} diverged on a fresh seed",))


def test_one_lost_seed_is_dropped_and_two_are_too_many():
    one = judge(asked(SUPERIOR), ending(table(new=2.0), "rival", 51))
    assert (one.state, one.seeds) == (Word.REFINE, (50, 52, 53, 54))
    two = judge(asked(SUPERIOR), ending(table(new=2.0), "rival", 51, 52))
    assert texts(two.reasons) == ("2 of 5 fresh seeds are missing (failed trials)",)


def test_mixed_hardware_ends_it():
    found = judge(asked(SUPERIOR), table(new=2.0, hardware=("a", "b")))
    assert texts(found.reasons) == ("the trials ran on different hardware (a, b)",)


SCORE = Metric(name="score", direction="maximize", unit="")


def guarded(score, test=None, loss=2.0, **margin):
    """A candidate that is better by the loss, and beside it a task score that may lose 1 %, or as said."""
    return judge(
        test or asked(SUPERIOR),
        table(new=loss),
        (Guard(keeps=Companion(metric=score.metric, **(margin or {"margin_percent": 1.0})), table=score),),
    )


def test_a_guardrail_that_is_kept_lets_the_refinement_through():
    assert guarded(table(metric=SCORE, new=-0.5)).state == Word.REFINE


def test_a_guardrail_that_is_not_shown_to_be_kept_stops_it_and_says_by_how_much():
    found = guarded(table(metric=SCORE, new=-1.0))
    assert found.state == Word.INCONCLUSIVE
    assert texts(found.reasons)[0].startswith("guardrail score: -1.00 % (lower bound -1.")
    assert texts(found.reasons)[0].endswith("a loss of 1 % is not excluded")


def test_a_margin_in_points_or_in_the_metric_s_own_unit_is_told_so():
    """The metric's level is 2, so that it is no share in [0, 1]: a point is 1, and 0.04 are 2 %."""
    lost = table(metric=SCORE, new=-1.0)
    assert guarded(lost, margin_points=1).state == Word.REFINE
    assert guarded(lost, margin_absolute=0.04).state == Word.REFINE
    in_points, own = (guarded(lost, **one) for one in ({"margin_points": 0.01}, {"margin_absolute": 0.01}))
    assert texts(in_points.reasons)[0].startswith("guardrail score: -0.02 points (lower bound -0.02 points)")
    assert texts(own.reasons)[0].startswith("guardrail score: -0.02 (lower bound -0.0212)")
    assert texts(own.reasons)[0].endswith("a loss of 0.01 is not excluded")


def test_the_direction_of_a_guardrail_counts():
    """A score that rises is no loss, a forgetting that rises is."""
    assert guarded(table(metric=SCORE, new=3.0)).state == Word.REFINE
    forgetting = Metric(name="general_loss", unit="")
    assert guarded(table(metric=forgetting, new=-3.0)).state == Word.INCONCLUSIVE


@pytest.mark.parametrize(
    ("metric", "lost", "state"),
    [
        ("toxicity", 0.0, Word.REFINE),
        ("toxicity", 0.004, Word.INCONCLUSIVE),
        ("accuracy", 0.004, Word.REFINE),
    ],
)
def test_a_percent_of_a_guardrail_whose_default_is_0_allows_no_loss(metric, lost, state):
    """But of a share, whose percents are points then: an accuracy of 0 everywhere has nothing to lose."""
    judged = Metric(name=metric, direction="maximize" if metric == "accuracy" else "minimize", unit="")
    values = {"baseline": 0.0, "rival": 0.0, "new": lost}
    outcomes = {
        (arm, seed): Outcome(status=Status.COMPLETED, value=value * (1 + place / 10))
        for arm, value in values.items()
        for place, seed in enumerate(SEEDS)
    }
    found = guarded(
        ResultTable(arms=tuple(values), seeds=SEEDS, outcomes=outcomes, metric=judged, untouched=None)
    )
    assert found.state == state
    if state == Word.INCONCLUSIVE:
        assert texts(found.reasons)[0].startswith(
            "guardrail toxicity: its mean is 0 with the default, and 1 %"
        )


@pytest.mark.parametrize("arm", ["baseline", "new"])
def test_a_guardrail_without_numbers_was_not_measured(arm):
    score = table(metric=SCORE)
    nothing = {(arm, seed): Outcome(status=Status.COMPLETED, value=math.nan) for seed in SEEDS}
    score = ResultTable(
        arms=score.arms, seeds=SEEDS, outcomes={**score.outcomes, **nothing}, metric=SCORE, untouched=None
    )
    found = guarded(score)
    assert texts(found.reasons) == ("guardrail score: it was not measured on these seeds",)


def test_an_arm_that_is_turned_down_needs_to_keep_no_guardrail():
    """Serving the default instead of 64 cannot fail by what 64 does to a score."""
    test = asked(BELOW, 0.5, value=128, over="baseline")
    assert guarded(table(metric=SCORE, new=-9.0), test, loss=0.0).state == Word.REFINE


@pytest.mark.parametrize(
    ("claim", "test", "gain", "words"),
    [
        (ENOUGH, asked(SUPERIOR), 2.0, "use 64 instead of 128: better by 2.00 % (95 % lower bound +1.9"),
        (
            BALANCED,
            asked(SUPERIOR, duration=1.5),
            2.0,
            "better than the default trained for the same time by 2.00 %",
        ),
        (ENOUGH, asked(NOT_WORSE, 0.5), 0.0, "(less than 0.50 % is lost)"),
        (QUALITY, asked(BELOW, 0.5, value=128), 0.0, "use 128 instead of 64: 64 buys nothing that matters"),
        (SPEED, asked(BELOW, -1.0, value=128), -2.0, "256 costs more loss than speed may (-2.00 %"),
        (MINIMUM, asked(SHARE, 0.8), 0.0, "64 steps reach 80% of the default's gain"),
    ],
)
def test_a_refinement_says_what_was_shown_and_on_which_seeds(claim, test, gain, words):
    found = judge(test, table(new=gain))
    said = sentence(claim, found.state, BATCH, found, MARGIN, 0.95)
    assert found.state == Word.REFINE
    assert words in said
    assert "on 5 fresh seeds not used to choose it" in said
