"""What float32 costs on a GPU: published peaks of its arithmetic, against bfloat16 on its tensor cores.

TFLOP/s, dense (without sparsity), from NVIDIA's data sheets; float32 is that of the ordinary cores, for
PyTorch leaves TF32 off (https://docs.pytorch.org/docs/stable/notes/cuda.html) and our training does not turn
it on. A ratio of peaks is the most that float32 can cost; what it does cost depends on memory and batch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Peak:
    """Dense TFLOP/s of a GPU model; bfloat16 is None where the model has no arithmetic for it."""

    float32: float
    bfloat16: float | None

    @property
    def ratio(self) -> float | None:
        """How many times faster bfloat16 is at most."""
        return None if self.bfloat16 is None else self.bfloat16 / self.float32


# words that a GPU's name has -> its peaks; the first row whose words are all there counts
PEAKS = (
    (("B200",), Peak(float32=75, bfloat16=2250)),  # HGX B200 data sheet, an eighth of the board's
    (("GB200",), Peak(float32=80, bfloat16=2500)),  # GB200 NVL72 data sheet, half of a superchip's
    (("H200", "NVL"), Peak(float32=60, bfloat16=835)),  # H200 data sheet
    (("H200",), Peak(float32=67, bfloat16=989)),  # H200 data sheet
    (("GH200",), Peak(float32=67, bfloat16=990)),  # GH200 data sheet
    (("H100", "NVL"), Peak(float32=60, bfloat16=835)),  # H100 data sheet
    (("H100", "PCIe"), Peak(float32=51, bfloat16=756)),  # H100 data sheet
    (("H100",), Peak(float32=67, bfloat16=989)),  # H100 data sheet, SXM
    (("H800",), Peak(float32=67, bfloat16=989)),  # as the H100
    (("H20",), Peak(float32=44, bfloat16=148)),  # H20 data sheet
    (("A100",), Peak(float32=19.5, bfloat16=312)),  # A100 data sheet, SXM and PCIe
    (("A800",), Peak(float32=19.5, bfloat16=312)),  # as the A100
    (("A30",), Peak(float32=10.3, bfloat16=165)),  # A30 data sheet
    (("A40",), Peak(float32=37.4, bfloat16=149.7)),  # A40 data sheet
    (("A10",), Peak(float32=31.2, bfloat16=125)),  # A10 data sheet
    (("L4",), Peak(float32=30.3, bfloat16=121)),  # L4 data sheet
    (("L40",), Peak(float32=90.5, bfloat16=181)),  # L40 data sheet
    (("L40S",), Peak(float32=91.6, bfloat16=362)),  # L40S data sheet
    (("RTX", "A6000"), Peak(float32=38.7, bfloat16=154.8)),  # GA102 white paper, appendix
    (("RTX", "3090"), Peak(float32=35.6, bfloat16=71)),  # GA102 white paper, accumulated in float32
    (("RTX", "4090"), Peak(float32=82.6, bfloat16=165)),  # Ada white paper, accumulated in float32
    (("T4",), Peak(float32=8.1, bfloat16=None)),  # T4 data sheet: float16 alone
    (("V100",), Peak(float32=15.7, bfloat16=None)),  # V100 data sheet: float16 alone
    (("V100S",), Peak(float32=16.4, bfloat16=None)),  # V100 data sheet: float16 alone
    (("P100",), Peak(float32=10.6, bfloat16=None)),  # P100 data sheet: no tensor cores
    (("P40",), Peak(float32=11.8, bfloat16=None)),  # P40 data sheet: no tensor cores
    (("P4",), Peak(float32=5.5, bfloat16=None)),  # P4 data sheet: no tensor cores
)


def peak_of(name: str) -> Peak | None:
    """The peaks of a GPU by its driver's name or Ray's (`NVIDIA H100 80GB HBM3`, `A100`); None: not known."""
    words = set(re.split(r"[\s-]+", name))
    if "Laptop" in words:  # other clocks under the same name
        return None
    return next((peak for needed, peak in PEAKS if words.issuperset(needed)), None)
