"""A data set of the hub by its name: prepared by its library, at one commit, and read like any file."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from pyarrow import parquet

from bios_sweep.cli.main import main
from bios_sweep.driver.scenarios.hub_data import hub_source
from bios_sweep.errors import BiosSweepError
from tests.containers.files import ROWS, lines
from tests.hub.test_models import TINY


def table(rows) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def asked_for(name: str = "org/pairs", pins=None, **values):
    given = {"name": name, "split": "train", "download": True, **values}
    return hub_source(given, pins or {})


def rows(source):
    return [record.row for record in source.read()]


def test_a_data_set_is_prepared_once_and_then_read_from_the_cache_at_its_commit(hub, monkeypatch):
    repository = hub.repository("datasets/org/pairs")
    files = {
        "README.md": b"# Pairs\n",
        "data/train-00000-of-00002.parquet": table(ROWS[:30]),
        "data/train-00001-of-00002.parquet": table(ROWS[30:]),
        "data/validation-00000-of-00001.parquet": table(ROWS[:5]),
    }
    first = repository.commit(files)
    with pytest.raises(BiosSweepError, match=r"has not prepared it in .*; add data\.download=true"):
        asked_for(download=False)
    assert not hub.asked
    source, pinned = asked_for()
    assert pinned == f"org/pairs@{first}"
    assert rows(source) == ROWS
    assert rows(source.held_out) == ROWS[:5]
    assert source.about == f"org/pairs@{first} (default), split train, evaluation split validation"
    assert [record.place for record in source.read()][-1] == "org/pairs train:row 40"
    with pytest.raises(BiosSweepError, match=r"data\.split: org/pairs has no split 'all'; it has train"):
        asked_for(split="all")
    hub.asked.clear()
    second = repository.commit({**files, "data/train-00000-of-00002.parquet": table(ROWS[:10])})
    assert rows(asked_for(download=False)[0]) == ROWS, "main is what it was when it was downloaded"
    assert not hub.asked
    pins = {"data set org/pairs": first, "dataset org/pairs": first}
    newer, moved = asked_for(revision=second)
    assert (moved, len(rows(newer))) == (f"org/pairs@{second}", 20)
    assert asked_for(pins=pins, download=False)[1] == pinned
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    assert rows(asked_for(revision=first)[0]) == ROWS
    with pytest.raises(BiosSweepError, match="but HF_DATASETS_OFFLINE is set; unset it"):
        asked_for("org/other")


@pytest.mark.parametrize(
    "name, more, sentence",
    [
        ("gated", {}, "is gated; accept its terms at "),
        ("gone", {}, "has none of that name, or hides it from strangers"),
        ("broken", {}, "answers with HTTP 507"),
        ("none", {"revision": "v9"}, "has no revision 'v9'"),
        pytest.param(
            "none", {}, "has no files of data that the datasets library reads", marks=pytest.mark.slow
        ),
    ],
)
def test_what_the_hub_refuses_of_data_is_one_sentence(hub, name, more, sentence):
    hub.repository("datasets/org/gated", gated=True).commit({"train.jsonl": lines(ROWS)})
    hub.repository("datasets/org/none").commit({"README.md": b"x", "a.bin": b"x"})
    hub.repository("datasets/org/broken").commit({"train.jsonl": lines(ROWS)})
    hub.faults = {"* /api/datasets/org/broken*": (99, 507)}
    with pytest.raises(BiosSweepError) as raised:
        asked_for(f"org/{name}", **more)
    assert str(raised.value).startswith(f"data set org/{name}: "), raised.value
    assert sentence in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["data.name=pairs"], "data.name: 'pairs' is not allowed; a data set of the hub, such as"),
        (["data.name=a/b", "data.path=x.jsonl"], "data.path: data=hub reads data.name; leave it out"),
        (["data.name=a/b", "data.download=7"], "data.download: 7 is not allowed"),
    ],
)
def test_keys_of_the_hub_are_checked(hub, tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", *TINY, "data=hub", *words]) == 2
    assert sentence in capsys.readouterr().err
