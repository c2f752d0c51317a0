"""A text table from disk as plain columns: what other tools export, read without pandas.

Everything that can be wrong with such a file ends in one sentence that says where and what to do.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bios_sweep.errors import InputError
from bios_sweep.paths import read_regular

DELIMITERS = (",", ";", "\t", "|")
COMMENT = "#"
MEAN = re.compile(r"[-+.\deE]+\s*(?:\u00b1|\+/-|\+-)\s*[.\deE-]+%?|[-+.\deE]+\s*\([.\deE-]+\)%?")
NUMBERED = re.compile(r"s(?:eed)?[ _=-]?(?=\d+$)", re.IGNORECASE)  # before the number of a seed
RULE = re.compile(r":?-+:?")  # under the header of a table in Markdown
MOST_BYTES = 2_000_000_000  # chosen: a table of runs is held in memory
MOST_COLUMNS = 5_000  # chosen: exports of trackers have some hundreds
FIELD_LIMIT = 10_000_000  # characters of one cell; exports hold whole configs as JSON (chosen, not measured)
CONTAINERS = {
    b"PK\x03\x04": "an Excel workbook or ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"PAR1": "a Parquet file",
    b"SQLite format 3\x00": "an SQLite database",
}


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """Cells as text, column by column, in the order of the header.

    columns: name -> one cell per row, all of equal length. lines: the file's line of each row, for
    messages. source: how the table is called in messages. notes: what was taken for granted in reading it.
    """

    source: str
    columns: dict[str, tuple[str, ...]]
    lines: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.lines)

    def where(self, row: int) -> str:
        """A row as a person finds it."""
        return f"{self.source}: line {self.lines[row]}"

    def kept(self, rows: Sequence[int]) -> RawTable:
        """The table with those rows only."""
        return replace(
            self,
            columns={name: tuple(cells[row] for row in rows) for name, cells in self.columns.items()},
            lines=tuple(self.lines[row] for row in rows),
        )


def read_csv(path: Path) -> RawTable:
    """Read a table of text: comma, semicolon, tab or bar between cells, UTF-8 or UTF-16 with a mark.

    Raises:
        InputError: no such file, a folder, not text, empty, no header, ragged rows.
    """
    text = text_of(path)
    if not text.strip():
        raise InputError(f"{path}: the file is empty; it needs a header and one row per run")
    delimiter = delimiter_of(text)
    return _table(path, _records(path, text, delimiter), delimiter)


def delimiter_of(text: str) -> str:
    """What separates the cells: what stands most often in the first line that has any."""
    lines = (line for line in text.splitlines() if not line.startswith(COMMENT))
    first = next((line for line in lines if any(mark in line for mark in DELIMITERS)), "")
    return max(DELIMITERS, key=first.count)


def text_of(path: Path) -> str:
    """What a file holds as text, or why it is none."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the CSV file itself")
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    for magic, kind in CONTAINERS.items():
        if content.startswith(magic):
            raise InputError(f"{path}: is {kind}, not a text table; export it as CSV")
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not marked and b"\0" in content:
        raise InputError(f"{path}: is binary, not a text table; export it as CSV")
    try:
        return content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is no UTF-8 text (byte {error.start + 1}); save the table as CSV in UTF-8"
        ) from error


def _records(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """(line, cells) of every line that is not blank, the header first."""
    before = csv.field_size_limit(FIELD_LIMIT)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        records = [(reader.line_num, cells) for cells in reader if any(cells)]
        return _below_titles(_without_bars(records) if delimiter == "|" else records)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} cannot be read as CSV ({error})") from error
    finally:
        csv.field_size_limit(before)


