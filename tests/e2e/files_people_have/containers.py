"""One set of records in all containers, folders and patterns, and what is none."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from datetime import date
from functools import partial
from pathlib import Path

from tests.containers.files import CONTAINERS, Rows, lines, separated, zipped
from tests.e2e.files_people_have.case import CHAT, PAIRS, Case, Content, each, one_line, turn

case = partial(Case, kind="containers")

NESTED = each(
    lambda n: {
        "id": n,
        "messages": [turn("user", f"{n}?"), turn("assistant", f"{n}.")],
        "meta": {"tags": ["a", "b"], "p": [[1, 2], [3]]},
    }
)
SHARDS = {f"set/data/train-{n:05}-of-00004.parquet": CONTAINERS["a.parquet"](PAIRS[n::4]) for n in range(4)}
VALID = [{"prompt": f"Held out {n}?", "completion": f"{n}."} for n in range(4)]


def _saved(path: Path, *, splits: bool) -> None:
    import datasets

    one = datasets.Dataset.from_list(PAIRS)
    both = (
        datasets.DatasetDict({"train": one, "validation": datasets.Dataset.from_list(VALID)})
        if splits
        else one
    )
    both.save_to_disk(str(path))


def _quoted_newlines(rows: Rows) -> bytes:
    return separated(",")(
        [{**row, "completion": row["completion"] + '\nline "two", and\r\nthree'} for row in rows]
    )


def packed(name: str) -> Content:
    return CONTAINERS[name](PAIRS)


QA = each(lambda n: {"question": f"Sky {n}?", "answer": f"Blue {n}."})
CASES = (
    *(case(name=f"as {name}", files={name: packed(name)}) for name in CONTAINERS),
    case(name="quoted line breaks", files={"a.csv": _quoted_newlines(PAIRS)}),
    case(
        name="CSV in UTF-16",
        files={"a.csv": separated(",")(PAIRS).decode().encode("utf-16")},
        ends="is UTF-16 text, as Excel",
    ),
    case(
        name="CSV of names alone",
        files={"a.csv": b"prompt,completion\n"},
        ends="has names of columns (prompt, completion) and no row under them",
    ),
    case(
        name="CSV without names",
        files={"a.csv": separated(",")(PAIRS).partition(b"\n")[2]},
        ends="write a line of names before it",
    ),
    case(
        name="CSV with an empty cell",
        files={"a.csv": separated(",")([*PAIRS, {"prompt": "a", "completion": ""}])},
        ends="a.csv:18: the completion is empty",
    ),
    case(
        name="CSV, one column", files={"a.csv": separated(",")(each(lambda n: {"text": f"Document {n}, a"}))}
    ),
    case(name="CSV with tabs", files={"a.csv": separated("\t")(PAIRS)}),
    case(
        name="question and answer",
        files={"qa.jsonl": lines(QA)},
        ends="'data.columns={prompt: question, completion: answer}' reads it",
    ),
    case(
        name="question and answer, named",
        files={"qa.jsonl": lines(QA)},
        words=("data.columns={prompt: question, completion: answer}",),
    ),
    case(
        name="a prompt and a text",
        files={"a.jsonl": lines([{**row, "text": "both"} for row in PAIRS])},
        ends="data.shape=",
    ),
    case(
        name="more columns",
        files={"a.jsonl": lines([{**row, "id": 3, "meta": {"lang": "en"}, "source": None} for row in PAIRS])},
    ),
    case(
        name="TRL's conversations",
        files={
            "a.jsonl": lines(
                each(
                    lambda n: {"prompt": [turn("user", f"{n}?")], "completion": [turn("assistant", f"{n}.")]}
                )
            )
        },
        model=CHAT,
    ),
    case(
        name="plain text in a record",
        files={"a.jsonl": lines(each(lambda n: {"text": f"A document {n}. " * 40}))},
        words=("data.chunk_tokens=auto",),
    ),
    case(
        name="a text file",
        files={"book.txt": b"Once upon a time.\n\nThe end.\n" * 40},
        ends="holds one example, and one must be held out",
    ),
    case(
        name="text files",
        files={f"book-{n}.txt": f"Once upon a time {n}.\n\nThe end.\n".encode() * 9 for n in range(8)},
        words=("data.path=book-*.txt", "data.chunk_tokens=auto"),
    ),
    case(name="wrapped in data", files={"a.json": json.dumps({"version": "1.0", "data": PAIRS}).encode()}),
    case(
        name="wrapped twice",
        files={"a.json": json.dumps({"dataset": {"data": PAIRS}}).encode()},
        ends="a.json",
    ),
    case(
        name="wrapped by split",
        files={"a.json": json.dumps({"train": PAIRS, "test": VALID}).encode()},
        ends="two lists of examples (train, test)",
    ),
    case(
        name="an array of arrays",
        files={"a.json": json.dumps([PAIRS]).encode()},
        ends="a list, not an object",
    ),
    case(
        name="by column",
        files={"a.json": json.dumps({"prompt": ["a", "b"], "completion": ["c", "d"]}).encode()},
        ends="orient='records'",
    ),
    case(
        name="one object with a list nobody knows",
        files={"a.json": json.dumps({"title": "Paris", "paragraphs": [{"p": 1}]}).encode()},
        ends="a.json:paragraphs item 1 (line 1): has the keys p",
    ),
    case(
        name="SQuAD",
        files={
            "a.json": json.dumps(
                {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "c", "qas": []}]}]}
            ).encode()
        },
        ends="has the keys paragraphs, title",
    ),
    case(name="nested lists in parquet", files={"a.parquet": CONTAINERS["a.parquet"](NESTED)}, model=CHAT),
    case(
        name="audio in parquet",
        files={"a.parquet": CONTAINERS["a.parquet"]([{**row, "audio": b"\0"} for row in PAIRS])},
        ends="or say with data.columns what is read beside it",
    ),
    case(
        name="audio in parquet that is not meant",
        files={"a.parquet": CONTAINERS["a.parquet"]([{**row, "audio": b"\0"} for row in PAIRS])},
        words=("data.columns={prompt: prompt, completion: completion}",),
    ),
    case(
        name="bytes in parquet that label a row",
        files={"a.parquet": CONTAINERS["a.parquet"]([{**row, "digest": b"\0\xff"} for row in PAIRS])},
    ),
    case(
        name="bytes in parquet that should be text",
        files={"a.parquet": CONTAINERS["a.parquet"]([{**row, "prompt": b"\0"} for row in PAIRS])},
        ends="prompt holds bytes, and only text is trained here",
    ),
    case(name="packed twice", files={"a.jsonl.gz.xz": lzma.compress(gzip.compress(lines(PAIRS)))}),
    case(
        name="a cut gzip",
        files={"a.jsonl.gz": gzip.compress(lines(PAIRS))[:-9]},
        ends="its gzip data are cut off",
    ),
    case(name="an empty gzip", files={"a.jsonl.gz": gzip.compress(b"")}, ends="is empty"),
    case(name="bzip2 of CSV", files={"a.csv.bz2": bz2.compress(separated(";")(PAIRS))}),
    case(
        name="zip of two",
        files={"a.zip": zipped(lines(PAIRS), "a.jsonl", "b.jsonl")},
        ends="is a zip archive of 2 files",
    ),
    case(
        name="a folder of splits",
        files={
            "set/train.jsonl": lines(PAIRS),
            "set/valid.jsonl": lines(VALID),
            "set/test.jsonl": lines(VALID),
        },
        words=("data.path=set",),
    ),
    case(
        name="a folder of shards",
        files={**SHARDS, "set/data/validation-00000-of-00001.parquet": CONTAINERS["a.parquet"](VALID)},
        words=("data.path=set/",),
    ),
    case(
        name="a folder of two",
        files={"set/a.jsonl": lines(PAIRS), "set/b.jsonl": lines(PAIRS)},
        words=("data.path=set",),
        ends="none of which is called train",
    ),
    case(
        name="an empty folder",
        files={"set/.keep": b""},
        words=("data.path=set",),
        ends="is a folder without files of data",
    ),
    case(name="saved to disk", files={"saved": partial(_saved, splits=False)}, words=("data.path=saved",)),
    case(
        name="splits saved to disk", files={"saved": partial(_saved, splits=True)}, words=("data.path=saved",)
    ),
    case(
        name="a pattern",
        files={"a-1.jsonl": lines(PAIRS[:8]), "a-2.jsonl": lines(PAIRS[8:])},
        words=("data.path=a-*.jsonl",),
    ),
    case(
        name="a pattern nothing fits",
        files={"a-1.jsonl": lines(PAIRS)},
        words=("data.path=b-*.jsonl",),
        ends="no file fits the pattern",
    ),
    case(
        name="weights",
        files={"a.jsonl": lines(PAIRS), "b.csv": separated(",")(VALID * 1)},
        words=("data.path=[a.jsonl,b.csv]", "data.weights=[0.8,0.2]"),
    ),
    case(
        name="the same in two packings",
        files={"a.jsonl": lines(PAIRS), "a.jsonl.gz": gzip.compress(lines(PAIRS))},
        words=("data.path=[a.jsonl,a.jsonl.gz]",),
        ends="are one file, packed and not; name it once",
    ),
    case(
        name="a file that is not there",
        files={"a.jsonl": lines(PAIRS)},
        words=("data.path=b.jsonl",),
        ends="b.jsonl: no such file",
    ),
    case(name="one huge line", files={"a.jsonl": one_line(prompt="word " * 200_000, completion="c")}),
    case(
        name="arrow of dates and decimals",
        files={"a.parquet": CONTAINERS["a.parquet"]([{**row, "day": date(2026, 1, 1)} for row in PAIRS])},
    ),
)
