"""`{"prompt", "completion"}`: two texts that are joined as they stand; the loss covers the completion."""

from __future__ import annotations

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.values import text_of

HELP = '{"prompt", "completion"}'
KEYS = ("prompt", "completion")


def _read(row: Row, place: str) -> Example:
    prompt, completion = (text_of(row, key, place, help=HELP) for key in KEYS)
    return Example(prompt=prompt, completion=completion, cluster="", origin=place)


def _texts(row: Row) -> bool:
    return not isinstance(row["prompt"], list) and not isinstance(row["completion"], list)


PROMPT_COMPLETION = Shape(
    name="prompt_completion", keys=KEYS, help=HELP, learned="the completion", read=_read, fits=_texts
)
