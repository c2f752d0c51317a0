"""The timing probe: what an optimizer step costs, each arm alone, warm and interleaved with the others.

A trial's own wall clock is no cost: neighbours, evaluation and checkpoints are in it. Interleaving puts a
drift of the machine (heat, a neighbour) on all arms of a repeat alike, so that their ratio stays.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from bios_sweep.settings import TrainingSettings
from bios_sweep.training.loop import Training
from bios_sweep.training.model import adapter
from bios_sweep.training.trial import Material, used_examples

WARM_STEPS = 2  # chosen: the first step allocates the optimizer's state, the second is as any other
LEAST_STEPS = 3
LEAST_SECONDS = 0.3  # chosen: a hundred times what starting and stopping the clock can be off by
PROBE_SEED = 0


def time_steps(
    arms: Sequence[tuple[TrainingSettings, Material]], *, repeats: int, micro_batch_size: int
) -> list[list[float]]:
    """Seconds per optimizer step, shape (repeats, arms), on real batches of each arm's size.

    The learning rate does not change the time; all arms take the first one's, so that none diverges.
    """
    rate = arms[0][0].learning_rate
    return [
        [
            _seconds_per_step(replace(settings, learning_rate=rate), material, micro_batch_size)
            for settings, material in arms
        ]
        for _ in range(repeats)
    ]


def _seconds_per_step(settings: TrainingSettings, material: Material, micro_batch_size: int) -> float:
    """A fresh adapter each time, as a trial has; enough steps to last, so that the clock does not matter."""
    unbounded = replace(settings, max_steps=10**6, warmup_fraction=0.0)
    with adapter(material.base, unbounded, PROBE_SEED) as adapted:
        training = Training(
            base=material.base,
            adapted=adapted,
            settings=unbounded,
            seed=PROBE_SEED,
            examples=used_examples(material.train, settings.train_examples),
            micro_batch_size=micro_batch_size,
        )
        training.advance(WARM_STEPS)
        _wait(material.base.device)
        began, steps, spent = time.perf_counter(), 0, 0.0
        while steps < LEAST_STEPS or spent < LEAST_SECONDS:
            training.advance(training.step + LEAST_STEPS)
            _wait(material.base.device)
            steps += LEAST_STEPS
            spent = time.perf_counter() - began
        return spent / steps


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
