"""Stable parts that are trained once: what the longest arm leaves for shorter ones, on the node's disk.

A shorter arm that finds its part begins there, with the numbers that it would have had; one that does not
trains itself. What is left is taken once. Nothing of it decides an outcome.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bios_sweep.engines.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from bios_sweep.engines.training.kept import kept_root
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.stable import ends_of, followers, stable_part, stable_steps
from bios_sweep.study.trials import TrialSpec, short_hash

UNTAKEN_DAYS = 7  # chosen: then nobody comes for it


@dataclass(frozen=True, kw_only=True)
class Stable:
    """A trial's place among arms of one stable part. followers: those for whom it trains."""

    folder: Path
    followers: tuple[TrainingSettings, ...]

    def leave(self, settings: TrainingSettings, checkpoint: Checkpoint) -> None:
        """Put down what a follower begins with."""
        place = self._place(settings)
        place.mkdir(parents=True, exist_ok=True)
        save_checkpoint(place, place.name, checkpoint)

    def take(self, settings: TrainingSettings, device: torch.device) -> Checkpoint | None:
        """What was left for an arm, once; None where nothing is whole."""
        place = self._place(settings)
        if self.followers or not place.is_dir():
            return None
        found = load_checkpoint(place, place.name, device)
        shutil.rmtree(place, ignore_errors=True)
        return found if found is not None and found.step == stable_steps(settings) else None

    def forget(self, settings: TrainingSettings) -> None:
        """Free what was left for an arm that has ended: nobody comes for it."""
        shutil.rmtree(self._place(settings), ignore_errors=True)

    def _place(self, settings: TrainingSettings) -> Path:
        return self.folder / f"{settings.max_steps} steps, decay {settings.decay_fraction:g}"


def stable_of(trial: TrialSpec, asked: Mapping[str, Any], numbers: Sequence[Any]) -> Stable | None:
    """Of a trial that shares; None of others.

    asked: `ends` of the arms that share; `scenario`, what of it decides an outcome; `finished`, a seed, a
    stable part and an end for each trial that needs nothing any more. numbers: what decides the last digits
    beside: device, threads, how batches are cut, how often is measured.
    """
    part = stable_part(trial.settings)
    if part is None or trial.repeat:
        return None
    identity = {"part": part, "seed": trial.seed, "scenario": asked["scenario"], "numbers": list(numbers)}
    root = kept_root("stable")
    _remove_untaken(root)
    finished = [end for seed, of, end in asked.get("finished", ()) if (seed, of) == (trial.seed, part)]
    wanting = tuple(one for one in followers(trial.settings, asked["ends"]) if ends_of(one) not in finished)
    return Stable(folder=root / short_hash(identity, 32), followers=wanting)


def _remove_untaken(root: Path) -> None:
    for folder in root.iterdir():
        with suppress(OSError):
            if folder.stat().st_mtime < time.time() - UNTAKEN_DAYS * 86_400:
                shutil.rmtree(folder)
