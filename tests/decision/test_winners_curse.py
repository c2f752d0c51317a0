"""Why a search's winner meets the default once more: its own score is the luckiest of forty.

Each repetition plants a quadratic with noise comparable to the effect to be found, searches 40 proposals at
one seed (paired with the baseline at that seed), takes the best to fresh seeds and notes three numbers:
what the search saw, what the fresh seeds say, and the truth, all in percent of the baseline's loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from bios_sweep.decision.bounds import paired_bound
from bios_sweep.decision.table import Blocks
from bios_sweep.execution.optuna_search import OptunaSearch
from bios_sweep.study.scenario import Metric
from bios_sweep.study.search import SearchRange, SearchSpace

DEFAULT = {"learning_rate": 2e-4, "lora_rank": 32}
SPACE = SearchSpace(
    ranges=(SearchRange.within("learning_rate", 1e-4, 8e-4), SearchRange.within("lora_rank", 8, 64)),
    starts=(DEFAULT,),
)
LOSS = 2.0
PROPOSALS = 40
FRESH_SEEDS = 5
MARGIN = 0.5  # percent
ALPHA = 0.05


def expected_loss(values):
    """Lowest at learning rate 4e-4 and rank 24, where it is 1.04 % below the default's."""
    rate = math.log2(values["learning_rate"] / 4e-4)
    rank = math.log2(values["lora_rank"] / 24)
    return LOSS * (1 + 0.01 * (rate**2 - 1) + 0.002 * rank**2)


class World:
    """Losses of settings at seeds: truth, a shift that a seed's trials share, and noise per trial.

    The same settings at the same seed give the same loss, as training does.
    """

    def __init__(self, repetition, noise_percent):
        self._random = np.random.default_rng([20, repetition])
        self._noise = LOSS * noise_percent / 100
        self._shifts, self._losses = {}, {}

    def loss(self, values, seed):
        if seed not in self._shifts:
            self._shifts[seed] = 0.02 * self._random.standard_normal()
        trial = (*sorted(values.items()), seed)
        if trial not in self._losses:
            noise = self._noise * self._random.standard_normal()
            self._losses[trial] = expected_loss(values) + self._shifts[seed] + noise
        return self._losses[trial]

    def gains(self, values, seeds):
        """Shape (S,), as the analysis computes them: percent of the baseline's mean, paired by seed."""
        losses = [[self.loss(arm, seed) for seed in seeds] for arm in (DEFAULT, values)]
        blocks = Blocks(
            arms=("baseline", "winner"), seeds=seeds, values=np.array(losses), dropped=(), metric=Metric()
        )
        return blocks.gains()[0]


@dataclass(frozen=True, kw_only=True)
class Winner:
    searched: float
    fresh: float
    reused: float  # as `fresh`, but one of the seeds is the one that chose the winner
    truth: float
    refined: bool  # the fresh seeds pass: lower bound above 0, estimate at least the margin


def winner_of(repetition, noise_percent):
    """One search by Optuna, its best proposal, and that proposal on fresh seeds."""
    world = World(repetition, noise_percent)
    search = OptunaSearch(
        None, name="curse", space=SPACE, worst=(-20.0,), directions=("maximize",), seed=repetition
    )
    tried = {}
    for _ in range(PROPOSALS):
        (proposal,) = search.ask(1)
        tried[proposal.number] = (float(world.gains(proposal.values, (0,))[0]), proposal.values)
        search.tell(proposal.number, tried[proposal.number][:1])
    searched, values = max(tried.values(), key=lambda one: one[0])
    seeds = tuple(range(100, 100 + FRESH_SEEDS))
    bound = paired_bound("winner", world.gains(values, seeds), ALPHA)
    return Winner(
        searched=searched,
        fresh=bound.gain,
        reused=float(world.gains(values, (0, *seeds[1:])).mean()),
        truth=100 * (1 - expected_loss(values) / expected_loss(DEFAULT)),
        refined=bound.lower > 0 and bound.gain >= MARGIN,
    )


def bias(winners, kind):
    """(mean error of an estimate, its standard error), percent of the baseline's loss."""
    errors = np.array([getattr(one, kind) - one.truth for one in winners])
    return errors.mean(), errors.std(ddof=1) / math.sqrt(len(errors))


STRONG = 0.35  # noise per trial, percent: the fresh seeds show 9 of 10 winners to be better
WEAK = 0.7  # the noise of a paired gain is the effect itself: they show 4 of 10


def unbiased(winners, kind="fresh"):
    mean, error = bias(winners, kind)
    return abs(mean) <= 3 * error


def flattered(winners, kind="searched"):
    mean, error = bias(winners, kind)
    return mean > 3 * error


def test_the_winners_score_flatters_it_and_fresh_seeds_do_not():
    winners = [winner_of(repetition, WEAK) for repetition in range(20)]
    assert flattered(winners)
    assert not unbiased(winners, "searched")
    assert unbiased(winners)
    assert np.mean([winner.truth for winner in winners]) > MARGIN  # and yet it finds something real


def test_the_reported_effect_of_refined_winners_is_unbiased_where_the_fresh_seeds_are_enough():
    winners = [winner_of(repetition, STRONG) for repetition in range(20)]
    refined = [winner for winner in winners if winner.refined]
    assert len(refined) >= 15
    assert flattered(refined)
    assert unbiased(refined)


@pytest.mark.slow
@pytest.mark.parametrize("noise_percent", [STRONG, WEAK])
def test_the_winners_curse_in_full(noise_percent):
    """Also that one reused seed in five flatters again, and the limit of the claim.

    Over all winners that met the default the fresh estimate is unbiased. Over those shown better it is so
    only where nearly all of them are: those that pass a weak test are the lucky ones once more.
    """
    winners = [winner_of(repetition, noise_percent) for repetition in range(400)]
    assert flattered(winners)
    assert unbiased(winners)
    assert flattered(winners, "reused")
    refined = [winner for winner in winners if winner.refined]
    assert unbiased(refined) == (noise_percent == STRONG)
