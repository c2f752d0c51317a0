"""What is read of files, whatever their container, and what is said of those that are none."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bios_sweep.containers.document import KNOWN_NAMES
from bios_sweep.containers.read import records
from bios_sweep.engines.training.shapes.asked import Asked
from bios_sweep.engines.training.shapes.reading import Reader
from bios_sweep.engines.training.shapes.registry import ANSWERS, COLUMNS, QUESTIONS
from bios_sweep.errors import DataError
from tests.containers.files import BAD_RECORDS, CONTAINERS, REFUSED, ROWS, lines
from tests.engines.training.records import read_examples
from tests.probe import HEAVY, loaded


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_same_records(tmp_path, name):
    (tmp_path / name).write_bytes(CONTAINERS[name](ROWS))
    found = list(records(tmp_path / name))
    assert [record.row for record in found] == ROWS
    places = [record.place for record in found]
    assert len(set(places)) == len(ROWS)
    assert all(place.startswith(f"{tmp_path / name}:") for place in places)


@pytest.mark.parametrize(
    "name, last",
    [("a.jsonl", ":40"), ("a.parquet", ":row 40"), ("pretty.json", ":item 40 (line 158)"), ("a.csv", ":80")],
)
def test_a_place_is_where_an_editor_finds_the_record(tmp_path, name, last):
    (tmp_path / name).write_bytes(CONTAINERS[name](ROWS))
    assert [*records(tmp_path / name)][-1].place == f"{tmp_path / name}{last}"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named_for_what_it_is(tmp_path, name):
    content, sentence = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        list(records(tmp_path / name))
    assert str(raised.value).startswith(f"{tmp_path / name}:")
    assert sentence in str(raised.value)


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_record_that_cannot_be_read_has_its_place_and_the_others_are_read(tmp_path, name):
    content, sentence, others = BAD_RECORDS[name]
    (tmp_path / name).write_bytes(content)
    found = [record.row for record in records(tmp_path / name)]
    bad = [row for row in found if isinstance(row, DataError)]
    assert len(bad) == 1
    assert sentence in str(bad[0])
    assert len(found) - 1 == others


@pytest.mark.parametrize(
    "content",
    [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        {"id": "x", "turns": [{"role": "user", "content": "a"}]},
        {"prompt": "a", "completion": "b", "tools": [{"name": "f"}]},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_file_of_one_example_is_not_taken_for_a_list_of_its_turns(tmp_path, content, indent):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content, indent=indent))
    assert [record.row for record in records(path)] == [content]


INNER = {"id": 1, "documents": [{"title": "a", "text": "b" * 99}], "question": "q", "answer": "a"}


@pytest.mark.parametrize("listed", ["documents", "passages"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("count, times", [(1, 1), (3, 1), (1, 1000), (3, 1000)])
def test_a_record_with_a_list_before_its_question_is_one_record(tmp_path, listed, indent, count, times):
    row = {listed if key == "documents" else key: value for key, value in INNER.items()}
    row[listed] = row[listed] * times
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row, indent=indent) for _ in range(count)))
    assert [record.row for record in records(path)] == [row] * count


def test_long_objects_in_a_row_are_records_whatever_their_fields(tmp_path):
    row = {"id": 1, "passages": [{"title": "a", "body": "b" * 99}] * 1000}
    (tmp_path / "a.jsonl").write_bytes(lines([row, row]))
    assert [record.row for record in records(tmp_path / "a.jsonl")] == [row, row]


@pytest.mark.parametrize(
    "after, sentence", [({"question": "q"}, "fields of an example"), ({}, "more follows")]
)
def test_a_list_too_long_to_look_behind_is_refused_where_a_record_shows(tmp_path, after, sentence):
    row = {"passages": [{"title": "a", "body": "b" * 99}] * 20_000, **after}
    (tmp_path / "a.jsonl").write_bytes(lines([row, row]))
    with pytest.raises(DataError, match=sentence):
        list(records(tmp_path / "a.jsonl"))


def test_a_list_on_one_line_of_megabytes_is_read_item_by_item(tmp_path):
    path = tmp_path / "a.json"
    many = [{"text": "x" * 700, "number": number} for number in range(4000)]
    path.write_text(json.dumps({"about": {"by": "us"}, "rows": many}))
    found = records(path)
    assert next(found).row == many[0]
    assert sum(1 for _ in found) == len(many) - 1


@pytest.mark.parametrize("name", ["a.jsonl.gz", "array.json", "data.json", "a.csv", "a.parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    """Peak of a process that reads 1 000 and 40 000 records; the interpreter alone has about 40 MB."""
    read = (
        "import sys; from pathlib import Path; from bios_sweep.containers.read import records\n"
        "for _ in records(Path(sys.argv[1])): pass\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    peaks = []
    for count in (1_000, 40_000):
        (tmp_path / name).write_bytes(CONTAINERS[name]([{"text": "x" * 600}] * count))
        command = [sys.executable, "-c", read, str(tmp_path / name)]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True).stdout))
    assert peaks[1] < peaks[0] + 4_000, f"{peaks} KiB for 0.6 and 24 MB"


def test_a_plan_loads_no_library_for_columns_and_takes_no_folder_for_one(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "pyarrow.py").write_text("raise SystemExit('of the user')")
    for name in ("a.parquet", "a.jsonl.zst"):
        (tmp_path / name).write_bytes(CONTAINERS[name](ROWS))
        code = (
            "from pathlib import Path; from bios_sweep.containers.read import records\n"
            f"assert len(list(records(Path({name!r})))) == 40"
        )
        assert not loaded(code, tmp_path) & (HEAVY | {"pyarrow"})


def test_a_file_that_is_no_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, sentence in {"none": "no such file", ".": "is a folder", "pipe": "is a device or pipe"}.items():
        with pytest.raises(DataError, match=sentence):
            list(records(tmp_path / name))


def test_a_reader_may_stop_early(tmp_path):
    for name in ("a.parquet", "a.jsonl.zst", "array.json"):
        (tmp_path / name).write_bytes(CONTAINERS[name](ROWS))
        found = records(tmp_path / name)
        assert next(found).row == ROWS[0]
        found.close()


def test_a_text_file_is_one_document(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfDear diary,\r\ntoday it rained.\n\nThe end.\n")
    (tmp_path / "empty.txt").write_bytes(b" \n")
    found = list(records(tmp_path / "a.txt"))
    assert found == [(f"{tmp_path}/a.txt:1", {"text": "Dear diary,\ntoday it rained.\n\nThe end.\n"})]
    assert not list(records(tmp_path / "empty.txt"))


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.txt", "Roses are red, violets are blue\nSugar is sweet, and so are you\n"),
        ("a.md", "Title | Sub\nA | B\n"),
        ("README.md", "[![Build](https://x/b.svg)](https://x)\n# Name\n"),
        ("a.text", "{name} was here\n{name} went\n"),
        ("a.TXT", "[1] A. Author, a title.\n"),
        ("links.md", "[{{ site.name }}](x), and more\n"),
    ],
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_prose_with_commas_bars_or_brackets_is_a_document(tmp_path, name, text, ending):
    path = tmp_path / f"{name}{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending else text.encode())
    assert [record.row for record in records(path)] == [{"text": text}]


@pytest.mark.parametrize("name", ["a.jsonl", "array.json", "pretty.json", "data.json", "a.csv", "a.tsv"])
def test_records_in_a_file_that_is_called_a_text_are_read_as_records(tmp_path, name):
    path = tmp_path / "a.txt"
    path.write_bytes(CONTAINERS[name](ROWS))
    assert [record.row for record in records(path)] == ROWS


IMAGE = {"bytes": b"\x89PNG", "path": "a.png"}  # as `datasets` writes one


@pytest.mark.parametrize(
    "column, value, columns, sentence",
    [
        ("digest", b"\x89", {}, ""),
        ("image", IMAGE, {}, "the key 'image' is not trained on: only text is trained here"),
        ("image", IMAGE, {"text": "text"}, ""),
        ("text", b"\x89", {}, "text holds bytes, and only text is trained here"),
    ],
)
def test_bytes_that_nobody_reads_are_passed_over_and_others_refused(
    tmp_path, column, value, columns, sentence
):
    rows = [{"text": "a", "n": 1, column: value}]
    (tmp_path / "a.parquet").write_bytes(CONTAINERS["a.parquet"](rows))
    reader = Reader(Asked(columns=columns))
    if sentence:
        with pytest.raises(DataError, match=sentence):
            list(reader(records(tmp_path / "a.parquet")))
        return
    assert [example.completion for example in reader(records(tmp_path / "a.parquet"))] == ["a"]
    assert column in reader.found.passed_over


@pytest.mark.parametrize("content", ["{'text': 'a'}\n", '{"text": "a",}\n', '[{"text": "a"}, {"te'])
def test_a_broken_record_in_a_text_is_told_and_not_learned_as_prose(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_text(content)
    try:
        last = list(records(path))[-1].row
    except DataError as error:
        last = error
    assert "not valid JSON" in str(last)


def test_every_name_that_a_shape_knows_is_a_name_of_a_column():
    assert {*COLUMNS, *QUESTIONS, *ANSWERS} <= KNOWN_NAMES


def test_an_example_of_half_a_megabyte_is_one_line(tmp_path):
    rows = [{"text": "long " * 100_000}, {"text": "short"}]
    (tmp_path / "a.jsonl").write_bytes(lines(rows))
    assert [record.row for record in records(tmp_path / "a.jsonl")] == rows


def test_a_field_that_only_another_rows_struct_has_is_not_read_as_null(tmp_path: Path):
    talks = [
        {
            "messages": [
                {"role": "user", "content": f"Question {number}?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"type": "function", "function": {"name": name, "arguments": {key: f"C{number}"}}}
                    ],
                },
            ]
        }
        for number, (name, key) in enumerate([("weather", "city"), ("sum", "a")] * 2)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(talk) + "\n" for talk in talks))
    parquet.write_table(pa.Table.from_pylist(talks), tmp_path / "a.parquet")
    texts, columns = (
        [example.messages for example in read_examples(tmp_path / name)] for name in ("a.jsonl", "a.parquet")
    )
    assert columns == texts
