"""The results table as a CSV file: what `report --from-csv` reads back."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bios_sweep.errors import StorageError

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
    _replace(path, text.getvalue())


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with fresh.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror or error})") from error
