"""What a sign asks for: which setting to move, and which way. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bios_sweep.curves import signs
from bios_sweep.settings import TrainingSettings, is_whole

GUIDE = "Bios guide"
OURS = "chosen, not measured; the guide is silent"


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """words: the advice. moves: (setting, factor) to try, one at a time, the first first. source: whose."""

    words: str
    moves: tuple[tuple[str, float], ...]
    source: str = GUIDE


HALF, TWICE = 0.5, 2.0  # one step; chosen, not measured: the levels of the sweeps are factors of two
REMEDIES = {
    signs.DIVERGING: Remedy(words="lower the learning rate", moves=(("learning_rate", HALF),)),
    signs.UNSTABLE: Remedy(words="lower the learning rate", moves=(("learning_rate", HALF),)),
    signs.OVERFITTING: Remedy(
        words="train fewer steps, or lower the rank",
        moves=(("max_steps", HALF), ("lora_rank", HALF)),
        source=OURS,
    ),
    signs.PLATEAU: Remedy(
        words="raise the learning rate or the rank", moves=(("learning_rate", TWICE), ("lora_rank", TWICE))
    ),
    signs.IMPROVING: Remedy(words="train more steps", moves=(("max_steps", TWICE),)),
    signs.FORGETTING: Remedy(
        words="lower the learning rate or the rank",
        moves=(("learning_rate", HALF), ("lora_rank", HALF)),
        source=OURS,
    ),
    signs.QUALITY: Remedy(
        words="a smaller batch and a higher rank (slower)", moves=(("batch_size", HALF), ("lora_rank", TWICE))
    ),
    signs.SLOW: Remedy(words="a larger batch (may cost quality)", moves=(("batch_size", TWICE),)),
}


def remedy_text(sign: str, settings: TrainingSettings) -> str:
    """The advice with its values: `lower the learning rate (learning_rate 0.0005 -> 0.00025)`.

    A setting that is off has no value to move from: full fine-tuning has no rank.
    """
    remedy = REMEDIES[sign]
    values = [
        f"{name} {getattr(settings, name):.4g} -> {moved(settings, name, factor):.4g}"
        for _, name, factor in moves_of([sign], settings)
    ]
    return f"{remedy.words} ({'; '.join(values)})" if values else remedy.words


def moved(settings: TrainingSettings, name: str, factor: float) -> float:
    """A setting after one step; whole numbers stay whole and at least 1."""
    value: float = getattr(settings, name) * factor
    return max(1, round(value)) if is_whole(name) else value


def moves_of(names: Sequence[str], settings: TrainingSettings) -> tuple[tuple[str, str, float], ...]:
    """(sign, setting, factor) of every move that the signs ask for, the gravest sign's first.

    Only of settings that have a value: full fine-tuning has no rank to raise.
    """
    return tuple(
        (sign, setting, factor)
        for sign in names
        for setting, factor in REMEDIES[sign].moves
        if getattr(settings, setting) is not None
    )