def _below_titles(records: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Without what stands above the header: comments, and titles of one cell over lines of several."""
    first = next((place for place, (_, cells) in enumerate(records) if not cells[0].startswith(COMMENT)), 0)
    rest = records[first:]
    while len(rest) > 2 and sum(map(bool, rest[0][1])) == 1 < sum(map(bool, rest[1][1])):
        rest = rest[1:]
    return rest


def _without_bars(records: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """A table as Markdown has it: a bar at both ends, and a line of dashes under the header."""
    rows = [(line, [cell.strip() for cell in cells]) for line, cells in records]
    rows = [(line, cells) for line, cells in rows if not all(map(RULE.fullmatch, filter(None, cells)))]
    if all(len(cells) > 2 and not cells[0] and not cells[-1] for _, cells in rows):
        return [(line, cells[1:-1]) for line, cells in rows]
    return rows


def _table(path: Path, records: list[tuple[int, list[str]]], delimiter: str) -> RawTable:
    if not records:
        raise InputError(f"{path}: the file is empty; it needs a header and one row per run")
    line, names = records[0]
    if len(names) > MOST_COLUMNS:
        raise InputError(
            f"{path}: line {line} has {len(names):,} columns, and at most {MOST_COLUMNS:,} are read; drop "
            "those that are neither settings nor outcomes"
        )
    header = [name.strip() for name in names]
    _check_header(path, line, header)
    body = records[1:]
    if not body:
        raise InputError(f"{path}: there is a header but no row below it; it needs one row per run")
    ragged = next((record for record in body if len(record[1]) != len(header)), None)
    if ragged is not None:
        raise InputError(
            f"{path}: line {ragged[0]} has {len(ragged[1])} cells but the header has {len(header)} "
            f"(cells are separated by {_named(delimiter)}); quote text that holds the separator"
        )
    columns: dict[str, tuple[str, ...]] = {}
    for place, (name, cells) in enumerate(
        zip(header, zip(*(row for _, row in body), strict=True), strict=True)
    ):
        if columns.setdefault(name or f"column {place + 1}", cells) != cells:
            raise InputError(f"{path}: column {name!r} is in the header twice; rename or drop one")
    return RawTable(source=str(path), columns=columns, lines=tuple(number for number, _ in body))


def _check_header(path: Path, line: int, header: Sequence[str]) -> None:
    named = [name for name in header if name]
    if named and sum(is_number(name) for name in named) * 2 >= len(named):
        raise InputError(
            f"{path}: line {line} holds numbers, not the names of columns; put a header above it, "
            "such as arm,seed,value"
        )
    if len(header) == 1 and len(header[0].split()) > 1:
        raise InputError(
            f"{path}: the header {header[0]!r} is one single column; separate cells by a comma, semicolon, "
            "tab or bar"
        )


def is_number(text: str) -> bool:
    """Whether a cell can be read as a number, NaN and infinity included."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _named(delimiter: str) -> str:
    return {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[delimiter]


def numbers(raw: RawTable, column: str, what: str) -> tuple[float, ...]:
    """Cells as numbers; an empty one is NaN.

    Raises:
        InputError: text in a number.
    """
    cells = raw.columns[column]
    try:
        return tuple(float(cell) if cell else math.nan for cell in cells)
    except ValueError:
        if (shares := _of_percent(cells)) is not None:
            return shares
        return tuple(_one_number(cell.strip(), raw.where(row), what) for row, cell in enumerate(cells))


def _one_number(cell: str, where: str, what: str) -> float:
    if not cell or is_number(cell):
        return float(cell or math.nan)
    if is_number(cell.replace(",", ".", 1)):
        raise InputError(f"{where}: {what} {cell!r} has a decimal comma; write decimals with a point")
    if is_number(cell.removesuffix("%")):
        raise InputError(f"{where}: {what} {cell!r} has a percent sign and others have none; write all alike")
    if MEAN.fullmatch(cell):
        raise InputError(
            f"{where}: {what} {cell[:40]!r} is a mean with its spread; give the runs, a row per seed"
        )
    raise InputError(f"{where}: {what} {cell[:40]!r} is not a number")


def seed_of(cell: str, where: str) -> int:
    """A whole number however large; `3.0`, as data frames write a column with gaps, is 3."""
    text = NUMBERED.sub("", cell.strip())
    if not text:
        raise InputError(f"{where}: the seed is empty; runs without a seed cannot be paired")
    try:
        return int(text)
    except ValueError:
        number = float(text) if is_number(text) else math.nan
    if not math.isfinite(number) or not number.is_integer() or abs(number) > 2**53:
        raise InputError(f"{where}: seed {text[:40]!r} is not a whole number")
    return int(number)


def parsed(cells: Iterable[str]) -> tuple[Any, ...]:
    """Cells as settings: None, whole numbers, decimals or text, with one spelling per number."""
    cells = tuple(cells)
    settings = {cell: parsed_setting(cell.strip()) for cell in set(cells)}
    return tuple(settings[cell] for cell in cells)


def parsed_setting(text: str) -> Any:
    """A cell as a setting: None, a whole number, a decimal or text; 32 and 32.0 are one value."""
    if text.lower() in ("", "none", "null", "nan"):
        return None
    if not is_number(text):
        return text
    number = float(text)
    if number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number if math.isfinite(number) else text


def quiet_numbers(cells: Sequence[str]) -> tuple[float, ...] | None:
    """As `numbers`, None where some cell is no number."""
    try:
        return tuple(float(cell) if cell else math.nan for cell in cells)
    except ValueError:
        return _of_percent(cells)


def _of_percent(cells: Sequence[str]) -> tuple[float, ...] | None:
    """Cells such as `71.2%` as they are written, in percent; None where some have no sign."""
    if not all(cell.endswith("%") and is_number(cell[:-1]) for cell in cells if cell):
        return None
    return tuple(float(cell[:-1]) if cell else math.nan for cell in cells)
