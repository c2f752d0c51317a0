"""The files of a finished sweep's report. Texts are written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.jsonable import to_json
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.figures.files import figures_of, save_figures
from bios_sweep.report.text.html import to_html
from bios_sweep.report.text.markdown import to_markdown


def write_report(summary: Summary, rows: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write `report.json`, `report.md`, `report.html`, `results.csv` and `figures/` into a sweep's folder."""
    drawn = tuple(figures_of(summary))
    files = {
        folder / "report.json": json.dumps(to_json(summary), indent=1, allow_nan=False) + "\n",
        folder / "report.md": to_markdown(summary),
        folder / "report.html": to_html(summary, drawn),
    }
    for path, text in files.items():
        write_atomically(path, text)
    write_results(rows, folder / "results.csv")
    return [*files, folder / "results.csv", *save_figures(drawn, folder / "figures")]


def write_results(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write one line per trial, the columns in the order of the first row.

    Numbers are written in full, so that the file gives the same verdicts as the journal; None is an
    empty cell. A reader sees the old file or the whole new one.

    Raises:
        ValueError: a row has a column that the first row lacks.
        StorageError: the folder cannot be written.
    """
    text, columns = io.StringIO(), rows[0] if rows else ("arm", "seed", "value")  # those of the contract
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())
