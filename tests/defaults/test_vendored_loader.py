"""The loader to copy: alone, on the oldest syntax it promises, and as strict as the package's own reader."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bios_sweep import defaults
from bios_sweep.defaults import vendored_loader
from bios_sweep.defaults.tuned_file import evidence_hash
from tests.defaults.entries import RANK, RATE, build, entry, rewritten, verdict, write

FILE = Path(vendored_loader.__file__)


def test_it_is_one_short_file_of_python_3_9_and_the_standard_library():
    text = FILE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 165
    tree = ast.parse(text, feature_version=(3, 9))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    assert names <= set(sys.stdlib_module_names)


def alone(tmp_path, code, **environment):
    """`code` beside a copy of the loader, in a Python without site-packages and without our package."""
    (tmp_path / "copied.py").write_text(FILE.read_text(encoding="utf-8"), encoding="utf-8")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_it_runs_alone_and_finds_the_file_by_path_and_by_environment(tmp_path):
    path = write(tmp_path / "all.json", entry(1e-4), entry(2e-4, hidden_size=256))
    code = f"import copied; print(copied.tuned('llama', 256, path={str(path)!r})['values'])"
    assert ast.literal_eval(alone(tmp_path, code)) == {"learning_rate": 2e-4, "lora_rank": 32}
    code = "import copied; print(copied.tuned('llama', 128)['source'])"
    assert alone(tmp_path, code, BIOS_DEFAULTS=str(path)) == str(path)
    assert "BIOS_DEFAULTS is not set" in alone(tmp_path, code)
    loaded = "import copied; print('bios_sweep' in sys.modules, 'site' in sys.modules)"
    assert alone(tmp_path, loaded) == "False False"


def test_it_answers_as_the_package_does(tmp_path):
    batch = verdict("batch_size", "confirm", 32, 32, [16, 64], claim="balanced")
    speed = verdict("batch_size", "refine", 32, 64, [16, 64], claim="speed")
    tuned = build(RATE, RANK, batch, speed, profiles={"speed": {"batch_size": 64}})
    path = defaults.write_tuned(tmp_path / "study.json", tuned)
    for profile in ("quality", "balanced", "speed"):
        found = vendored_loader.tuned("llama", 128, profile=profile, path=path)
        assert found["values"] == {**tuned.values, **tuned.profiles.get(profile, {})}
    assert found["evidence"]["batch_size (speed)"]["verdict"] == "refine"
    winner = verdict("search", "refine", {}, {"learning_rate": 3e-4}, [{}])
    searched = build(RATE | {"verdict": "inconclusive"}, winner, served={"learning_rate": 3e-4})
    path = defaults.write_tuned(tmp_path / "search.json", searched)
    assert vendored_loader.tuned("llama", 128, path=path)["values"] == {"learning_rate": 3e-4}


@pytest.mark.parametrize(
    "asked",
    [("qwen", 128), ("llama", 129), ("llama", 128, "full"), ("llama", 128, "lora", "balanced", "other")],
)
def test_it_never_answers_for_another_key(tmp_path, asked):
    path = write(tmp_path / "file.json", entry())
    with pytest.raises(LookupError, match="no entry for"):
        vendored_loader.tuned(*asked, path=path)
    with pytest.raises(ValueError, match="profile: 'cheap'"):
        vendored_loader.tuned("llama", 128, profile="cheap", path=path)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.update(schema_version=3), "schema_version 3 is not 1 to 2"),
        (lambda c: c.pop("schema_version"), "it has no schema_version"),
        (lambda c: c.pop("evidence"), "'evidence' is missing"),
        (lambda c: c["values"].update(max_steps=100), "a value without evidence"),
        (lambda c: c["values"].update(learning_rate=2.0), "it must lie in"),
        (lambda c: c["evidence"]["learning_rate"].update(lower=9.0), "lower 9.0 is above upper"),
        (lambda c: c.update(values=[]), "is not shaped as a tuned-defaults file"),
        (lambda c: c.update(key=None), "is not shaped as a tuned-defaults file"),
        (lambda c: c.update(told=["learning_rate"]), "lora_rank: the trials were never told it"),
        (lambda c: c["values"].update(lora_rank=64), "no confirmed or refined verdict stands for 64"),
        (
            lambda c: c["evidence"]["lora_rank"].update(verdict="inconclusive"),
            "no confirmed or refined verdict",
        ),
    ],
)
def test_it_refuses_what_the_package_refuses(tmp_path, change, message):
    path = defaults.write_tuned(tmp_path / "file.json", build(RATE, RANK))
    rewritten(path, change)
    with pytest.raises(ValueError, match=message):
        vendored_loader.load(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "Expecting value"),
        ("[]", "no schema_version"),
        ('{"schema_version": 1, "schema_version": 1}', "given twice"),
        ('{"schema_version": NaN}', "NaN is no number"),
        ('{"schema_version": 1, "entries": [1]}', "no list of objects"),
    ],
)
def test_it_refuses_text_that_is_no_such_file(tmp_path, text, message):
    path = tmp_path / "file.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        vendored_loader.load(path)
    with pytest.raises(ValueError, match="No such file"):
        vendored_loader.load(tmp_path / "nothing.json")


def test_it_refuses_a_file_changed_by_hand_and_two_entries_for_one_key(tmp_path):
    path = write(tmp_path / "file.json", entry(), entry(hidden_size=256))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"effect_percent": 1.4', '"effect_percent": 9.4', 1), encoding="utf-8")
    with pytest.raises(ValueError, match="evidence_hash does not match"):
        vendored_loader.load(path)
    content = json.loads(text)
    content["entries"][1]["key"] = content["entries"][0]["key"]
    plain = {"schema_version": 1, **content["entries"][1]}
    content["entries"][1]["evidence_hash"] = evidence_hash(plain)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="two entries are for one key"):
        vendored_loader.load(path)
