"""A file of runs as plain columns, whatever wrote it: text or JSON, with numbers in one spelling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bios_sweep.tables.json_lines import read_json
from bios_sweep.tables.nested import expanded
from bios_sweep.tables.spelling import spelled
from bios_sweep.tables.text_table import RawTable, delimiter_of, read_csv, text_of


def read_table(path: Path) -> RawTable:
    """A table of runs: JSON where the file begins as JSON does, else text with separators.

    Raises:
        InputError: no such file, not text, no JSON where it began so, or no table in it.
    """
    text = text_of(path)
    is_json = text.lstrip()[:1] in ("{", "[")
    raw = read_json(path, text) if is_json else read_csv(path)
    columns, note = spelled(expanded(raw.columns), "," if is_json else delimiter_of(text))
    return replace(raw, columns=columns, notes=(*raw.notes, *filter(None, [note])))
