"""The timing probe: what an optimizer step costs, each arm alone, warm and interleaved with the others.

A trial's own wall clock is no cost: neighbours, evaluation and checkpoints are in it. Interleaving puts a
drift of the machine (heat, a neighbour) on all arms of a repeat alike, so that their ratio stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from bios_sweep.engines.training.adapters import adapter
from bios_sweep.engines.training.batches import philox
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.loop import Training
from bios_sweep.engines.training.trial import Material, used_examples
from bios_sweep.settings import TrainingSettings

WARM_STEPS = 2  # chosen: the first step allocates the optimizer's state, the second is as any other
LEAST_STEPS = 3
LEAST_SECONDS = 0.3  # chosen: a hundred times what starting and stopping the clock can be off by
UNBOUNDED = 10**6  # steps: more than any probe takes, so that the schedule never ends

MaterialOf = Callable[[TrainingSettings], Material]
FitOf = Callable[[TrainingSettings], Fit]


def time_steps(
    arms: Sequence[TrainingSettings], material_of: MaterialOf, *, repeats: int, fit_of: FitOf
) -> list[list[float]]:
    """Seconds per optimizer step, shape (repeats, arms), on real batches of each arm's size.

    Each repeat goes through the arms in an order of its own, the same in every probe: no arm always
    follows the same neighbour. It also sees examples of its own, so that their lengths are part of the
    spread between repeats. The learning rate does not change the time; all arms take the first one's, so
    that none diverges. `material_of` is asked anew each time, for two base models may not fit at once.
    """
    seconds = [[0.0] * len(arms) for _ in range(repeats)]
    for repeat, row in enumerate(seconds):
        for place in np.argsort(philox(len(arms), "timing order", repeat), kind="stable").tolist():
            unending = {"max_steps": UNBOUNDED, "warmup_fraction": 0.0}
            settings = replace(arms[place], learning_rate=arms[0].learning_rate, **unending)
            row[place] = _seconds_per_step(settings, material_of(settings), repeat, fit_of(settings))
    return seconds


def _seconds_per_step(settings: TrainingSettings, material: Material, seed: int, fit: Fit) -> float:
    """A fresh adapter each time, as a trial has; enough steps to last, so that the clock does not matter."""
    with adapter(material.base, settings, seed) as adapted:
        examples = used_examples(material.train, settings.train_examples)
        objective = material.objective(settings)
        training = Training(material.base, adapted, settings, seed, examples, fit, objective=objective)
        training.advance(WARM_STEPS)
        _wait(material.base.device)
        began, spent = time.perf_counter(), 0.0
        while training.step < WARM_STEPS + LEAST_STEPS or spent < LEAST_SECONDS:
            training.advance(training.step + 1)
            _wait(material.base.device)
            spent = time.perf_counter() - began
        return spent / (training.step - WARM_STEPS)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
