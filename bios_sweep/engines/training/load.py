"""What is to be trained at most, as far as memory depends on it."""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.settings import ALL_LINEAR, LORA

FLOAT = 4  # bytes of a float32
FORMATS = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True, kw_only=True)
class Load:
    """The longest example in tokens, the largest batch and rank.

    sequences: of an example; preference pairs have two, both of them counted in its tokens.
    method: the one that needs the most. gpus: over which the layers of one trial are spread. embeddings:
    these and the head learn beside an adapter. targets: what has an adapter, as
    `method.targets`; None where all weights learn.
    """

    tokens: int
    batch: int
    rank: int
    dtype: str
    method: str = LORA
    sequences: int = 1
    gpus: int = 1
    embeddings: bool = False
    targets: str | None = ALL_LINEAR
