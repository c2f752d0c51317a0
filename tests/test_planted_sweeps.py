"""Sweeps with a planted truth, through the command line's own entry: the right word, and no worse default.

Each class plants one truth about one claim, so plainly that a sweep of five seeds and five fresh ones can
tell it. The normal run takes a few sweeps per class; the slow one takes a hundred and prints the words.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass

import pytest

import bios_sweep
from bios_sweep.cli.main import main

CONFIRM, REFINE = "confirm", "refine"
FEW, MANY = 2, int(os.environ.get("BIOS_SWEEP_PLANTED", "100"))
QUIET = (
    "model=planted",
    "cluster=inline",
    "tracking=none",
    "seeds=[0,1,2,3,4]",
    "decision.confirmation_seeds=5",
    "budget.max_steps=1000",
    "baseline.learning_rate=5e-4",
    "budget.measurements=1",
    "model.planted.noise_percent=0.1",
)
RATE = ("sweeps=learning_rate",)
RANK = ("sweeps=capacity",)  # the default is 32
BATCH = ("sweeps=batch_size",)  # the default is 128
STEPS = ("sweeps=duration", "sweeps.factors.max_steps.multiply=[0.25,0.5,2,4]")  # the default is 1000
FEWEST = (
    "sweeps=duration",
    "~sweeps.factors.max_steps.multiply",
    "+sweeps.factors.max_steps.values={levels}",
)
SMALLER = "sweeps.factors.batch_size.multiply=[0.125,0.25,0.5,2]"


def truth(**places):
    """Overrides of the planted truth: `setting__number=value`."""
    return tuple(f"model.planted.truth.{name.replace('__', '.')}={value}" for name, value in places.items())


def minimum(gain, levels="[50,100,250,2000]"):
    """`gain` percent are lost per halving of the steps below 1000, of the 50 % that training gains."""
    return (*FEWEST[:2], FEWEST[2].format(levels=levels), *truth(examples__gain=gain))


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A truth: the words that plant it, the claim that is asked, and the verdict that is right."""

    words: tuple[str, ...]
    claim: str
    verdict: str
    level: float


CLASSES = {
    "the learning rate is right": Planted(
        words=(*RATE, *truth(learning_rate__optimum=5e-4)), claim="optimum", verdict=CONFIRM, level=5e-4
    ),
    "the learning rate is low by two": Planted(
        words=(*RATE, *truth(learning_rate__optimum=1e-3)), claim="optimum", verdict=REFINE, level=1e-3
    ),
    "the learning rate is high by two": Planted(
        words=(*RATE, *truth(learning_rate__optimum=2.5e-4)), claim="optimum", verdict=REFINE, level=2.5e-4
    ),
    "the rank is enough": Planted(words=RANK, claim="enough", verdict=CONFIRM, level=32),
    "the rank is too small": Planted(
        words=(*RANK, *truth(lora_rank__knee=64)), claim="enough", verdict=REFINE, level=64
    ),
    "the steps are enough": Planted(words=STEPS, claim="enough", verdict=CONFIRM, level=1000),
    "the steps are too few": Planted(
        words=(*STEPS, *truth(examples__knee=256000)), claim="enough", verdict=REFINE, level=2000
    ),
    "half the steps would do": Planted(
        words=(*STEPS, *truth(examples__knee=64000)), claim="enough", verdict=REFINE, level=500
    ),
    "the batch is balanced": Planted(words=BATCH, claim="balanced", verdict=CONFIRM, level=128),
    "a smaller batch buys more than time": Planted(
        words=(*BATCH, *truth(batch_size__critical=64, batch_size__cost=1.2)),
        claim="balanced",
        verdict=REFINE,
        level=64,
    ),
    "a larger batch saves time at no loss": Planted(
        words=(*BATCH, *truth(batch_size__critical=256, examples__gain=2.5)),
        claim="balanced",
        verdict=REFINE,
        level=256,
    ),
    "half the batch has the best loss": Planted(
        words=(*BATCH, *truth(batch_size__critical=64)), claim="quality", verdict=CONFIRM, level=64
    ),
    "half the batch buys nothing": Planted(words=BATCH, claim="quality", verdict=REFINE, level=128),
    "a quarter of the batch has the best loss": Planted(
        words=(*BATCH, SMALLER, *truth(batch_size__critical=32, batch_size__cost=1.0)),
        claim="quality",
        verdict=REFINE,
        level=32,
    ),
    "twice the batch saves time at little loss": Planted(
        words=(*BATCH, "model.planted.t0_seconds=0.3", *truth(batch_size__cost=0.65)),
        claim="speed",
        verdict=CONFIRM,
        level=256,
    ),
    "four times the batch saves yet more": Planted(
        words=(*BATCH, "model.planted.t0_seconds=0.3", *truth(batch_size__critical=512)),
        claim="speed",
        verdict=REFINE,
        level=512,
    ),
    "twice the batch saves no time": Planted(
        words=(*BATCH, "model.planted.t0_seconds=0.001"), claim="speed", verdict=REFINE, level=128
    ),
    "twice the batch loses too much": Planted(
        words=(*BATCH, *truth(batch_size__cost=2.0)), claim="speed", verdict=REFINE, level=128
    ),
    "100 steps are the minimum": Planted(words=minimum(2.6), claim="minimum", verdict=CONFIRM, level=100),
    "50 steps would do": Planted(words=minimum(2.0), claim="minimum", verdict=REFINE, level=50),
    "100 steps are too few": Planted(words=minimum(4.0), claim="minimum", verdict=REFINE, level=250),
}


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch):
    """Drawing takes four fifths of such a sweep and decides nothing."""
    monkeypatch.setattr("bios_sweep.report.text.publish.figures_of", lambda summary: ())


