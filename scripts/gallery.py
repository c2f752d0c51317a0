"""Runs the notebooks and writes them with what they show: `python -m scripts.gallery [NAME ...]`.

`notebooks/NAME.py` is what one edits (jupytext, py:percent); `notebooks/NAME.ipynb` is made of it, to be
looked at where no Python is. All run in one folder, one after another: two of them read what the first left.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jupytext  # type: ignore[import-untyped]
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
GALLERY = (
    "own_model_and_data",
    "read_a_sweep",
    "use_tuned_defaults",
    "own_script",
    "on_a_cluster",
    "audit_old_runs",
    "refit_the_rule",
)
PATIENCE_SECONDS = 900


def executed(name: str, folder: Path) -> nbformat.NotebookNode:
    """A notebook with its outputs, run in `folder`."""
    book: nbformat.NotebookNode = jupytext.read(FOLDER / f"{name}.py")
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(book, timeout=PATIENCE_SECONDS, kernel_name="python3", resources=place).execute()
    return book


def lasting(book: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Without what another run would have otherwise: places, identifiers, what libraries grumble."""
    book.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                output.update(json.loads(json.dumps(output).replace(str(folder), "/home/me/sweeps")))
    return book


def main(names: Sequence[str]) -> None:
    """Write the notebooks named, or all; those that read a sweep need the first one named too."""
    with tempfile.TemporaryDirectory() as place:
        for name in names or GALLERY:
            book = lasting(executed(name, Path(place)), Path(place))
            nbformat.write(book, FOLDER / f"{name}.ipynb")  # type: ignore[no-untyped-call]
            print(f"{name}: {len(book.cells)} cells")


if __name__ == "__main__":
    main(sys.argv[1:])
