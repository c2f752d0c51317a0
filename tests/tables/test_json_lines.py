"""JSON lines are read as tables too."""

from __future__ import annotations

import json

import pytest

from bios_sweep.errors import InputError
from bios_sweep.tables.reading import read_table

RUN = {"config": {"lr": 1e-4, "lora": {"r": 16}}, "seed": 0, "tags": ["a"], "done": True, "eval_loss": 1.25}


def read(tmp_path, text):
    path = tmp_path / "runs.jsonl"
    path.write_text(text)
    return read_table(path)


@pytest.mark.parametrize("form", [lambda rows: "\n".join(map(json.dumps, rows)), json.dumps])
def test_objects_are_rows_and_nested_names_are_paths(tmp_path, form):
    table = read(tmp_path, form([RUN, {"seed": 1, "eval_loss": None}]))
    assert table.rows == 2
    assert table.columns["config.lora.r"] == ("16", "")
    assert table.columns["config.lr"][0] == "0.0001"
    assert table.columns["eval_loss"] == ("1.25", "")
    assert table.columns["done"][0] == "true"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ('{"a": 1}\n{"a": \n', "line 2 is no JSON"),
        ("[1, 2]", "line 1 is no JSON object"),
        ("[]", "the list is empty"),
        ("[{}]", "the objects are empty"),
        (
            '{"log_history": [{"loss": 1}],\n "best": 2}',
            "is one JSON object (log_history, best), not a table of runs",
        ),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(tmp_path, text, sentence):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert sentence in str(error.value)


def test_a_text_table_is_read_as_before(tmp_path):
    assert read(tmp_path, "arm,seed\nb,0\n").columns == {"arm": ("b",), "seed": ("0",)}
