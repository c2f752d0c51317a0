"""Families of models with a planted learning-rate law: ladders around the published rule, noise, walls."""

import math

import numpy as np

from bios_sweep.decision.table import Outcome
from bios_sweep.refit.evidence import RateStudy, read_seeds
from bios_sweep.refit.law import Rule
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status

PUBLISHED = Rule(level=5e-4, exponent=0.781)
SIZES = (1024, 2048, 2560, 3072, 4096, 5120, 6656, 8192)
STEPS = (0.25, 0.5, 1, 2, 4)


def outcomes(rng, best, size, seeds=3, noise=0.2):
    """Log best rate -> one outcome per (rate, seed): steeper above the best, diverged beyond a wall."""
    seed_effects, wall = rng.normal(0, 0.5, seeds), best + rng.uniform(0.9, 2.5)
    found = {}
    for step in STEPS:
        rate = PUBLISHED.rate(size) * step
        away = math.log(rate) - best
        loss = 2 * (1 + 0.012 * away**2 * (1.5 if away > 0 else 1))
        for seed in range(seeds):
            value = loss * (1 + (seed_effects[seed] + rng.normal(0, noise)) / 100)
            status = Status.DIVERGED if math.log(rate) > wall else Status.COMPLETED
            found[rate, seed] = Outcome(status=status, value=value)
    return found


def family(seed, truth, *, ranks=(32,), per_rank=1.0, sizes=SIZES):
    """One ladder per model and rank; the models differ by 15 %, studies of one model by 10 %."""
    rng = np.random.default_rng(seed)
    studies = []
    for size in sizes:
        model = rng.normal(0, 0.15)
        for rank in ranks:
            best = math.log(truth.rate(size)) + model + rng.normal(0, 0.1)
            best += math.log(per_rank) * math.log2(rank / 32)
            reading = read_seeds(outcomes(rng, best, size), Metric())
            studies.append(study(size, rank=rank, **vars(reading)))
    return studies


def study(size, *, rank=32, batch=128, model=None, **more):
    name = model or f"m{size}"
    facts = {"lora_rank": rank, "batch_size": batch, "max_steps": 1000}
    return RateStudy(name=name, model=name, family="llama", hidden_size=size, facts=facts, **more)
