"""The results table as a CSV file: what `report --from-csv` reads back."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically

EMPTY_HEADER = ("arm", "seed", "value")  # the columns that the contract requires


def write_results(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write one line per trial, the columns in the order of the first row.

    Numbers are written in full, so that the file gives the same verdicts as the journal; None is an
    empty cell. A reader sees the old file or the whole new one.

    Raises:
        ValueError: a row has a column that the first row lacks.
        StorageError: the folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else EMPTY_HEADER, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())
