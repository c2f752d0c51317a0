"""Which files a path names, and how several are mixed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import datasets
import pyarrow as pa
import pytest

from bios_sweep.cli.main import main
from bios_sweep.containers.source import source_of
from bios_sweep.engines.training.jsonl import jsonl_examples
from bios_sweep.errors import DataError
from tests.containers.files import CONTAINERS, ROWS, lines


def rows(source):
    return [record.row for record in source.read()]


def some(word: str, count: int) -> list[dict[str, str]]:
    return [{"prompt": f"{word} {number}?", "completion": f"{number}"} for number in range(count)]


def write(folder: Path, **files: list[dict[str, str]]) -> Path:
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lines(content))
    return folder


@pytest.mark.parametrize("word", ["validation", "val", "valid", "dev", "eval", "data-val", "dev_set"])
def test_a_folder_brings_its_own_validation_split(tmp_path, word):
    folder = write(tmp_path / "set", **{"train": some("t", 9), word: some("v", 4), "test": some("x", 3)})
    (folder / "README.md").write_text("about")
    data = jsonl_examples(str(folder))
    assert (data.name, len(data.train), len(data.evaluation)) == ("set", 9, 4)
    assert data.source == f"{folder} (train.jsonl), evaluation {word}.jsonl, not read: test.jsonl"


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"],
        ["data__train-0", "data__train-1", "data__test-0"],
        ["train__a", "train__b", "val__a"],
        ["part-0", "part-1"],
        ["my_train_1", "my_train_2"],
    ],
)
def test_a_folder_of_shards_is_read_in_their_order(tmp_path, names):
    folder = write(tmp_path / "set", **{name: some(name, 3) for name in names})
    assert [row["prompt"] for row in rows(source_of(str(folder)))] == [
        row["prompt"] for name in names[:2] for row in some(name, 3)
    ]


@pytest.mark.parametrize(
    "names, sentence",
    [
        ([], "is a folder without files of data (it has other.md)"),
        (["validation", "test"], "is a folder without a training split (it has test, validation)"),
        (["apples", "pears"], "has several files (apples.jsonl, pears.jsonl), none of which is called train"),
    ],
)
def test_a_folder_that_does_not_say_what_is_meant_is_refused(tmp_path, names, sentence):
    folder = write(tmp_path / "set", **{name: some(name, 3) for name in names})
    folder.mkdir(exist_ok=True)
    (folder / "other.md").write_text("about")
    with pytest.raises(DataError) as raised:
        source_of(str(folder))
    assert sentence in str(raised.value)


def test_the_same_split_in_two_containers_is_refused(tmp_path):
    folder = write(tmp_path / "set", train=some("t", 3))
    (folder / "train.csv").write_bytes(CONTAINERS["a.csv"](some("t", 3)))
    with pytest.raises(DataError, match=r"has both train\.csv and train\.jsonl; give the one that is meant"):
        source_of(str(folder))


@pytest.mark.parametrize(
    "names",
    [
        ["train_sft", "train_gen"],
        ["train", "train_old"],
        ["train", "train__part"],
        ["train", "train2"],
        ["data__train_a", "data__train_b"],
        ["train", "val", "dev"],
    ],
)
def test_two_data_sets_of_one_split_are_neither_merged_nor_lost(tmp_path, names):
    folder = write(tmp_path / "set", **{name: some(name, 3) for name in names})
    with pytest.raises(DataError, match=r"several may be its .* split \(.*say which with data\.path="):
        source_of(str(folder))


def test_two_saved_splits_that_may_be_the_training_split_are_refused(tmp_path):
    one = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train_sft": one, "train_gen": one, "test": one}).save_to_disk(str(tmp_path / "a"))
    with pytest.raises(DataError, match=r"train split \(train_gen, train_sft\)"):
        source_of(str(tmp_path / "a"))
    assert rows(source_of(str(tmp_path / "a" / "train_gen"))) == ROWS


@pytest.mark.parametrize("name", [3, None, ["a"], "", "..", "../a.arrow", "/etc/passwd", "a\0b"])
def test_a_damaged_list_of_saved_files_is_refused(tmp_path, name):
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(DataError, match=r"state\.json: cannot be read as .* save the data set again"):
        source_of(str(tmp_path))


def test_no_file_is_read_twice(tmp_path):
    write(tmp_path, a=some("a", 2), b=some("b", 2))
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "a.jsonl")
    one = str(tmp_path / "a.jsonl")
    for given in (
        [one, one],
        [one, f"{tmp_path}/[ab].jsonl"],
        f"{tmp_path}/*.jsonl",
        [one, f"{tmp_path}/./a.jsonl"],
    ):
        with pytest.raises(DataError, match=r"a\.jsonl and .* are the same file; name it once"):
            source_of(given)
    (tmp_path / "b.jsonl.gz").write_bytes(CONTAINERS["a.jsonl.gz"](some("b", 2)))
    with pytest.raises(DataError, match=r"has both b\.jsonl and b\.jsonl\.gz; give the one that is meant"):
        source_of(f"{tmp_path}/b*")


def test_what_save_to_disk_leaves_is_read_without_the_library(tmp_path):
    one = datasets.Dataset.from_list(ROWS)
    one.save_to_disk(str(tmp_path / "one"), num_shards=2)
    datasets.DatasetDict({"train": one, "validation": one.select(range(5)), "test": one}).save_to_disk(
        str(tmp_path / "splits")
    )
    one.shuffle(seed=1).save_to_disk(str(tmp_path / "shuffled"))
    assert rows(source_of(str(tmp_path / "one"))) == ROWS
    both = source_of(str(tmp_path / "splits"))
    assert rows(both) == ROWS
    assert [record.row for record in both.held_out.read()] == ROWS[:5]
    assert rows(source_of(str(tmp_path / "shuffled"))) == list(one.shuffle(seed=1))
    (tmp_path / "one" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match=r"state\.json lists data-00001-of-00002\.arrow, which is not there"):
        source_of(str(tmp_path / "one"))


def test_a_pattern_is_its_files_in_the_order_of_their_names(tmp_path):
    write(tmp_path, b=some("b", 2), a=some("a", 2), deep__c=some("c", 2))
    assert rows(source_of(f"{tmp_path}/*.jsonl")) == [*some("a", 2), *some("b", 2)]
    assert len(rows(source_of(f"{tmp_path}/**/*.jsonl"))) == 6
    with pytest.raises(DataError, match="no file fits the pattern"):
        source_of(f"{tmp_path}/*.csv")


def test_a_file_with_brackets_in_its_name_is_no_pattern(tmp_path):
    (tmp_path / "a[1]?.jsonl").write_bytes(lines(ROWS))
    assert rows(source_of(str(tmp_path / "a[1]?.jsonl"))) == ROWS


@pytest.mark.parametrize(
    "address, way_out",
    [
        ("https://example.org/a.jsonl", "download it and give the file"),
        ("s3://bucket/a.parquet", "download it and give the file"),
        ("hf://datasets/org/name/a.jsonl", "use data=hub data.name=ORG/NAME"),
    ],
)
def test_an_address_is_no_path(address, way_out):
    with pytest.raises(DataError, match=way_out):
        source_of(address)


def test_several_files_are_mixed_in_the_shares_that_are_asked_for_and_nothing_is_repeated(tmp_path):
    write(tmp_path, a=some("a", 300), b=some("b", 100))
    given = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    assert Counter(row["prompt"][0] for row in rows(source_of(given))) == {"a": 300, "b": 100}
    half = rows(source_of(given, [0.5, 0.5]))
    assert Counter(row["prompt"][0] for row in half) == {"a": 100, "b": 100}
    assert len({json.dumps(row) for row in half}) == 200
    assert Counter(row["prompt"][0] for row in rows(source_of(given, [1, 4]))) == {"a": 25, "b": 100}
    (tmp_path / "a.jsonl").write_bytes(lines(some("a", 300)[::-1]))
    again = rows(source_of(given, [0.5, 0.5]))
    assert sorted(row["prompt"] for row in again) == sorted(row["prompt"] for row in half)


@pytest.mark.parametrize(
    "weights, sentence",
    [
        ([1], "data.weights: 1 weights for 2 paths"),
        ([1, 0], "data.weights: [1, 0] is not allowed; numbers above 0"),
        ("0.5", "data.weights: '0.5' is not allowed"),
        ([1, "x"], "data.weights: [1, 'x'] is not allowed"),
    ],
)
def test_weights_that_fit_no_files_are_refused(tmp_path, weights, sentence):
    write(tmp_path, a=some("a", 3), b=some("b", 1))
    with pytest.raises(DataError if "paths" in sentence else Exception) as raised:
        source_of([str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")], weights)
    assert sentence in str(raised.value)


def test_a_share_beside_a_validation_split_is_refused(tmp_path):
    folder = write(tmp_path / "set", train=some("t", 9), valid=some("v", 4))
    with pytest.raises(DataError, match=r"has a validation split of its own \(valid\.jsonl\); leave it out"):
        jsonl_examples(str(folder), eval_fraction=0.2)
    assert len(jsonl_examples(str(folder), eval_examples=2).evaluation) == 2


def test_every_container_makes_the_same_data_set(tmp_path):
    marks = set()
    for name, write_as in CONTAINERS.items():
        (tmp_path / name).write_bytes(write_as(ROWS))
        marks.add(jsonl_examples(str(tmp_path / name), eval_examples=5).fingerprint)
    assert len(marks) == 1


def test_a_plan_takes_several_files_with_weights_as_the_page_writes_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, a=some("a", 30), b=some("b", 10))
    words = ("sweeps=aa", "cluster=inline", "tracking=none", "seeds=[0]", "data.eval_examples=4")
    assert main(["plan", *words, "data.path=[a.jsonl,b.jsonl]", "data.weights=[0.5,0.5]"]) == 0
    assert main(["plan", *words, "data.path=[a.jsonl,b.jsonl]", "data.weights=[0.5]"]) == 2
    assert "data.weights: 1 weights for 2 paths" in capsys.readouterr().err


def test_an_arrow_file_whose_names_are_no_text_is_refused_without_a_word_of_codecs(tmp_path):
    table = pa.table({"prompt": ["a"], "completion": ["b"]})
    path = tmp_path / "file.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(path.read_bytes().replace(b"prompt", b"p\xfeompt"))
    with pytest.raises(DataError, match="a name in it holds the byte 0xfe, which is no UTF-8"):
        list(source_of(path).read())
