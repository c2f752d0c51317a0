"""Default settings that explain themselves, and the file of tuned ones. Standard library only."""

from __future__ import annotations

from bios_sweep.defaults.explanation import MAIN_SETTINGS, explain
from bios_sweep.defaults.model_config import ModelShape, model_shape
from bios_sweep.defaults.recommendation import Recommendation, recommend
from bios_sweep.defaults.rules import Choice, Why, batch_size, heuristics, learning_rate, lora_rank, max_steps
from bios_sweep.defaults.tuned import (
    Evidence,
    Provenance,
    TunedDefaults,
    TunedKey,
    build_tuned,
    decided_values,
    without_credentials,
)
from bios_sweep.defaults.tuned_file import FILE_NAME, read_tuned, write_tuned

__all__ = [
    "FILE_NAME",
    "MAIN_SETTINGS",
    "Choice",
    "Evidence",
    "ModelShape",
    "Provenance",
    "Recommendation",
    "TunedDefaults",
    "TunedKey",
    "Why",
    "batch_size",
    "build_tuned",
    "decided_values",
    "explain",
    "heuristics",
    "learning_rate",
    "lora_rank",
    "max_steps",
    "model_shape",
    "read_tuned",
    "recommend",
    "without_credentials",
    "write_tuned",
]
