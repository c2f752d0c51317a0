"""Records as examples: which shape a record has, and what it says in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.records import Record
from bios_sweep.engines.training.refusals import refuse_untrained_keys
from bios_sweep.engines.training.shapes.messages import MESSAGES
from bios_sweep.engines.training.shapes.prompt_completion import PROMPT_COMPLETION
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.text import TEXT
from bios_sweep.engines.training.shapes.values import refuse_forbidden_keys, text_of
from bios_sweep.engines.training.split import identity
from bios_sweep.errors import DataError

SHAPES = (PROMPT_COMPLETION, MESSAGES, TEXT)
SHAPES_HELP = '{"prompt", "completion"}, {"messages"} or {"text"}'


def read_examples(records: Iterable[Record]) -> Iterator[Example]:
    """Every record as an example, one by one, in their order.

    Raises:
        DataError: a record that cannot be read or used; opens with its place.
    """
    for place, row in records:
        if isinstance(row, DataError):
            raise row
        yield example_of(row, place)


def example_of(row: Row, place: str) -> Example:
    """One record as an example. `place` is `file:line` and opens every message."""
    refuse_forbidden_keys(row, place)
    shape = _shape_of(row, place)
    refuse_untrained_keys(row, shape.keys[0], place)
    example = shape.read(row, place)
    if not example.completion.strip():
        raise DataError(f"{place}: the completion is empty; there is nothing to learn, remove the line")
    # Without a cluster of its own, every distinct example is one: nothing is known to depend on it.
    given = "cluster" in row
    return replace(
        example,
        cluster=text_of(row, "cluster", place, help=SHAPES_HELP) if given else identity(example).hex()[:16],
    )


def _shape_of(row: Row, place: str) -> Shape:
    shapes = [shape for shape in SHAPES if shape.keys[0] in row]
    if len(shapes) != 1:
        names = ", ".join(sorted(row)) or "(none)"
        raise DataError(f"{place}: has the keys {names}; a line is exactly one of {SHAPES_HELP}")
    return shapes[0]
