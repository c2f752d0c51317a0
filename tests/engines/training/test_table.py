"""Tokens in files: what is read is what was tokenised, prepared once, at the cost of two bytes a token."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training import kept
from bios_sweep.engines.training.chat import Reading, chat_template
from bios_sweep.engines.training.data import DataSet, Example, open_dataset, write_dataset
from bios_sweep.engines.training.loop import evaluation_set
from bios_sweep.engines.training.table import ARRAYS, prepared
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from tests.engines.training.test_chat import conversation, encoder, model_folder
from tests.engines.training.test_conversations import CHATML, LONG_TALK

MANY = 2000


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(kept, "kept_root", lambda kind: tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def examples(count: int) -> list[Example]:
    words = ["alpha", "beta", "gamma", "delta", "epsilon"]
    said = [" ".join(words[(number + i) % 5] for i in range(1 + number % 30)) for number in range(count)]
    return [
        Example(prompt=f"{number}: ", completion=text, cluster=f"c{number % 7}")
        for number, text in enumerate(said)
    ]


def as_values(example) -> tuple:
    return (
        list(map(int, example.input_ids)), example.prompt_length, example.completion_bytes, example.asides,
        example.supervised_tokens,
    )  # fmt: skip


def test_a_table_holds_the_examples_and_their_clusters_and_costs_two_bytes_a_token(own_cache):
    tokenizer = load_tokenizer(base_model_path())
    made = list(tokenize_all(examples(MANY), tokenizer, 40))
    table = prepared({"data": "d"}, 2048, lambda: iter(made))
    assert [as_values(one) for one in table] == [as_values(one) for one in made]
    assert (table.longest, table.largest) == (
        max(len(one.input_ids) for one in made), max(max(one.input_ids) for one in made),
    )  # fmt: skip
    cpu = __import__("torch").device("cpu")
    assert np.array_equal(evaluation_set(table, 8, cpu).cluster, evaluation_set(made, 8, cpu).cluster)
    [folder] = [path.parent for path in own_cache.glob("*/facts.json")]
    size = sum(path.stat().st_size for path in folder.iterdir() if path.name != "facts.json")
    assert size == 2 * sum(len(one.input_ids) for one in made) + MANY * (8 + 4 + 4 + 8 + 8)
    assert len(ARRAYS) == 5
    some = table.subset(np.array([5, 3]))
    assert [as_values(one) for one in some] == [as_values(made[5]), as_values(made[3])]
    assert [as_values(one) for one in some[1:]] == [as_values(made[3])]
    with pytest.raises(IndexError):
        table[MANY]


def test_asides_are_kept(tmp_path):
    folder = model_folder(tmp_path / "m", encoder(), CHATML, "</s>", "</s>")
    template = chat_template(folder, Reading(every_answer=True))
    talks = [conversation(*LONG_TALK), conversation(*LONG_TALK[:2]), conversation(*LONG_TALK[:4])]
    made = list(tokenize_all(talks, load_tokenizer(folder), 500, template))
    table = prepared({"data": "talks"}, 2**16 + 1, lambda: iter(made))
    assert [as_values(one) for one in table] == [as_values(one) for one in made]


def test_a_table_is_made_once_and_again_where_it_is_damaged(own_cache, caplog):
    made = list(tokenize_all(examples(20), load_tokenizer(base_model_path()), 40))
    calls = []

    def make():
        calls.append(1)
        return iter(made)

    for _ in range(2):
        prepared({"data": "once"}, 2048, make)
    assert len(calls) == 1
    [ids] = own_cache.glob("*/ids")
    ids.write_bytes(bytes([ids.read_bytes()[0] ^ 1]) + ids.read_bytes()[1:])
    table = prepared({"data": "once"}, 2048, make)
    assert len(calls) == 2
    assert "is damaged (ids) and prepared again" in caplog.text
    assert [as_values(one) for one in table] == [as_values(one) for one in made]
    prepared({"data": "other"}, 2048, make)
    assert len(calls) == 3


def test_a_data_file_is_read_line_by_line_and_proved(tmp_path):
    path, many = tmp_path / "d.jsonl", examples(9)
    dataset = DataSet(name="d", train=tuple(many[:6]), evaluation=tuple(many[6:]), source="s")
    write_dataset(dataset, path)
    file = open_dataset(path).verified()
    assert tuple(file.examples(held_out=False)) == dataset.train
    assert tuple(file.examples(held_out=True)) == dataset.evaluation
    assert json.loads(path.read_text().splitlines()[0])["fingerprint"] == file.fingerprint
