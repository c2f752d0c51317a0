"""`{"prompt", "completion"}`: the loss covers the completion."""

from __future__ import annotations

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.values import text_of

HELP = '{"prompt", "completion"}'


def _read(row: Row, place: str) -> Example:
    prompt, completion = (text_of(row, key, place, help=HELP) for key in ("prompt", "completion"))
    return Example(prompt=prompt, completion=completion, cluster="", origin=place)


PROMPT_COMPLETION = Shape(name="prompt_completion", keys=("prompt", "completion"), help=HELP, read=_read)
