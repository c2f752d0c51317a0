"""Default settings that explain themselves, and the file of tuned ones. Standard library only."""

from __future__ import annotations

from bios_sweep.defaults.building import build_tuned, decided_values
from bios_sweep.defaults.difference import differences, file_differences
from bios_sweep.defaults.exporters.export import Exported, export, export_file
from bios_sweep.defaults.exporters.tools import TOOLS
from bios_sweep.defaults.lookup import Found, lookup
from bios_sweep.defaults.merge import merge
from bios_sweep.defaults.model_config import ModelShape, model_shape
from bios_sweep.defaults.recommendation import (
    MAIN_SETTINGS,
    TRAINING,
    Recommendation,
    at_alpha,
    explain,
    recommend,
)
from bios_sweep.defaults.rules import Choice, Why, batch_size, heuristics, learning_rate, lora_rank, max_steps
from bios_sweep.defaults.serving import serve, with_tuned
from bios_sweep.defaults.tuned import Evidence, Provenance, TunedDefaults, TunedKey, TunedMetric, Withdrawn
from bios_sweep.defaults.tuned_checks import without_credentials
from bios_sweep.defaults.tuned_file import FILE_NAME, read_entries, read_tuned, write_entries, write_tuned

__all__ = [
    "FILE_NAME",
    "MAIN_SETTINGS",
    "TOOLS",
    "TRAINING",
    "Choice",
    "Evidence",
    "Exported",
    "Found",
    "ModelShape",
    "Provenance",
    "Recommendation",
    "TunedDefaults",
    "TunedKey",
    "TunedMetric",
    "Why",
    "Withdrawn",
    "at_alpha",
    "batch_size",
    "build_tuned",
    "decided_values",
    "differences",
    "explain",
    "export",
    "export_file",
    "file_differences",
    "heuristics",
    "learning_rate",
    "lookup",
    "lora_rank",
    "max_steps",
    "merge",
    "model_shape",
    "read_entries",
    "read_tuned",
    "recommend",
    "serve",
    "with_tuned",
    "without_credentials",
    "write_entries",
    "write_tuned",
]
