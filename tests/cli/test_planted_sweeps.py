"""Sweeps with a planted truth, through the command line's own entry: the right word, and no worse default.

Each class plants one truth about one claim, so plainly that a sweep of five seeds and five fresh ones can
tell it, by the margins of a publication and, with twice the effects and the noise, by those of a choice. The
normal run takes a few sweeps per class; the slow one takes a hundred and prints the words.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter

import pytest

import bios_sweep
from bios_sweep.cli.main import main
from tests.cli.planted import (
    CLASSES,
    CONFIRM,
    LADDERS,
    QUIET,
    REFINE,
    RETUNED,
)

FEW, MANY = 2, int(os.environ.get("BIOS_SWEEP_PLANTED", "100"))


def ran(planted, noise_seed, folder, further=()):
    """One sweep. further: overrides beyond those of all such sweeps; the last word of a setting counts."""
    own = (f"model.planted.noise_seed={noise_seed}", f"workspace={folder}")
    assert main(["run", *planted.words, *QUIET, *further, *own]) == 0
    return bios_sweep.open(folder)


def told_by(planted, sweep):
    """(verdict, level)."""
    told = next(verdict for verdict in sweep.verdicts if verdict.claim == planted.claim)
    return told.verdict, told.best_level


def answer(planted, noise_seed, folder):
    return told_by(planted, ran(planted, noise_seed, folder))


def answers(planted, sweeps, folder):
    return Counter(answer(planted, number, folder / str(number)) for number in range(sweeps))


def wrong_words(planted, found):
    """Words that harm: a confirmation of what the truth refines, or a refinement that it does not want."""
    return sum(refined_elsewhere(planted, found).values()) + false_confirmations(planted, found)


def false_confirmations(planted, found):
    """Confirmations of what the truth refines: as many as the claim's error rate lets pass."""
    return sum(n for (word, _), n in found.items() if word == CONFIRM and planted.verdict != CONFIRM)


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


@pytest.mark.parametrize("name", CLASSES)
def test_a_truth_that_is_planted_for_a_choice_is_found(name, tmp_path, capsys):
    planted = CLASSES[name]
    found = Counter([told_by(planted, ran(planted, 0, tmp_path, planted.to_choose))])
    assert not wrong_words(planted, found), found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("purpose", ["choose", "publish"])
def test_a_planted_truth_is_found_in_95_of_100_sweeps(purpose, name, tmp_path, capsys):
    planted = CLASSES[name]
    further = planted.to_choose if purpose == "choose" else ()
    found, trials = Counter(), 0
    for number in range(MANY):
        sweep = ran(planted, number, tmp_path / str(number), further)
        found[told_by(planted, sweep)] += 1
        trials += len(sweep.trials)
        shutil.rmtree(tmp_path / str(number))
    row = right_words(planted, found), wrong_words(planted, found), trials / MANY
    with capsys.disabled():
        print(
            f"\n| {purpose} | {name} | {planted.claim} | {row[0]} | {row[1]} | {row[2]:.1f} | {dict(found)}"
        )
    assert not refined_elsewhere(planted, found), found
    assert false_confirmations(planted, found) <= 0.05 * MANY, found
    assert row[0] >= 0.95 * MANY, found


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


@pytest.mark.parametrize("name", LADDERS)
def test_a_ladder_that_ends_too_early_gives_no_word_and_a_longer_one_the_right_one(name, tmp_path, capsys):
    found = answers(LADDERS[name], 1, tmp_path)
    assert {word for word, _ in found} == {LADDERS[name].verdict}, found
    assert not refined_elsewhere(LADDERS[name], found), found


def test_the_next_study_of_a_ladder_that_ends_too_early_is_longer(tmp_path, capsys):
    folder = tmp_path / "runs"
    answer(LADDERS["short"], 0, folder)
    [verdict] = [one for one in bios_sweep.open(folder).verdicts if one.factor == "batch_size"]
    longer = "sweeps.factors.batch_size.nuisance.learning_rate.multiply=[0.5,1,2,4]"
    assert verdict.extend is not None
    assert verdict.extend.endswith(f"'{longer}'")
    assert main(["run", "--next", f"workspace={folder}"]) == 0
    study = bios_sweep.open(folder).plan.study
    [factor] = [factor for factor in study.factors if factor.name == "batch_size"]
    assert factor.nuisance.multiply == (0.5, 1.0, 2.0, 4.0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", LADDERS)
def test_ladders_that_end_too_early_or_not_in_many_sweeps(name, tmp_path, capsys):
    found = answers(LADDERS[name], MANY, tmp_path)
    with capsys.disabled():
        print(f"\n{name} ladder: {dict(found)}")
    assert not any(word == "confirm" for word, _ in found), found
    assert sum(n for (word, _), n in found.items() if word == LADDERS[name].verdict) >= 0.95 * MANY, found
