"""`rehearse` says what the rules say: held within two points against rules written anew in numpy.

Each rule is also broken once, in numpy, to see that the comparison would notice.
"""

from __future__ import annotations

import numpy as np
import pytest

from bios_sweep.procedure.machine import state_of
from bios_sweep.rehearsal.chances import SEED, rehearse
from bios_sweep.rehearsal.evaluation import Evaluation
from bios_sweep.rehearsal.noise import stated_noise
from bios_sweep.rehearsal.world import Draws, World, possible_trials
from bios_sweep.study.stages import confirmation_seeds
from bios_sweep.vocabulary import Word
from tests.decision import simulated_clusters
from tests.decision.simulated import DELTA
from tests.rehearsal import in_numpy
from tests.rehearsal.test_rehearsal import LITTLE, MARGIN, MUCH, plan_of

POINTS = 0.02
SWEEPS, FEW, NUMPY = 3000, 60, 20_000
DRAWN = range(7, 12)  # seeds of as many draws of the numpy rule's evaluation sets
EFFECTS = (0.0, 1.0, 2.0)
LADDER = "sweeps.factors.batch_size.multiply=[0.25,0.5,2,4]"
CLUSTERS = ((6, 0.2), (30, 0.3))  # how many, and what another set moves a gain by, percent


def rehearsed(sweep, noise, sweeps, *words, looks=(5,), effects=EFFECTS, evaluation=None):
    """(claim or factor, effect) -> shares of confirm and refine."""
    plan = plan_of(*MARGIN, f"decision.looks=[{','.join(map(str, looks))}]", *words, sweep=sweep)
    rows = rehearse(plan, stated_noise(noise), evaluation=evaluation, sweeps=sweeps, effects=effects)
    found = {}
    for row in rows:
        name = row.question.factor if sweep == "batch_size_retuned" else row.question.claim.name
        found[name, row.effect] = {"confirm": row.confirm.value, "refine": row.refine.value}
    return found


def clustered(effect, count, error, looks, noise, drawn=DRAWN[:1], **rule):
    """The optimum over evaluation sets, in numpy. error: of a gain, which is a difference of two arms."""
    world = simulated_clusters.World(
        gains=(0.0, effect * DELTA, 0.0, 0.0), count=count, cluster=error * (count / 2) ** 0.5, looks=looks,
        sigma=noise,
    )  # fmt: skip
    words = [simulated_clusters.words(world, NUMPY, seed=seed, **rule) for seed in drawn]
    return {name: float(np.mean([getattr(one, name) for one in words])) for name in ("confirm", "refine")}


def set_of(count, error):
    return Evaluation(clusters=count, percent=error, source="given")


def with_clusters(count):
    return (f"model.planted.clusters={count}", "model.planted.cluster_noise_percent=0.5")


def agree(found, expected, within):
    for word in ("confirm", "refine"):
        assert found[word] == pytest.approx(expected[word], abs=within), word


def within(share, sweeps):
    """Four standard errors of a rehearsal of so many sweeps."""
    return 4 * max(share * (1 - share), 1 / sweeps) ** 0.5 / sweeps**0.5


def near(found, expected, sweeps):
    return all(abs(found[word] - expected[word]) <= within(expected[word], sweeps) for word in found)


# --- a few sweeps of each


def test_the_claims_of_a_batch_size_come_out_as_often_as_their_rules_say():
    found = rehearsed("batch_size", LITTLE, FEW, effects=(1.0,))
    expected = in_numpy.batch_sizes(1.0, LITTLE, 4000)
    for claim, shares in expected.items():
        assert near(found[claim, 1.0], shares, FEW), claim


def test_a_rank_comes_out_as_enough_as_often_as_its_rule_says():
    found = rehearsed("capacity", MUCH, FEW, effects=(1.0,))
    assert near(found["enough", 1.0], in_numpy.ranks(1.0, MUCH, 4000), FEW)


def test_the_error_of_the_evaluation_set_leaves_a_study_as_open_as_it_would():
    count, error = CLUSTERS[0]
    words = with_clusters(count)
    found, without = (
        rehearsed("learning_rate", LITTLE, FEW, *words, effects=(0.0,), evaluation=one)["optimum", 0.0]
        for one in (set_of(count, error), None)
    )
    assert near(found, clustered(0.0, count, error, (5,), LITTLE), FEW)
    assert without["confirm"] > found["confirm"] + 0.3


class TheSameDraws:
    """A world of the numpy rule that is made of a rehearsal's own draws."""

    gains, fresh, ordered = (0.0,) * 4, 5, True

    def __init__(self, plan, draws, evaluation):
        """draws: one rehearsed sweep each."""
        self.count, self.looks = evaluation.clusters, plan.study.decision.looks
        default, *levels = plan.arms
        arms = [default, *sorted(levels, key=lambda arm: arm.level)]
        self.names = [arm.name for arm in arms[1:]]

        def values(seeds):
            """(sweeps, arms, seeds), the loss without the evaluation set's own part."""
            gains = np.array([[one._row(arm.settings, 0) for arm in arms] for one in draws])
            return 2 * (1 - gains[:, :, [draws[0]._column[seed] for seed in seeds]] / 100)

        deviations = np.array([[-one._deviation(arm.settings, 0) for arm in arms] for one in draws])
        shown = values(plan.study.seeds), values(confirmation_seeds(plan.study))
        self.drawn = lambda sweeps, seed: (np.ones((sweeps, self.count)), deviations, *shown)


