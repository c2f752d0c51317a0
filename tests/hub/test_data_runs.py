"""A data set of the hub to its verdict: private, of several subsets, brought once, its token kept nowhere."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bios_sweep.cli.main import main
from tests.containers.files import ROWS, lines

RUN = (
    *("sweeps=aa", "cluster=inline", "tracking=sqlite", "seeds=[0]", "workspace=w", "baseline.batch_size=2"),
    *(
        "budget.max_steps=1",
        "baseline.train_examples=4",
        "data.eval_examples=4",
        "data=hub",
        "data.name=org/talk",
    ),
)
CARD = """---
configs:
- config_name: en
  data_files:
  - {split: first, path: en/first.jsonl}
  - {split: held, path: en/held.jsonl}
- config_name: de
  data_files: de/*.jsonl
---
"""
FILES = {
    "README.md": CARD.encode(),
    "en/first.jsonl": lines(ROWS[:30]),
    "en/held.jsonl": lines(ROWS[30:]),
    "de/all.jsonl": lines(ROWS[:5]),
}


@pytest.fixture
def private(hub, tmp_path, monkeypatch):
    hub.token = "hf_" + "Secret34" * 4
    hub.repository("datasets/org/talk", private=True).commit(FILES)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.chdir(tmp_path)
    return hub


def fetched(hub):
    return {
        path: count for path, count in hub.counted().items() if "/resolve/" in path and "README" not in path
    }


@pytest.mark.slow  # it trains, and the library of data sets takes seconds to load
def test_a_split_of_a_subset_is_trained_on_to_a_verdict_and_the_token_is_kept_nowhere(
    private, tmp_path, monkeypatch, capsys
):
    download = ("data.download=true", "data.eval_split=held")
    assert main(["run", *RUN, *download]) == 2
    told = capsys.readouterr().err
    assert "data set org/talk: has several subsets; choose one with data.subset=, of ['" in told
    assert main(["run", *RUN, *download, "data.subset=en"]) == 2
    assert "data.split: org/talk has no split 'train'; it has first, held" in capsys.readouterr().err
    named = (*RUN, "data.subset=en", "data.split=first", "data.eval_split=held")
    assert main(["run", *named, "data.download=true", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["verdicts"]
    files = fetched(private)
    assert set(files.values()) == {1}, files
    assert not any("/de/" in path for path in files)
    kept = {path: path.read_bytes() for path in (tmp_path / "w").rglob("*") if path.is_file()}
    assert any(path.name == "mlflow.db" for path in kept)
    assert not [path for path, content in kept.items() if private.token.encode() in content]
    assert private.token not in told.out + told.err
    private.repositories["datasets/org/talk"].commit({**FILES, "en/first.jsonl": lines(ROWS[:9])})
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    private.asked.clear()
    assert main(["plan", *named, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reused"] == 2, "the commit of the run, and its trials"
    assert not private.asked


@pytest.mark.slow  # two interpreters that load the library of data sets
def test_two_drivers_of_a_node_download_a_data_set_once(private):
    bring = (
        "from bios_sweep.hub.data import find_data\n"
        "print(find_data('org/talk', revision=None, subset='en', first=None, download=True).pinned)"
    )
    with ThreadPoolExecutor(2) as pool:
        command = [sys.executable, "-c", bring]
        both = list(pool.map(lambda _: subprocess.run(command, capture_output=True, text=True), range(2)))
    assert [one.returncode for one in both] == [0, 0], both[0].stderr + both[1].stderr
    assert both[0].stdout == both[1].stdout
    assert set(fetched(private).values()) == {1}
