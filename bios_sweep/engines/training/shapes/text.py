"""`{"text"}`: all of it is under the loss."""

from __future__ import annotations

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.values import text_of

HELP = '{"text"}'


def _read(row: Row, place: str) -> Example:
    return Example(prompt="", completion=text_of(row, "text", place, help=HELP), cluster="", origin=place)


TEXT = Shape(name="text", keys=("text",), help=HELP, learned="all of the text", read=_read)