def told_apart(sweeps, count, error, looks):
    """Sweeps that `rehearse` and the numpy rule call otherwise by the same trials, and those that refine."""
    plan = plan_of(*MARGIN, f"decision.looks=[{','.join(map(str, looks))}]", *with_clusters(count))
    evaluation, trials = set_of(count, error), possible_trials(plan)
    planted = next(arm for arm in plan.arms if arm.name == "learning_rate x2")
    world = World(
        baseline=plan.study.baseline, factor="learning_rate", planted=planted, effect=2 * DELTA, margin=DELTA,
        gained=50.0,
    )  # fmt: skip
    draws = [
        Draws(plan, trials, world, stated_noise(LITTLE), (SEED, number), evaluation)
        for number in range(sweeps)
    ]
    found = [next(iter(ended(plan, one).findings.values())) for one in draws]
    same = TheSameDraws(plan, draws, evaluation)
    words = simulated_clusters.words(same, sweeps)
    refined = np.array([one.state == Word.REFINE for one in found])
    other = [one.best != same.names[level] for one, level in zip(found, words.chosen, strict=True)]
    return int(((refined != words.refined) | (refined & other)).sum()), int(refined.sum())


def ended(plan, draws):
    state = state_of(plan, draws, draws.known())
    while state.missing:
        draws.run(state.missing)
        state = state_of(plan, draws, draws.known())
    return state


@pytest.mark.parametrize("looks", [(5,), pytest.param((3, 5, 8), marks=pytest.mark.slow)])
def test_every_rehearsed_sweep_over_clusters_gets_the_word_of_the_rule(looks):
    apart, refined = told_apart(FEW, 30, 0.3, looks)
    assert apart == 0
    assert refined > FEW / 3


@pytest.mark.parametrize("claim", in_numpy.JUDGES)
def test_a_claim_by_a_broken_rule_would_not_agree(claim):
    """The meta-test: upper and lower bounds without their width, where the claim is at its boundary."""
    effect = {"balanced": 1.0, "quality": 0.0, "speed": 0.0}[claim]
    right, broken = (in_numpy.batch_sizes(effect, MUCH, 4000, alpha=alpha)[claim] for alpha in (0.05, 0.5))
    assert max(abs(right[word] - broken[word]) for word in right) > 3 * POINTS


def test_a_rank_a_ladder_and_clusters_by_broken_rules_would_not_agree():
    """The other meta-test: bounds without their width, of a ladder almost; clusters that nobody counts."""
    none = {"lean": lambda own, others, freedom: (0.0 * own, freedom)}
    pairs = (
        (in_numpy.ranks(1.0, MUCH, 4000), in_numpy.ranks(1.0, MUCH, 4000, alpha=0.5)),
        (
            in_numpy.retuned(0.0, LITTLE, 2000),
            in_numpy.retuned(0.0, LITTLE, 2000, looks=0.1),
        ),
        (clustered(0.0, 6, 0.2, (5,), LITTLE), clustered(0.0, 6, 0.2, (5,), LITTLE, **none)),
    )
    for right, broken in pairs:
        assert max(abs(right[word] - broken[word]) for word in right) > 3 * POINTS


# --- many


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("noise", [LITTLE, MUCH])
def test_the_claims_of_a_batch_size_agree_within_two_points(noise):
    found = rehearsed("batch_size", noise, SWEEPS)
    for effect in EFFECTS:
        for claim, expected in in_numpy.batch_sizes(effect, noise, NUMPY).items():
            shown(claim, noise, effect, found[claim, effect], expected)
            agree(found[claim, effect], expected, POINTS)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("noise", [LITTLE, MUCH])
def test_a_rank_that_is_enough_agrees_within_two_points(noise):
    found = rehearsed("capacity", noise, SWEEPS)
    for effect in EFFECTS:
        expected = in_numpy.ranks(effect, noise, NUMPY)
        shown("enough", noise, effect, found["enough", effect], expected)
        agree(found["enough", effect], expected, POINTS)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("noise", [LITTLE, MUCH])
def test_levels_with_a_ladder_agree_within_two_points(noise):
    found = rehearsed("batch_size_retuned", noise, SWEEPS, LADDER)
    for effect in EFFECTS:
        expected = in_numpy.retuned(effect, noise, NUMPY)
        shown("ladder", noise, effect, found["batch_size", effect], expected)
        agree(found["batch_size", effect], expected, POINTS)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("looks", [(5,), (3, 5, 8)])
@pytest.mark.parametrize(("count", "error"), CLUSTERS)
def test_studies_that_count_clusters_agree_within_two_points(count, error, looks):
    words = with_clusters(count)
    found = rehearsed("learning_rate", LITTLE, SWEEPS, *words, looks=looks, evaluation=set_of(count, error))
    for effect in EFFECTS:
        expected = clustered(effect, count, error, looks, LITTLE, DRAWN)
        shown(f"{count} clusters, looks {looks}", LITTLE, effect, found["optimum", effect], expected)
        agree(found["optimum", effect], expected, POINTS)


def shown(what, noise, effect, found, expected):
    cells = (f"{found[word]:.3f} | {expected[word]:.3f}" for word in ("confirm", "refine"))
    print(f"\n| {what} | {noise} | {effect:g} | {' | '.join(cells)} |", end="")
