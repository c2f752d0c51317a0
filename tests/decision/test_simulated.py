"""The vectorised rule gives every sweep the word that the procedure gives it, and runs as many trials."""

from __future__ import annotations

import pytest

from bios_sweep.decision import finding
from bios_sweep.decision.bounds import moderated
from bios_sweep.procedure.machine import state_of
from bios_sweep.reasons import is_any
from bios_sweep.study.factors import Factor
from bios_sweep.study.stages import confirmation_seeds
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Stage, Status, Word
from tests.decision.simulated import CANDIDATE, CONFIRM, DELTA, EDGE, LOSS, OPEN, World, words
from tests.procedure.planted import plan_of

WORLDS = {
    "equal noise": World(gains=(0, DELTA, 0, 0), sigma=(0.2,) * 5),
    "a gain of two margins": World(gains=(0, 2 * DELTA, 0, 0), sigma=(0.2,) * 5),
    "more noise": World(gains=(0, DELTA, 0, 0), sigma=(0.35,) * 5),
    "a noisy default": World(gains=(0, DELTA, 0, 0), sigma=(1.6, 0.2, 0.2, 0.2, 0.2)),
    "a noisy level": World(gains=(0, DELTA, 0, 0), sigma=(0.1, 0.1, 0.8, 0.1, 0.1)),
    "inert levels": World(gains=(0, DELTA, 0, 0), sigma=(0.2,) * 5, inert=(0, 2)),
    "one level": World(gains=(DELTA,), sigma=(0.2,) * 2),
    "two levels, one look": World(gains=(DELTA, 0), sigma=(0.2,) * 3, looks=(5,)),
    "eleven levels": World(gains=(0, DELTA, *(0,) * 9), sigma=(0.2,) * 12),
}


def plan_for(world):
    k = len(world.gains)
    below = (k + 1) // 2
    powers = (*range(-below, 0), *range(1, k - below + 1))
    rate = Factor(name="learning_rate", multiply=tuple(2.0**power for power in powers))
    return plan_of(
        rate,
        seeds=world.looks[-1],
        looks=world.looks,
        margin_percent=DELTA,
        margin_share=0.1,
        confirmation_seeds=world.fresh,
    )


def ended(plan, shared, fresh):
    """The sweep's state once nothing is missing."""
    row = {arm.name: place for place, arm in enumerate(plan.arms)}
    column = {seed: place for place, seed in enumerate(confirmation_seeds(plan.study))}
    start = Measurement(step=0, fraction=0.0, examples=0, tokens=0, eval_loss=2 * LOSS)
    results = {}
    while (state := state_of(plan, results)).missing:
        for trial in state.missing:
            values, place = (
                (shared, trial.seed) if trial.stage == Stage.SCREENING else (fresh, column[trial.seed])
            )
            final = {"eval_loss": float(values[row[trial.arm], place])}
            done = TrialResult(key=trial.key, status=Status.COMPLETED, curve=(start,), final=final)
            results[trial.key] = done
    return state


def word_of(state):
    (screening,), (final,) = state.screening.values(), state.findings.values()
    if screening.state == Word.CONFIRM:
        return CONFIRM, False
    if screening.state == Word.CANDIDATE:
        return CANDIDATE, final.state == Word.REFINE
    return EDGE if is_any(screening.reasons, finding.EDGE) else OPEN, False


def compare(world, sweeps):
    plan, found = plan_for(world), words(world, sweeps)
    shared, fresh = world.drawn(sweeps)
    for number in range(sweeps):
        state = ended(plan, shared[number], fresh[number])
        assert word_of(state) == (found.state[number], found.refined[number]), number
        screened = sum(trial.stage == Stage.SCREENING for trial in state.needed)
        assert screened == found.trials[number], number
    return found


@pytest.mark.parametrize("name", WORLDS)
def test_every_sweep_gets_the_same_word_from_the_procedure(name):
    compare(WORLDS[name], 15)


def test_a_procedure_with_another_error_gives_other_words(monkeypatch):
    """The meta-test: without what the other contrasts show, some sweep ends otherwise."""
    monkeypatch.setattr(
        "bios_sweep.decision.contrasts.moderated",
        lambda own, others, seeds: moderated(own, others[:0], seeds),
    )
    with pytest.raises(AssertionError):
        compare(WORLDS["more noise"], 15)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", WORLDS)
def test_every_sweep_gets_the_same_word_from_the_procedure_in_many(name):
    found = compare(WORLDS[name], 400)
    # else it would compare nothing
    assert len(set(zip(found.state, found.trials, found.refined, strict=True))) > 1
