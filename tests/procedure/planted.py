"""Planted plans and how they are run to their end."""

from __future__ import annotations

import numpy as np

from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Status
from tests.answers import by_factor
from tests.scenarios import PLANTED as SCENARIO
from tests.scenarios import PUBLISH

BASELINE = TrainingSettings(learning_rate=1e-3, batch_size=32, lora_rank=32, max_steps=100)
RATE = Factor(name="learning_rate", multiply=(0.25, 0.5, 2, 4))
LOW = {
    "learning_rate": {0.25e-3: -2, 0.5e-3: -1, 2e-3: -1, 4e-3: -2},
    "lora_rank": {8: -2, 16: -1, 64: -1, 128: -2},
}
RATE_UP = {**LOW, "learning_rate": {**LOW["learning_rate"], 2e-3: 1.5}}


def plan_of(*factors, seeds=5, looks=None, **changes):
    rule = DecisionRule(looks=looks or (seeds,), **{**PUBLISH, **changes})
    return build_plan(
        Study(
            name="demo",
            question="?",
            scenario=SCENARIO,
            baseline=BASELINE,
            factors=factors or (RATE,),
            seeds=tuple(range(seeds)),
            decision=rule,
        )
    )


def planted(trial, truth=LOW, sigma=0.05, together=0.0):
    """A completed trial: gains in percent add up over factors, `together` is what two of them lose."""
    gains = [levels.get(getattr(trial.settings, name), 0.0) for name, levels in truth.items()]
    up = sum(gain > 0 for gain in gains) > 1
    shift = np.random.default_rng(trial.seed).normal(0, 3)  # a seed moves all arms
    noise = np.random.default_rng(int(trial.key, 16)).normal(0, sigma)
    loss = 2.0 * (1 + (shift + noise - sum(gains) + (together if up else 0)) / 100)
    start = Measurement(step=0, fraction=0.0, examples=0, tokens=0, eval_loss=3.0)
    return TrialResult(key=trial.key, status=Status.COMPLETED, curve=(start,), final={"eval_loss": loss})


def lost(trial, status=Status.FAILED):
    return TrialResult(key=trial.key, status=status, cause="the worker died")


def finish(plan, outcome=planted):
    """Run the sweep to its end, one trial after the other; returns the source and what it handed out."""
    source, taken = ProcedureSource(plan), []
    while not source.closed:
        trial = source.take()
        assert trial is not None
        taken.append(trial)
        source.add(outcome(trial))
    return source, taken


def states(state):
    return {factor: finding.state for factor, finding in by_factor(state.findings).items()}
