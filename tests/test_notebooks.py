"""The gallery: each notebook runs from top to bottom, and what is kept beside it was made of it."""

import os

import jupytext
import nbformat
import pytest

from bios_sweep.cli.main import main
from scripts.gallery import FOLDER, GALLERY, executed

READ_A_SWEEP = ("read_a_sweep", "use_tuned_defaults")
SECONDS = ("audit_old_runs",)  # the others train, or start Ray
# What each must have shown: a word of its last lines
SHOWN = {
    "own_model_and_data": "report.html",
    "own_script": "learning_rate: ",
    "on_a_cluster": "#SBATCH",
    "audit_old_runs": "'learning_rate': 'refine (unconfirmed)'",
    "refit_the_rule": "exponent",
}


def shown(book):
    """All that its cells printed or ended in."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_every_notebook_is_in_the_gallery():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(GALLERY)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    words = ["sweeps=demo", "model=planted", "cluster=inline", "tracking=none", f"workspace={folder}"]
    assert main(["run", *words]) == 0
    return folder


@pytest.mark.parametrize("name", READ_A_SWEEP)
def test_a_notebook_reads_a_finished_sweep(name, workspace, tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "BIOS_WORKSPACE", str(workspace))
    assert "learning_rate:" in shown(executed(name, tmp_path))


@pytest.mark.parametrize(
    "name", [name if name in SECONDS else pytest.param(name, marks=pytest.mark.slow) for name in SHOWN]
)
@pytest.mark.timeout(900)
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path):
    assert SHOWN[name] in shown(executed(name, tmp_path))


@pytest.mark.parametrize("name", GALLERY)
def test_what_is_kept_with_its_output_was_made_of_what_is_edited(name):
    kept = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    edited = jupytext.read(FOLDER / f"{name}.py")
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == [
        (cell.cell_type, cell.source) for cell in edited.cells
    ]
    assert shown(kept)
