"""What a trial took of its device: by the model of bytes, and as a GPU measured it."""

from __future__ import annotations

import torch

from bios_sweep.engines.training.decoder_shape import Shape
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.load import Load
from bios_sweep.engines.training.memory import most_on_one, need_of
from bios_sweep.settings import FLOAT32, LORA, TrainingSettings
from bios_sweep.study.trials import MEMORY_PEAK, MEMORY_RECKONED


def load_of(settings: TrainingSettings, tokens: int, sequences: int, gpus: int) -> Load:
    """What one trial asks of a device. tokens: of its longest example, of all its sequences together."""
    return Load(
        tokens=tokens,
        batch=settings.batch_size,
        rank=settings.lora_rank or 1,
        dtype=settings.dtype,
        method=settings.method,
        sequences=sequences,
        gpus=gpus,
        embeddings=bool(settings.embeddings),
        targets=settings.targets,
    )


def forget_peak(device: torch.device) -> None:
    """Have a GPU measure from here on."""
    if device.type == "cuda":
        for number in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(number)


def taken(
    device: torch.device, shape: Shape | None, settings: TrainingSettings, load: Load, fit: Fit
) -> dict[str, int]:
    """For a trial's provenance: bytes on the fullest of its devices. shape: None where it is not known."""
    found = {}
    if device.type == "cuda":
        peaks = (torch.cuda.max_memory_allocated(number) for number in range(torch.cuda.device_count()))
        found[MEMORY_PEAK] = max(peaks)
    if shape is not None:
        count = min(fit.micro_batch_size, settings.batch_size)
        folded = fit.folding and (settings.method, settings.dtype) == (LORA, FLOAT32)
        need = need_of(shape, load, count, checkpointing=fit.checkpointing, folded=folded)
        found[MEMORY_RECKONED] = most_on_one(shape, load, need)
    return found
