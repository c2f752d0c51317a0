"""Which shape the records of a file have: decided on a sample of them, and said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from bios_sweep.engines.training.shapes.registry import ANSWERS, BY_NAME, QUESTIONS, RECOGNISED, SHAPES_HELP
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.errors import DataError

SAMPLE = (
    100  # records; chosen: a file whose first hundred agree is of one shape, and each later one is held to it
)

Placed = tuple[str, Row]  # a record with its place


def recognised(sample: Sequence[Placed], *, lenient: bool = False) -> Shape:
    """The one shape that all records of the sample have.

    A record that is of none is no reason to look further where others agree: reading it says what is wrong.
    lenient: where they differ, the shape of most of them, for the others are skipped when they are read.

    Raises:
        DataError: they have none, several at once, or different ones; names the lines.
    """
    fitting = [(place, row, shapes_of(row)) for place, row in sample]
    told = [(place, shapes) for place, _, shapes in fitting if shapes]
    if not told:
        place, row = sample[0]
        partial = [shape for shape in RECOGNISED if shape.keys[0] in row]
        if partial:
            return partial[0]
        raise unknown(place, row)
    common = [shape for shape in told[0][1] if all(shape in shapes for _, shapes in told)]
    if not common and lenient:
        counts = Counter(shape.name for _, shapes in told for shape in shapes)
        return BY_NAME[counts.most_common(1)[0][0]]
    if not common:
        raise _mixed_in(told)
    if len(common) > 1:
        names = [shape.name for shape in common]
        raise DataError(
            f"{told[0][0]}: can be read as {' and as '.join(names)}; say which with data.shape={names[0]}"
        )
    return common[0]


def shapes_of(row: Row) -> list[Shape]:
    """The shapes that a record is written in."""
    return [shape for shape in RECOGNISED if shape.recognises(row)]


def mixed(place: str, shape: Shape, other_place: str, other: Shape) -> DataError:
    """Two lines of one file have different shapes."""
    return DataError(
        f"{place} is written as {shape.help}, {other_place} as {other.help}; a file has one shape, so write "
        "both alike, or take data.shape=mixed, which reads every record by its own keys"
    )


def unknown(place: str, row: Row) -> DataError:
    """A record of no shape, with the columns that look like question and answer."""
    names = ", ".join(sorted(map(str, row))) or "(none)"
    asked = next((key for key in QUESTIONS if key in row), None)
    said = next((key for key in ANSWERS if key in row and key != asked), None)
    way_out = (
        f"data.columns={{prompt: {asked}, completion: {said}}} reads it"
        if asked and said
        else "data.columns={prompt: ..., completion: ...} says what they are"
    )
    return DataError(f"{place}: has the keys {names}; a record is {SHAPES_HELP}; {way_out}")


def _mixed_in(told: Sequence[tuple[str, list[Shape]]]) -> DataError:
    """The first two records that have no shape in common; else the first and the one that ends it."""
    for (place, shapes), (other_place, others) in combinations(told, 2):
        if not set(map(id, shapes)) & set(map(id, others)):
            return mixed(place, shapes[0], other_place, others[0])
    return mixed(told[0][0], told[0][1][0], told[-1][0], told[-1][1][0])
