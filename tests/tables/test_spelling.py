"""Numbers as people and spreadsheets write them are read as what they mean, and text is left alone."""

from __future__ import annotations

import json
import math

import pytest

from bios_sweep.tables.reading import read_table
from bios_sweep.tables.spelling import readings
from bios_sweep.tables.text_table import numbers


def read(tmp_path, text):
    path = tmp_path / "runs.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(path)


def cells(tmp_path, text):
    return {name: list(column) for name, column in read(tmp_path, text).columns.items()}


@pytest.mark.parametrize(
    "text, column",
    [
        ("a;b\n1,5;2\n1,25;3\n", ["1.5", "1.25"]),  # a decimal comma, in a table of semicolons
        ('a,b\n"1,5","0,25"\n"1,25",3\n', ["1.5", "1.25"]),  # in one of commas
        ("a\tb\n1,5e-4\t2\n3\t3\n", ["1.5e-4", "3"]),
        ("a;b\n1.224,5;2\n987,5;3\n", ["1224.5", "987.5"]),  # points between groups
        ("a;b\n1,224;2\n1,187;3\n", ["1.224", "1.187"]),  # semicolons go with decimal commas
        ('a,b\n"1,024",0.5\n512,0.25\n', ["1024", "512"]),  # groups, for decimals have points
        ('a,b\n"1,024",2\n"2,048",3\n', ["1024", "2048"]),
        ('a,b\n"1,024.5",2\n"2,048",3\n', ["1024.5", "2048"]),
        ("a,b\n1'024,0.5\n512,0.25\n", ["1024", "512"]),
        ("a,b\n1\u00a0024,0.5\n512,0.25\n", ["1024", "512"]),
        ("a,b\n\u22121.5,2\n-2.5,3\n", ["-1.5", "-2.5"]),  # a typographic minus
        ("a,b\nN/A,2\n1.5,3\n-,4\nNone,5\n#N/A,6\nOOM,7\n", ["", "1.5", "", "", "", ""]),
        ("a,b\ndiverged,2\n1.5,3\nNaN,4\n", ["nan", "1.5", "nan"]),
    ],
)
def test_a_number_is_read_as_the_table_writes_numbers(tmp_path, text, column):
    assert cells(tmp_path, text)["a"] == column


@pytest.mark.parametrize(
    "text, column",
    [
        ('a,b\n"q,v",0.5\n"q,k,v",0.25\n', ["q,v", "q,k,v"]),
        ('a,b\n"0.9,0.999",1\n"0.9,0.95",2\n', ["0.9,0.999", "0.9,0.95"]),
        ('a,b\n"[1, 2]",1\n"[3, 4]",2\n', ["[1, 2]", "[3, 4]"]),
        ("a,b\nnone,1\nadamw,2\n", ["none", "adamw"]),
        ('a,b\n"1,5",0.5\n"2,5",0.25\n', ["1,5", "2,5"]),  # both kinds of decimals: not guessed
        ("a,b\n10.0.0.5,0.5\n10.0.0.6,0.25\n", ["10.0.0.5", "10.0.0.6"]),
        ("a,b\n2026-01-01,0.5\n2026-01-02,0.25\n", ["2026-01-01", "2026-01-02"]),
    ],
)
def test_what_is_no_number_is_left_alone(tmp_path, text, column):
    assert cells(tmp_path, text)["a"] == column


def test_what_a_comma_was_taken_for_is_told(tmp_path):
    assert read(tmp_path, "a;b\n1,5;2\n1,25;3\n").notes == ("'1,25' is read as 1.25",)
    assert read(tmp_path, "a;b\n1.5;2\n1.25;3\n").notes == ()


def test_percent_is_read_in_percent_where_all_cells_have_the_sign(tmp_path):
    table = read(tmp_path, "a;b\n71,2%;2\n70,9 %;3\n;4\n")
    assert numbers(table, "a", "value")[:2] == (71.2, 70.9)
    assert math.isnan(numbers(table, "a", "value")[2])


def test_a_number_in_a_command_may_be_written_either_way():
    assert readings("0,0002") == {0.0002}
    assert readings("1,024") == {1024.0, 1.024}
    assert readings("adamw") == set()


@pytest.mark.parametrize(
    "text",
    [
        "# made by a script\na,b\n1,2\n",
        "Results of last week\n\na,b\n1,2\n",
        "| a | b |\n|---|---:|\n| 1 | 2 |\n",
        "a,b,a\n1,2,1\n",
    ],
)
def test_what_stands_around_a_table_is_no_part_of_it(tmp_path, text):
    assert cells(tmp_path, text) == {"a": ["1"], "b": ["2"]}


RUNS = [{"lr": 0.1, "loss": 1.5}, {"lr": 0.2, "loss": 1.25}]


@pytest.mark.parametrize(
    "whole",
    [
        {"runs": RUNS},
        {"columns": ["lr", "loss"], "data": [[0.1, 1.5], [0.2, 1.25]]},  # pandas, orient="split"
        {"lr": {"0": 0.1, "1": 0.2}, "loss": {"0": 1.5, "1": 1.25}},  # pandas as it is
        {"first": RUNS[0], "second": RUNS[1]},
    ],
)
def test_one_object_of_all_runs_is_a_table(tmp_path, whole):
    found = cells(tmp_path, json.dumps(whole))
    assert (found["lr"], found["loss"]) == (["0.1", "0.2"], ["1.5", "1.25"])


@pytest.mark.parametrize("written", [json.dumps, repr])
def test_a_cell_that_is_a_dictionary_is_a_column_per_entry(tmp_path, written):
    """As W&B's own example of an export has it: summary and config as text of a dictionary."""
    rows = [
        (f"run-{n}", {"eval/loss": 1.5 + n, "_wandb": {"runtime": 3}}, {"optim": {"lr": 0.1}, "fp16": True})
        for n in range(2)
    ]
    lines = [",".join('"' + str(cell).replace('"', '""') + '"' for cell in (name, written(s), written(c)))
             for name, s, c in rows]  # fmt: skip
    found = cells(tmp_path, "name,summary,config\n" + "\n".join(lines) + "\n")
    assert found["summary.eval/loss"] == ["1.5", "2.5"]
    assert found["config.optim.lr"] == ["0.1", "0.1"]
    assert "config" not in found
    assert not any("_wandb" in name for name in found)


def test_a_dictionary_under_another_name_stays_a_cell(tmp_path):
    text = 'params.id2label,loss\n"{""0"": ""a""}",1\n'
    assert cells(tmp_path, text)["params.id2label"] == ['{"0": "a"}']
