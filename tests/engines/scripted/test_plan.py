"""What `plan` says of a script of one's own, before anything runs."""

from __future__ import annotations

import json

import pytest

from bios_sweep.cli.main import main

WORDS = (
    "plan", "sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.5]", "seeds=[0,1]",
    "cluster=inline", "tracking=none", "baseline.learning_rate=1e-3",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train.py", "data.jsonl", "helpers.py", "unused.py"):
        (tmp_path / name).write_text("def trial(settings, seed, report): ...\n")
    return tmp_path


@pytest.mark.parametrize(
    "words, files",
    [
        (
            (
                "method=command",
                "method.inputs=[helpers.py]",
                "method.command=python3 train.py --data=data.jsonl {learning_rate} {seed}",
            ),
            ["data.jsonl", "helpers.py", "train.py"],
        ),
        (("method=python", "method.callable=train:trial"), ["train:trial"]),
        (("method=command", "method.command=echo {learning_rate} {seed}"), []),
    ],
)
def test_the_files_that_are_part_of_a_trial_are_listed(folder, capsys, words, files):
    assert main([*WORDS, *words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == files
    told = f"part of what a trial is: {', '.join(files) or 'no file'}; whatever else decides belongs in"
    assert any(line.startswith(told) for line in answer["caveats"])
    assert main([*WORDS, *words]) == 0
    assert told[:40] in capsys.readouterr().out


IMPORTS = {
    "job.py": "import json, torch\nimport helpers\nfrom pack.losses import loss\n",
    "helpers.py": "import deeper\n",
    "deeper.py": "import helpers\n",
    "pack/__init__.py": "",
    "pack/losses.py": "from . import parts\n",
    "pack/parts.py": "",
    "pack/unused.py": "",
    "pack/main.py": "from .parts import *\nimport helpers\n",
    "src/elsewhere.py": "",
    "far/run.py": "import elsewhere\nimport helpers\n",
    "old.py": "print 'of Python 2'\nimport helpers\n",
    "job.sh": "set -e\npython job.py --data data.jsonl $@ # the run\nbash again.sh\n",
    "again.sh": "bash job.sh\n",
}
REACHED = ["deeper", "helpers", "job.py", "pack", "pack.losses", "pack.parts"]


@pytest.mark.parametrize(
    "command, files",
    [
        ("python3 job.py", REACHED),
        ("bash -c 'python3 job.py'", REACHED),
        ("bash job.sh", sorted([*REACHED, "job.sh", "again.sh", "data.jsonl"])),
        ("python3 -m pack.main", ["deeper", "helpers", "pack", "pack.main", "pack.parts"]),
        ("env PYTHONPATH=src python3 far/run.py", ["elsewhere", "far/run.py"]),
        ("python3 old.py", ["old.py"]),
    ],
)
def test_modules_that_a_script_imports_are_part_of_its_trials(folder, capsys, command, files):
    for name, text in IMPORTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    words = ("method=command", f"method.command={command} {{learning_rate}} {{seed}}", "--json")
    assert main([*WORDS, *words]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == sorted(files)


def test_of_many_modules_a_line_names_the_first(folder, capsys):
    for number in range(40):
        (folder / f"part{number:02}.py").write_text("")
    (folder / "job.py").write_text("".join(f"import part{number:02}\n" for number in range(40)))
    words = ("method=command", "method.command=python3 job.py {learning_rate} {seed}", "--json")
    assert main([*WORDS, *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["files"]) == 41
    assert any("part10 and 29 more; whatever else" in line for line in answer["caveats"])


def test_a_function_of_a_module_brings_what_the_module_imports(folder, capsys):
    (folder / "train.py").write_text("import helpers\ndef trial(settings, seed, report): ...\n")
    assert main([*WORDS, "method=python", "method.callable=train:trial", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == ["helpers", "train:trial"]


def test_training_of_our_own_lists_none(folder, capsys):
    assert main([*WORDS, "model=planted", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == []
    assert not any("part of what a trial is" in line for line in answer["caveats"])


def test_a_mistyped_script_is_refused_before_anything_starts(folder, capsys):
    command = "method.command=python3 trian.py {learning_rate} {seed}"
    assert main([*WORDS, "method=command", command]) == 2
    told = f"bios-sweep: method.command: there is no file 'trian.py' in {folder}; did you mean train.py?\n"
    assert capsys.readouterr().err == told
