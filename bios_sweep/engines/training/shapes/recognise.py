"""Which shape the records of a file have: decided on a sample of them, and said."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from bios_sweep.engines.training.shapes.preference import PREFERENCE
from bios_sweep.engines.training.shapes.registry import (
    ANSWERS,
    BY_NAME,
    QUESTIONS,
    RECOGNISED,
    SHAPES_HELP,
    SPEAKERS,
    WORDS,
)
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.errors import DataError

SAMPLE = (
    100  # records; chosen: a file whose first hundred agree is of one shape, and each later one is held to it
)

NO_NAME = "?!.\n"  # signs of a sentence, which a column's name is not

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
    """The shapes that a record is written in. A pair is one, however its question is written beside it."""
    if PREFERENCE.recognises(row):
        return [PREFERENCE]
    return [shape for shape in RECOGNISED if shape.recognises(row)]


def mixed(place: str, shape: Shape, other_place: str, other: Shape) -> DataError:
    """Two lines of one file have different shapes."""
    return DataError(
        f"{place} is written as {shape.help}, {other_place} as {other.help}; a file has one shape, so write "
        "both alike, or take data.shape=mixed, which reads every record by its own keys"
    )


def unknown(place: str, row: Row) -> DataError:
    """A record of no shape, with the columns that look like a conversation, or like question and answer."""
    names = ", ".join(sorted(map(_shown, row))) or "(none)"
    columns = _talk_in(row) or _texts_in(row)
    if columns:
        given = ", ".join(f"{key}: {_shown(column)}" for key, column in columns.items())
        way_out = f"{shlex.quote(f'data.columns={{{given}}}')} reads it"
    else:
        way_out = "'data.columns={prompt: ..., completion: ...}' says what they are"
    if any(set(key) & set(NO_NAME) for key in map(str, row)):
        way_out += "; where these are no names but a first row, write a line of names before it"
    return DataError(f"{place}: has the keys {names}; a record is {SHAPES_HELP}; {way_out}")


def _shown(name: object) -> str:
    """A column as it can be typed in a list of names with values."""
    text = str(name)
    return text if re.fullmatch(r"[\w-]+", text, re.ASCII) else repr(text)


def _talk_in(row: Row) -> dict[str, str]:
    """The names of a column that holds turns, and of theirs, by what a shape calls them."""
    for column, value in row.items():
        turn = value[0] if isinstance(value, list) and value else None
        if not isinstance(turn, dict):
            continue
        if {"from", "value"} <= set(turn):
            return {"conversations": str(column)}
        speaker = next((key for key in SPEAKERS if key in turn), None)
        words = next((key for key in WORDS if key in turn and key != speaker), None)
        if speaker and words:
            own = {"role": speaker, "content": words}
            return {"messages": str(column), **{key: name for key, name in own.items() if key != name}}
    return {}


def _texts_in(row: Row) -> dict[str, str]:
    """The columns of question and answer, whatever the case of their names."""
    texts = {str(key).casefold(): str(key) for key, value in row.items() if isinstance(value, str)}
    if {"instruction", "output"} <= set(texts):
        return {key: texts[key] for key in ("instruction", "input", "output") if key in texts}
    asked = next((texts[key] for key in QUESTIONS if key in texts), None)
    said = next((texts[key] for key in ANSWERS if key in texts and texts[key] != asked), None)
    return {"prompt": asked, "completion": said} if asked and said else {}


def _mixed_in(told: Sequence[tuple[str, list[Shape]]]) -> DataError:
    """The first two records that have no shape in common; else the first and the one that ends it."""
    for (place, shapes), (other_place, others) in combinations(told, 2):
        if not set(map(id, shapes)) & set(map(id, others)):
            return mixed(place, shapes[0], other_place, others[0])
    return mixed(told[0][0], told[0][1][0], told[-1][0], told[-1][1][0])
