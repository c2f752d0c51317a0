"""Rows of text between commas, tabs, semicolons or bars, under a line of names. Every cell stays text."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from bios_sweep.containers.document import KNOWN_NAMES
from bios_sweep.containers.lines import not_utf8
from bios_sweep.containers.record import Record
from bios_sweep.containers.sniff import UTF8_BOM
from bios_sweep.errors import DataError

DELIMITERS = ",\t;|"
LARGEST_CELL = 1 << 26  # characters; chosen: a quotation mark without an end must not swallow the file
LONGEST_NAME = 64  # characters of a column's name, where the file's own name does not say that it has some
MOST_COLUMNS = 5_000  # chosen: data sets have some tens
EXCEL_LINE = "sep="  # Excel may say the delimiter in a line before the names
BY_NAME = {".csv": ",", ".tsv": "\t", ".tab": "\t"}


def delimiter_of(head: str, path: Path) -> str | None:
    """What separates the cells of text that begins so; None where it is no table.

    path: its ending decides where the line of names has one cell, or could be a sentence.
    """
    named = next((BY_NAME[one] for one in path.suffixes if one in BY_NAME), None)
    if head.startswith(EXCEL_LINE) and head[len(EXCEL_LINE) : len(EXCEL_LINE) + 1] in DELIMITERS:
        return head[len(EXCEL_LINE)]
    first, second = [*head.lstrip("\ufeff").strip("\n").split("\n")[:2], "", ""][:2]
    counts = {mark: len(_cells(first, mark)) for mark in DELIMITERS}
    best = max(DELIMITERS, key=lambda mark: (counts[mark], mark == named))
    if named is not None:
        return best if counts[best] > 1 else named
    names = [cell.strip() for cell in _cells(first, best)]
    plain = all(0 < len(name) <= LONGEST_NAME and not set(name) & set("{}[]\"'") for name in names)
    even = second.count('"') % 2 or len(_cells(second, best)) == len(names)  # a quoted cell may go on
    return (
        best if 1 < len(names) <= MOST_COLUMNS and plain and len(set(names)) == len(names) and even else None
    )


def has_known_names(head: str, mark: str) -> bool:
    """Whether every name of the line of names is one that columns of examples have."""
    lines = [line for line in head.split("\n")[:2] if not line.startswith(EXCEL_LINE)]
    names = _cells("".join(lines[:1]), mark)
    return bool(names) and all(name.strip().lower() in KNOWN_NAMES for name in names)


def _cells(line: str, mark: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=mark), [])
    except csv.Error:
        return []


def separated(lines: Iterable[bytes], name: str, mark: str) -> Iterator[Record]:
    """(`name:line`, cells by column) of every row, which may have several lines; empty rows are passed over.

    Raises:
        DataError: no names, names without rows, two columns of one name, or bytes that are no UTF-8.
    """
    reader = csv.reader(_decoded(lines, name), delimiter=mark, strict=True)
    names: list[str] = []
    rows = 0
    while True:
        place = f"{name}:{reader.line_num + 1}"
        try:
            cells = _next(reader)
        except csv.Error as error:
            if "unexpected end" in str(error):  # it has swallowed all rows behind it
                raise DataError(f"{place}: {_why(error, mark)}") from error
            rows += 1
            yield Record(place, DataError(f"{place}: {_why(error, mark)}"))
            continue
        if cells is None:
            if names and not rows:
                raise DataError(f"{name}: has names of columns ({', '.join(names)}) and no row under them")
            return
        if not names and cells[:1] == [EXCEL_LINE]:
            continue
        if not names:
            names = _names(cells, place)
        elif cells:
            rows += 1
            yield Record(place, _row(names, cells, place, mark))


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            yield (line.removeprefix(UTF8_BOM) if number == 1 else line).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}:{number}: {not_utf8(line, error)}") from error


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    """The next row; the limit of the module is everybody's, so it is ours for the time of one row only."""
    before = csv.field_size_limit(LARGEST_CELL)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)


def _names(cells: list[str], place: str) -> list[str]:
    if len(cells) > MOST_COLUMNS:
        raise DataError(f"{place}: {len(cells):,} columns are too many; keep those that hold the examples")
    names = [cell.strip() for cell in cells]
    if names and not names[0] and len(names) > 1:
        names[0] = "index"  # as pandas writes its own numbers of rows
    if not all(names):
        raise DataError(f"{place}: a column has no name; the first line must name every column")
    twice = [one for one in names if names.count(one) > 1]
    if twice:
        raise DataError(f"{place}: two columns are called {twice[0]!r}; rename or remove one")
    return names


def _row(names: list[str], cells: list[str], place: str, mark: str) -> dict[str, str] | DataError:
    if len(cells) != len(names):
        return DataError(
            f"{place}: {len(cells)} cells under {len(names)} names; put cells that hold {_word(mark)} or a "
            "line break into quotation marks"
        )
    return dict(zip(names, cells, strict=True))


def _word(mark: str) -> str:
    return {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "a bar"}[mark]


def _why(error: csv.Error, mark: str) -> str:
    said = str(error)
    if "unexpected end of data" in said:
        return "a quotation mark has no end; close it, or double one that is meant as such"
    if "expected after" in said:
        return (
            f"a quotation mark inside a cell must be doubled, or the cell ends there ({_word(mark)} follows)"
        )
    if "field larger" in said:
        return f"a cell is longer than {LARGEST_CELL:,} characters; is a quotation mark missing?"
    return f"cannot be read as rows of cells ({said})"
