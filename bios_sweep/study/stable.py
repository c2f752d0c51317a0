"""The parts of a schedule in steps: warm-up, and where there is one the decay at its end. Pure."""

from __future__ import annotations

from bios_sweep.settings import WSD, TrainingSettings


def warmup_steps(settings: TrainingSettings) -> int:
    """Steps in which the rate rises; the peak comes with the last of them."""
    return round(settings.warmup_fraction * settings.max_steps)


def decay_steps(settings: TrainingSettings) -> int:
    """Steps of the decay that ends wsd, never into the warm-up; 0 of other schedules."""
    if settings.schedule != WSD or settings.decay_fraction is None:
        return 0
    return min(
        round(settings.decay_fraction * settings.max_steps), settings.max_steps - warmup_steps(settings)
    )
