import os
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

from bios_sweep.cli.main import main

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.py"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    assert main(["run", "sweeps=demo", "model=planted", "cluster=inline", f"workspace={tmp_path}"]) == 0
    monkeypatch.setitem(os.environ, "BIOS_WORKSPACE", str(tmp_path))
    notebook = jupytext.read(path)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    printed = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("learning_rate:" in text for text in printed)
