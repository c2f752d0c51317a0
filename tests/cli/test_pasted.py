"""Commands that the program prints, pasted into a shell: the same words arrive, whatever is in a name."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bios_sweep.cli.main import main
from bios_sweep.report.content.wording import pasted, shell_word

PLANTED = ("sweeps=aa", "model=planted", "cluster=inline", "tracking=none", "seeds=[0,1]")
NAMES = (
    "it's {a}",
    "a#b?c&d",
    "50%20off",
    "new\nline",
    "new\nit's \\n \x07",
    " blanks ",
    "$HOME `x` !x",
    'dou"ble\\',
    "-dash",
    "[1]*",
    "\u6570\u636e \u202e",
    "n" * 200,
)


def words_of(line: str) -> list[str]:
    """The words of a line as bash hands them to a program."""
    say = "import json, sys; print(json.dumps(sys.argv[1:]))\n"
    told = subprocess.run(
        ["bash", "-c", f"{sys.executable} -c {shell_word(say)} {line}"], capture_output=True, check=True
    )
    return json.loads(told.stdout)


def test_a_pasted_command_has_the_words_that_were_printed():
    words = [f"workspace={name}" for name in NAMES]
    line = pasted("bios-sweep run " + " ".join(map(shell_word, words)))
    assert line.isprintable()
    assert words_of(line) == ["bios-sweep", "run", *words]


@pytest.mark.parametrize("name", ["it's\n50%20?#", "n" * 200])
def test_what_a_run_prints_leads_back_to_it(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = (*PLANTED, f"workspace=runs/{name}")
    assert main(["run", "--full", *words]) == 0
    out = capsys.readouterr().out
    [again] = [line for line in out.splitlines() if line.startswith("Again: ")]
    assert words_of(again.removeprefix("Again: "))[2:] == list(words)
    [report] = [line for line in out.splitlines() if line.startswith("report: ")]
    [path] = words_of(report.removeprefix("report: ")) if "\n" in name else [report.removeprefix("report: ")]
    assert path.startswith(str(tmp_path / "runs" / name))
    assert main(["plan", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reused"] == 4
    assert main(["report", *words[-1:]]) == 0
    capsys.readouterr()
    assert main(["ui", *words[-1:]]) == 2
    assert capsys.readouterr().err.count("\n") == 1, "a sentence is one line"
