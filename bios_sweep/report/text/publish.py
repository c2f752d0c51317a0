"""The files of a finished sweep's report. Texts are written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.jsonable import to_json
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.figures.files import figures_of, save_figures
from bios_sweep.report.text.csv_table import write_results
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