def answer(planted, noise_seed, folder):
    """(verdict, level) of one sweep."""
    words = (*planted.words, *QUIET, f"model.planted.noise_seed={noise_seed}", f"workspace={folder}")
    assert main(["run", *words]) == 0
    verdicts = bios_sweep.open(folder).verdicts
    told = next(verdict for verdict in verdicts if verdict.claim == planted.claim)
    return told.verdict, told.best_level


def answers(planted, sweeps, folder):
    return Counter(answer(planted, number, folder / str(number)) for number in range(sweeps))


def refined_elsewhere(planted, found):
    """Refinements towards a level that the truth does not want."""
    right = (REFINE, pytest.approx(planted.level))
    return {told: count for told, count in found.items() if told[0] == REFINE and told != right}


def right_words(planted, found):
    wanted = (planted.verdict, pytest.approx(planted.level))
    return sum(count for told, count in found.items() if told == wanted)


@pytest.mark.parametrize("name", CLASSES)
def test_a_planted_truth_is_found_and_no_default_moves_to_a_worse_one(name, tmp_path, capsys):
    planted = CLASSES[name]
    found = answers(planted, FEW, tmp_path)
    assert not refined_elsewhere(planted, found), found
    assert right_words(planted, found) >= FEW - 1, found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CLASSES)
def test_a_planted_truth_is_found_in_95_of_100_sweeps(name, tmp_path, capsys):
    planted = CLASSES[name]
    found = answers(planted, MANY, tmp_path)
    with capsys.disabled():
        print(f"\n{name:45} {right_words(planted, found):3} of {MANY} right; {dict(found)}")
    assert not refined_elsewhere(planted, found), found
    assert right_words(planted, found) >= 0.95 * MANY, found


RETUNED = Planted(  # every batch size is as good as the other, the learning rate is low by two
    words=("sweeps=batch_size_retuned", *truth(batch_size__cost=0.0, learning_rate__optimum=1e-3)),
    claim="optimum",
    verdict=CONFIRM,
    level=128,
)


def batch_refinements(sweeps, folder):
    found = answers(RETUNED, sweeps, folder)
    return found, sum(count for told, count in found.items() if told[0] == REFINE)


def test_a_learning_rate_that_is_low_by_two_does_not_move_the_batch_size(tmp_path, capsys):
    found, refined = batch_refinements(FEW, tmp_path)
    assert not refined, found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_low_learning_rate_moves_the_batch_size_in_at_most_1_of_100_sweeps(tmp_path, capsys):
    found, refined = batch_refinements(MANY, tmp_path)
    with capsys.disabled():
        print(f"\nlearning rate low by two, batch re-tuned: {dict(found)}")
    assert refined <= 0.01 * MANY, found
