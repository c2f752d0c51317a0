"""The trials of the stages: how one is made, which ones confirm candidates, and how many there can be."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from bios_sweep.claims import Against
from bios_sweep.study.arms import Arm, with_nuisances
from bios_sweep.study.design import Study
from bios_sweep.study.trials import TrialSpec, trial_key
from bios_sweep.vocabulary import Stage

FRESH_SEED_START = 1_000_000  # chosen, not measured: far from any seed a user counts up from 0


def make_trial(study: Study, arm: Arm, seed: int, stage: str) -> TrialSpec:
    """One arm at one seed, with its key."""
    return TrialSpec(
        key=trial_key(arm.settings, seed, arm.repeat, study.scenario),
        arm=arm.name,
        seed=seed,
        settings=arm.settings,
        repeat=arm.repeat,
        stage=stage,
    )


def confirmation_seeds(study: Study) -> tuple[int, ...]:
    """Fresh seeds, disjoint from the study's, the same for every candidate of the study.

    Those that a candidate of an earlier study of the question met are fresh no more.
    """
    tried = study.history.tried if study.history else ()
    start = max(FRESH_SEED_START, max(study.seeds) + 1)
    fresh = (seed for seed in itertools.count(start) if seed not in tried)
    return tuple(itertools.islice(fresh, study.decision.confirmation_seeds))


def confirmation_trials(study: Study, arms: Sequence[Arm], met: Sequence[int] = ()) -> tuple[TrialSpec, ...]:
    """Every given arm at every fresh seed; seeds first, so that early blocks are whole.

    met: the seeds instead on which these arms met already, as an earlier study's answer that stands.
    """
    seeds = met or confirmation_seeds(study)
    return tuple(make_trial(study, arm, seed, Stage.CONFIRMATION) for seed in seeds for arm in arms)


def most_confirmation_trials(study: Study) -> int:
    """The most that confirmation can cost: the default, what each claim may send, and their combination.

    A claim sends its candidate, and what it is held against where that is not the default: the default
    trained for the same cost, or the level that the claim is about.
    """
    if len(study.seeds) < 2:
        return 0  # one seed names no candidate
    factors = with_nuisances(study)
    sent = sum(
        1 + (claim.against != Against.DEFAULT) + (factor.nuisance is not None)
        for factor in factors
        for claim in factor.judged_claims(study.baseline)
    )
    searched = 1 if study.decision.refine else 0
    cells = math.prod(len(moderator.values) for moderator in study.cross)
    return cells * study.decision.confirmation_seeds * (1 + sent + (len(factors) > 1) + searched)


def most_search_trials(study: Study) -> int:
    """The most that the joint search can cost; its first two proposals may exist already."""
    return study.decision.refine_trials if study.decision.refine and len(study.seeds) > 1 else 0
