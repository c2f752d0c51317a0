"""One trial for the scripted engine."""

from __future__ import annotations

from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import (
    TrialSpec,
)

SETTINGS = TrainingSettings(learning_rate=1e-5, batch_size=4, lora_rank=8, max_steps=10)
TRIAL = TrialSpec(key="k", arm="baseline", seed=3, settings=SETTINGS)
