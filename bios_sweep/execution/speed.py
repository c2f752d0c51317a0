"""How fast a device trains, by its name: before any trial was timed there.

A GPU reaches a share of its data sheet's peak; a CPU a rate per thread. Both are rough, and any timed trial
is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bios_sweep.execution.gpus import peak_of
from bios_sweep.settings import BFLOAT16

# Of a GPU's dense peak that LoRA training reaches. Chosen, not measured here: adapters that are products of
# their own, short examples and padding keep it below the 0.46 of PaLM
# (arXiv:2204.02311).
UTILISATION = 0.3
# Of the training rate that generating answers reaches: all weights are read for each token. Chosen.
DECODING = 0.03
# Operations of training that pass while a number is read or written. In bfloat16 on GPUs by the data sheets
# of A100 and H100, 94 and 177 at the utilisation above; elsewhere as PEFT's DoRA was measured on one thread
# of a CPU in float32, 10 to 23.
MOVING, MOVING_BFLOAT16_ON_GPU = 15.0, 120.0
TERA = 1e12
GPU_MAKERS = ("NVIDIA", "AMD Instinct", "AMD Radeon", "Tesla", "GeForce")  # how drivers begin a GPU's name
# Operations per second and thread. Measured: 4.5e11 of them took a trial of sweeps=demo 19 and 21 s on one
# thread of an AMD EPYC beside other work. Another processor may differ by a factor of three.
THREAD = 25e9


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What a device is taken to compute. name: of the slowest kind. peak: TFLOP/s; None on CPUs.

    moving: operations that pass while a number is moved.
    """

    name: str
    peak: float | None
    utilisation: float | None
    per_second: float
    moving: float = MOVING


def speed_of_gpus(names: Sequence[str], dtype: str, sharers: int) -> Speed | None:
    """Of one trial of so many that share a GPU, on the slowest kind; None where a name tells no peak."""
    peaks = {name: peak_of(name) for name in names}
    rates = {
        name: (peak.bfloat16 or peak.float32) if dtype == BFLOAT16 else peak.float32
        for name, peak in peaks.items()
        if peak is not None
    }
    if not rates or len(rates) < len(peaks):
        return None
    name = min(rates, key=lambda one: rates[one])
    return Speed(
        name=name,
        peak=rates[name],
        utilisation=UTILISATION,
        per_second=rates[name] * TERA * UTILISATION / sharers,
        moving=MOVING_BFLOAT16_ON_GPU if dtype == BFLOAT16 else MOVING,
    )


def speed_of_cpu(threads: int) -> Speed:
    """Of a trial with so many threads; one rough rate for any CPU, in float32."""
    return Speed(name="a CPU", peak=None, utilisation=None, per_second=THREAD * threads)


def is_like(device: str, gpus: Sequence[str] | None) -> bool:
    """Whether a trial on that device tells how long one takes on these GPUs.

    gpus: names; None: trials run on CPUs; empty: on a GPU of which nothing is known.
    """
    is_gpu = device.startswith(GPU_MAKERS) or peak_of(device) is not None
    if gpus is None or not is_gpu:
        return is_gpu == (gpus is not None)
    return not gpus or any(device == name or peak_of(device) == peak_of(name) for name in gpus)
