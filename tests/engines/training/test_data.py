"""The user's own data: lines, sides, fingerprints, the file for workers, tokens."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training.data import (
    DataSet,
    Example,
    Message,
    example_of,
    keep_dataset,
    line_of,
    read_dataset,
    write_dataset,
)
from bios_sweep.engines.training.jsonl import jsonl_examples
from bios_sweep.engines.training.shapes.asked import Asked
from bios_sweep.engines.training.split import AtMost, identity
from bios_sweep.engines.training.tokenizer import TextTokenizer, load_tokenizer
from bios_sweep.engines.training.tokens import Rendered, tokenize_all
from bios_sweep.errors import DataError, ModelError, StorageError
from tests.damage import flipped
from tests.engines.training.records import read_examples
from tests.engines.training.tokenizing import tokenize


def pair(number: int) -> dict[str, str]:
    return {"prompt": f"question {number}", "completion": f"answer {number}"}


def write(path: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def example(prompt: str = "p", completion: str = "c", **fields: Any) -> Example:
    return Example(prompt=prompt, completion=completion, cluster="one", **fields)


def data_set(train: tuple[Example, ...], evaluation: tuple[Example, ...]) -> DataSet:
    return DataSet(name="name", train=train, evaluation=evaluation, source="source")


# Lines


def test_the_three_shapes_are_read(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because"},
    ]
    path = write(
        tmp_path / "a.jsonl",
        {"prompt": "p", "completion": "c", "extra": 1},
        {"messages": turns},
        "   ",
        {"text": "whole"},
    )
    with pytest.raises(DataError, match=r"a\.jsonl:1 is written as .*a\.jsonl:2 as .* data\.shape=mixed"):
        read_examples(path)
    plain, talk, text = read_examples(path, Asked(shape="mixed"))
    assert (plain.prompt, plain.completion, plain.origin) == ("p", "c", f"{path}:1")
    assert (talk.prompt, talk.completion) == ("", "Because")
    assert talk.messages[2] == Message(role="user", content="Why?")
    assert (text.prompt, text.completion, text.origin) == ("", "whole", f"{path}:4")


def test_a_line_without_cluster_is_its_own_and_equal_lines_share_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", pair(1), pair(2), pair(1), {**pair(3), "cluster": "given"})
    first, second, again, given = read_examples(path)
    assert first.cluster == again.cluster != second.cluster
    assert given.cluster == "given"


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"text": "one"}\r\n{"text": "two"}')
    assert [line.completion for line in read_examples(path)] == ["one", "two"]


def test_deeply_nested_extra_keys_are_read(tmp_path: Path) -> None:
    nested = '{"text": "t", "extra": ' + "[" * 500 + "]" * 500 + "}"
    assert len(list(read_examples(write(tmp_path / "a.jsonl", nested)))) == 1


def turns(middle: dict[str, Any]) -> str:
    """A conversation with one turn of the assistant's in its middle that is not as others are."""
    asked, answered = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
    return json.dumps({"messages": [asked, {"role": "assistant", **middle}, asked, answered]})


BAD_LINES = [
    ('{"prompt": "p", "compl', "not valid JSON"),
    ("[" * 200_000, "not valid JSON"),
    ("3", "a int, not an object; write"),
    ('{"question": "q", "answer": "a"}', "has the keys answer, question; a record is"),
    ("{}", "has the keys (none); a record is"),
    (
        '{"text": "t", "prompt": "p", "completion": "c"}',
        "can be read as prompt_completion and as text; say which",
    ),
    ('{"prompt": "p"}', "completion is missing; a record is"),
    ('{"prompt": 5, "completion": "c"}', 'prompt is a number; it must be a string; write it as "5"'),
    ('{"prompt": "p", "completion": null}', "completion is a null; it must be a string"),
    ('{"prompt": "p", "completion": "c", "cluster": 3}', "cluster is a number; it must be a string"),
    ('{"text": ["t"]}', "text is a list; it must be a string"),
    ('{"prompt": "p", "completion": ""}', "the completion is empty; there is nothing to learn"),
    ('{"text": " \\n "}', "the completion is empty; there is nothing to learn"),
    ('{"text": "\\ud800"}', "text holds half a character (a lone surrogate)"),
    ('{"messages": []}', 'messages must be a list of at least one {"role", "content"} object'),
    ('{"messages": "hello"}', 'messages must be a list of at least one {"role", "content"} object'),
    ('{"messages": ["hello"]}', 'messages[0] must be a {"role", "content"} object'),
    ('{"messages": [{"role": "user"}]}', "messages[0].content is missing;"),
    (
        '{"messages": [{"role": "user", "content": [1]}]}',
        "messages[0].content[0] is no part of a text; only text is trained here",
    ),
    (
        '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}',
        "messages: no answer is learned, there is no turn of the assistant's (roles: ",
    ),
    ('{"messages": [{"role": "assistant", "content": ""}]}', "messages[0] says nothing; a turn"),
    ('{"prompt": "p", "prompt": "q", "completion": "c"}', "the key 'prompt' is there twice in one object"),
    ('{"text": "t", "completion": "c"}', "the key 'completion' is not trained on: it would not be read"),
    ('{"messages": [], "completion": "c"}', "the key 'completion' is not trained on"),
    ('{"text": "t", "instruction": "i", "output": "o"}', "can be read as alpaca and as text; say which"),
    ('{"text": "t", "instruction": "i"}', "the key 'instruction' is not trained on"),
    ('{"prompt": "p", "completion": "c", "input": "i"}', "the key 'input' is not trained on"),
    (
        '{"prompt": "p", "completion": "c", "rejected": "r"}',
        "the key 'rejected' is not trained on: preferences",
    ),
    ('{"prompt": "p", "chosen": "c", "rejected": "r"}', "a preference pair (chosen and rejected), as DPO"),
    ('{"prompt": "p", "completion": "c", "label": false}', "the key 'label' is not trained on: preferences"),
    ('{"prompt": "p", "completion": "c", "system": "s"}', "the key 'system' is not trained on"),
    ('{"prompt": "p", "completion": "c", "weight": 0.5}', "the key 'weight' is not trained on: all tokens"),
    ('{"messages": [], "tools": [{"type": "function"}]}', "messages must be a list of at least one"),
    (
        '{"text": "t", "functions": [{"name": "f"}]}',
        "the key 'functions' is not trained on: no chat template is given it",
    ),
    (
        '{"messages": [], "available_tools": [{"name": "f"}]}',
        "the key 'available_tools' is not trained on: no chat",
    ),
    ('{"messages": [], "image_url": "x.png"}', "the key 'image_url' is not trained on: only text"),
    (
        '{"messages": [], "preferred_output": [1]}',
        "the key 'preferred_output' is not trained on: preferences",
    ),
    ('{"text": "t", "chain_of_thought": "c"}', "the key 'chain_of_thought' is not trained on: no"),
    ('{"prompt": "p", "completion": "c", "weight": 0}', "the key 'weight' is not trained on: all tokens"),
    ('{"prompt": "p", "completion": "c", "context": "d"}', "the key 'context' is not trained on: it would"),
    ('{"prompt": "p", "completion": "c", "suffix": "d"}', "the key 'suffix' is not trained on: it would not"),
    (
        turns({"content": "a", "toolCalls": [{"id": "1"}]}),
        "messages[1].toolCalls is not trained on: no chat",
    ),
    (turns({"content": "", "tool_calls": [{"id": "1"}]}), "messages[1].tool_calls[0] has no name"),
    (turns({"content": None, "function_call": {"n": "f"}}), "messages[1].tool_calls[0] has no name"),
    (turns({"content": "a", "cot": "r"}), "messages[1].cot is not trained on: no chat template"),
    (turns({"content": "a", "weight": 0.5}), "messages[1].weight is 0.5; a turn counts or not"),
    (turns({"content": "a", "weight": 1, "train": False}), "messages[1] has weight and train, which contr"),
    (turns({"role": "user", "content": "a", "train": True}), "messages[1].train is True; only the assistant"),
    (
        turns({"content": [{"type": "image_url", "image_url": {"url": "a"}}]}),
        "messages[1].content[0] is a part of type 'image_url'; only text is trained here",
    ),
    (turns({"content": None}), "messages[1].content is null; a turn without a call"),
    (turns({"content": ""}), "messages[1] says nothing; a turn of the assistant says something"),
    (turns({"role": "observation", "content": "{}"}), "messages[1] is of role 'observation'; chat templates"),
    (
        turns({"role": "gpt", "content": "a"}),
        "messages[1] is of role 'gpt'; chat templates call it 'assistant'",
    ),
    ('{"text": "t", "_target_": "os.system"}', "the key '_target_' is not allowed in data; remove it"),
    ('{"text": "t", "a": [{"b": {"x_target_y": 1}}]}', "the key 'x_target_y' is not allowed in data"),
]


@pytest.mark.parametrize("line, message", BAD_LINES)
def test_a_bad_line_is_refused_with_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "a.jsonl", " ", line)
    with pytest.raises(DataError, match="^" + re.escape(f"{path}:2: {message}")):
        read_examples(path)


def test_what_says_nothing_passes(tmp_path: Path) -> None:
    said = {"content": "a", "tool_calls": [], "function_call": None, "refusal": None, "id": "m1"}
    line = json.loads(turns(said)) | {
        "tools": None,
        "functions": [],
        "id": 7,
        "source": "forum",
        "label": "x",
        "num_tools": 3,
        "has_image": False,
    }
    plain = {**pair(1), "input": "", "system": None, "metadata": {"lang": "en"}}
    path = write(tmp_path / "a.jsonl", line, plain)
    talk, other = read_examples(path, Asked(shape="mixed"))
    assert [message.content for message in talk.messages] == ["Hi", "a", "Hi", "Hello"]
    assert other.completion == "answer 1"


def test_bytes_that_are_no_text_are_refused_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "t"}\n{"text": "\xff"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: not UTF-8 text; convert the file"):
        read_examples(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: no such file; data\.path takes a file"):
        list(read_examples(tmp_path / "none.jsonl"))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a folder without files of data \(it has nothing\); give a file"):
        list(read_examples(tmp_path))


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl: the file is empty; write one JSON object per line"):
        jsonl_examples(path)


# Sides


def test_more_rows_move_no_old_example_to_the_other_side(tmp_path: Path) -> None:
    before = jsonl_examples(write(tmp_path / "a.jsonl", *map(pair, range(200))), eval_fraction=0.2)
    after = jsonl_examples(write(tmp_path / "b.jsonl", *map(pair, range(400))), eval_fraction=0.2)
    old, new = ({e.completion for e in data.evaluation} for data in (before, after))
    assert old == {text for text in new if int(text.split()[1]) < 200}
    assert 20 <= len(old) <= 60


def test_a_tenth_is_held_out_when_nothing_is_said(tmp_path: Path) -> None:
    data = jsonl_examples(write(tmp_path / "a.jsonl", *map(pair, range(1000))))
    assert 70 <= len(data.evaluation) <= 130
    assert len(data.train) + len(data.evaluation) == 1000


def test_equal_examples_land_on_one_side(tmp_path: Path) -> None:
    spaced = [{"prompt": f"question  {n} ", "completion": f"answer\n{n}"} for n in range(100)]
    path = write(tmp_path / "a.jsonl", *map(pair, range(100)), *spaced)
    for options in ({"eval_fraction": 0.3}, {"eval_examples": 20}):
        data = jsonl_examples(path, **options)
        assert not {identity(e) for e in data.train} & {identity(e) for e in data.evaluation}


def test_a_count_is_held_out_exactly_and_contains_smaller_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *map(pair, range(50)))
    few, many = (jsonl_examples(path, eval_examples=count) for count in (5, 20))
    assert (len(few.train), len(few.evaluation)) == (45, 5)
    assert tuple(few.evaluation) == tuple(many.evaluation[:5])
    assert [e.origin for e in few.train] == sorted(
        (e.origin for e in few.train), key=lambda o: int(o[-2:].strip(":"))
    )


def test_a_count_that_leaves_no_training_example_is_refused_with_the_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *map(pair, range(5)))
    assert len(jsonl_examples(path, eval_examples=4).train) == 1
    with pytest.raises(DataError, match=r"eval_examples=5 of 5 examples leaves none .* choose at most 4"):
        jsonl_examples(path, eval_examples=5)


def test_a_count_that_would_tear_equal_examples_apart_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *[pair(1)] * 3, *[pair(2)] * 3)
    with pytest.raises(DataError, match=r"eval_examples=4 cannot be held out exactly .* or choose 3"):
        jsonl_examples(path, eval_examples=4)


def test_a_fraction_that_holds_out_nothing_is_refused_with_the_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *map(pair, range(5)))
    with pytest.raises(DataError, match=r"eval_fraction=0\.001 of 5 examples holds out 0 and leaves 5"):
        jsonl_examples(path, eval_fraction=0.001)


def test_an_evaluation_file_is_used_whole_or_its_first_by_hash(tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", *map(pair, range(5)))
    held_out = write(tmp_path / "b.jsonl", *map(pair, range(5, 15)))
    whole = jsonl_examples(train, eval_path=held_out)
    first = jsonl_examples(train, eval_path=held_out, eval_examples=3)
    assert (len(whole.train), len(whole.evaluation)) == (5, 10)
    assert tuple(first.evaluation) == tuple(whole.evaluation[:3])
    with pytest.raises(DataError, match="eval_examples=11, but the file has 10 examples"):
        jsonl_examples(train, eval_path=held_out, eval_examples=11)


def test_an_example_in_both_files_is_refused_naming_both_lines(tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", *map(pair, range(20)))
    same = {"prompt": " question 11", "completion": "answer  11"}
    held_out = write(tmp_path / "b.jsonl", *map(pair, range(30, 41)), same, pair(12))
    message = f"{train}:12 and {held_out}:12 are the same example (2 of 13 evaluation examples"
    with pytest.raises(DataError, match=re.escape(message)):
        jsonl_examples(train, eval_path=held_out)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"eval_fraction": 0.1, "eval_examples": 3}, "eval_fraction and data.eval_examples are both given"),
        ({"eval_fraction": 0.1, "eval_path": "b.jsonl"}, "eval_fraction and data.eval_path are both given"),
        ({"eval_fraction": 0.0}, "data.eval_fraction: 0.0 must be above 0 and below 1"),
        ({"eval_fraction": 1.0}, "data.eval_fraction: 1.0 must be above 0 and below 1"),
        ({"eval_fraction": float("nan")}, "data.eval_fraction: nan must be above 0 and below 1"),
        ({"eval_examples": 0}, "data.eval_examples: 0 must be at least 1"),
    ],
)
def test_contradicting_or_impossible_options_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        jsonl_examples(write(tmp_path / "a.jsonl", *map(pair, range(5))), **options)


# Fingerprints and the file for workers

SAMPLE = data_set(
    (example("a", "b", origin="x:1"), example("line\u2028separator", "c\nd")),
    (example("", "e", messages=(Message(role="assistant", content="e"),)),),
)


def test_fingerprints_see_content_and_order_and_no_labels() -> None:
    one, two = SAMPLE.train
    assert SAMPLE.fingerprint == replace(SAMPLE, name="other", source="elsewhere").fingerprint
    assert SAMPLE.fingerprint == replace(SAMPLE, train=(replace(one, origin="y:9"), two)).fingerprint
    changed = [
        replace(SAMPLE, train=(two, one)),
        replace(SAMPLE, train=(one,)),
        replace(SAMPLE, train=(one, two, *SAMPLE.evaluation), evaluation=()),
        replace(SAMPLE, train=(replace(one, cluster="two"), two)),
        replace(SAMPLE, train=(replace(one, prompt="ab", completion=""), two)),
    ]
    assert len({SAMPLE.fingerprint, *(data.fingerprint for data in changed)}) == 6


def test_the_evaluation_fingerprint_does_not_see_the_training_side() -> None:
    assert SAMPLE.evaluation_fingerprint == replace(SAMPLE, train=()).evaluation_fingerprint
    assert SAMPLE.evaluation_fingerprint != replace(SAMPLE, evaluation=SAMPLE.train).evaluation_fingerprint


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    write_dataset(SAMPLE, tmp_path / "deep" / "data.jsonl")
    assert read_dataset(tmp_path / "deep" / "data.jsonl") == SAMPLE
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["data.jsonl"]


def test_an_edited_or_shortened_file_is_refused_by_its_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    write_dataset(SAMPLE, path)
    written = path.read_text(encoding="utf-8")
    path.write_text(written.replace('"b"', '"x"'), encoding="utf-8")
    with pytest.raises(DataError, match=r"content has fingerprint .* its header says .* delete the file"):
        read_dataset(path)
    path.write_text("\n".join(written.splitlines()[:2]), encoding="utf-8")
    with pytest.raises(DataError, match="content has fingerprint"):
        read_dataset(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "no such data set file"),
        ("", "not a readable data set file"),
        ('{"format": ', "not a readable data set file"),
        ('{"format": "another"}', "not a data set file of format 'bios_sweep data set 2'"),
        ('{"format": "bios_sweep data set 1"}', "a line is malformed ('name')"),
    ],
)
def test_a_file_that_is_no_data_set_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "data.jsonl"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(message)):
        read_dataset(path)


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot be written"):
        write_dataset(SAMPLE, tmp_path / "file" / "data.jsonl")


# Tokens


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_tokenizer(base_model_path())


@pytest.fixture(scope="module")
def without_bos(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    folder = tmp_path_factory.mktemp("without_bos")
    content = json.loads((base_model_path() / "tokenizer.json").read_text(encoding="utf-8"))
    content["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "config.json").write_text('{"eos_token_id": [1, 2]}', encoding="utf-8")
    return load_tokenizer(folder)


def ids(tokenizer: TextTokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encoder.encode(text, add_special_tokens=False).ids)


def test_prompt_has_bos_completion_has_eos_and_the_loss_covers_completion_and_eos(
    tokenizer: TextTokenizer,
) -> None:
    done = tokenize(example("Explain this\n", "Return größe."), tokenizer, 100)
    prompt, completion = ids(tokenizer, "Explain this\n"), ids(tokenizer, "Return größe.")
    assert done.input_ids == (0, *prompt, *completion, tokenizer.end.id)
    assert done.prompt_length == 1 + len(prompt)
    assert done.supervised_tokens == len(completion) + 1
    assert done.completion_bytes == len("Return größe.".encode())
    assert done.cluster == "one"


def test_too_long_loses_the_prompt_on_the_left_but_not_its_bos(tokenizer: TextTokenizer) -> None:
    prompt, completion = ids(tokenizer, "one two three four five"), ids(tokenizer, "six")
    length = len(completion) + 1 + 4
    done = tokenize(example("one two three four five", "six"), tokenizer, length)
    assert done.input_ids == (0, *prompt[-3:], *completion, tokenizer.end.id)
    assert (done.prompt_length, done.completion_bytes) == (4, 3)


def test_still_too_long_loses_the_completion_on_the_right(tokenizer: TextTokenizer) -> None:
    text = "one two three four five six seven"
    done = tokenize(example("prompt", text), tokenizer, 5)
    assert done.input_ids == (0, *ids(tokenizer, text)[:4])
    kept = tokenizer.encoder.decode(list(done.input_ids[1:]))
    assert text.startswith(kept)
    assert done.completion_bytes == len(kept)


def test_text_without_bos_is_learned_from_its_second_token_on(without_bos: TextTokenizer) -> None:
    text = "one two three"
    done = tokenize(example("", text), without_bos, 100)
    assert done.input_ids == (*ids(without_bos, text), 1)
    assert done.prompt_length == 1
    first = without_bos.encoder.decode([done.input_ids[0]])
    assert done.completion_bytes == len(text) - len(first)


def test_text_with_bos_is_learned_from_its_first_token_on(tokenizer: TextTokenizer) -> None:
    done = tokenize(example("", "one two"), tokenizer, 100)
    assert (done.prompt_length, done.completion_bytes) == (1, len("one two"))


def test_a_completion_without_a_token_to_predict_is_refused_by_its_origin(
    without_bos: TextTokenizer, tokenizer: TextTokenizer
) -> None:
    with pytest.raises(DataError, match=r"^a\.jsonl:7: the completion has no token that can be predicted"):
        tokenize(example("", "e", origin="a.jsonl:7"), without_bos, 100)
    with pytest.raises(DataError, match=r"^example 1: .* within max_length=100"):
        list(tokenize_all([example("p", "c"), example("", "e")], without_bos, 100))
    with pytest.raises(DataError, match=r"within max_length=1; remove the example"):
        tokenize(example("p", "c"), tokenizer, 1)


def test_conversations_need_a_template_and_get_no_second_bos(tokenizer: TextTokenizer) -> None:
    talk = example("", "Fine.", messages=(Message(role="assistant", content="Fine."),), origin="a.jsonl:3")
    with pytest.raises(
        DataError, match=r"^a\.jsonl:3: messages need a chat template .* prompt and completion"
    ):
        tokenize(talk, tokenizer, 100)
    done = tokenize(talk, tokenizer, 100, lambda one: ("<bos>user:", f"{one.completion}<eos>"))
    assert done.input_ids == (0, *ids(tokenizer, "user:"), *ids(tokenizer, "Fine."), 1)
    plain = Rendered("Hi.", "Fine.", ended=False)
    mixed = list(tokenize_all([example(), talk, example("q")], tokenizer, 100, lambda turns: plain))
    assert mixed[0] == tokenize(example(), tokenizer, 100)
    assert mixed[2] == tokenize(example("q"), tokenizer, 100)


def test_a_folder_without_a_usable_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no tokenizer\.json; save the model with its fast tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be read as a tokenizer"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "name, content, expected",
    [
        ("config.json", '{"eos_token_id": 7}', 7),
        ("config.json", '{"eos_token_id": [8, 9]}', 8),
        ("generation_config.json", '{"eos_token_id": 5}', 5),
        ("tokenizer_config.json", '{"eos_token": "<eos>"}', 1),
        ("tokenizer_config.json", '{"eos_token": {"content": "<eos>"}}', 1),
    ],
)
def test_the_end_token_is_found_where_models_name_it(
    tmp_path: Path, name: str, content: str, expected: int
) -> None:
    Tokenizer.from_file(str(base_model_path() / "tokenizer.json")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match=r"no eos_token_id in config\.json"):
        load_tokenizer(tmp_path)
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert load_tokenizer(tmp_path).end.id == expected


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-30]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text(path.read_text().replace('"completion":"', '"completion":"not ', 1)),
        lambda path: write_dataset(replace(SAMPLE, train=SAMPLE.train[1:]), path),
    ],
)
def test_a_data_file_that_is_not_what_it_is_named_after_is_written_again(
    damage: Callable[[Path], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "data.jsonl"
    keep_dataset(SAMPLE, path)
    whole, stamp = path.read_bytes(), path.stat().st_mtime_ns
    keep_dataset(SAMPLE, path)
    assert path.stat().st_mtime_ns == stamp
    damage(path)
    keep_dataset(SAMPLE, path)
    assert path.read_bytes() == whole
    assert f"{path}: " in caplog.text
    assert "written again" in caplog.text


def test_no_flipped_bit_of_a_data_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    keep_dataset(SAMPLE, path)
    whole = path.read_bytes()
    for damaged in flipped(whole, seed=6, flips=100):
        path.write_bytes(damaged)
        keep_dataset(SAMPLE, path)
        assert path.read_bytes() == whole


def test_an_automatic_evaluation_is_large_enough_and_no_larger(tmp_path: Path) -> None:
    for count, held_out, apart in ((30, 3, 30), (25_000, 2000, 2000)):
        path, other = tmp_path / f"{count}.jsonl", tmp_path / f"{count}-eval.jsonl"
        for file, word in ((path, "a"), (other, "b")):
            lines = (json.dumps({"prompt": f"{word}{n}", "completion": "c"}) for n in range(count))
            file.write_text("\n".join(lines))
        data = jsonl_examples(path, eval_examples=AtMost())
        assert (len(data.train), len(data.evaluation)) == (count - held_out, held_out)
        both = jsonl_examples(path, eval_path=other, eval_examples=AtMost())
        assert (len(both.train), len(both.evaluation)) == (count, apart)


ODD_TEXTS = [
    "",
    " ",
    'a "b" \\ c',
    "tab\tnew\nline\r",
    "\x00\x1c\x1f\x7f",
    "é e\u0301 \u2028 \U0001f600",
    "a  b \x0b c\xa0d",
]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_a_plain_example_is_written_and_known_as_an_encoder_and_its_words_have_it(text: str) -> None:
    example = Example(prompt=text, completion=f"{text}.", cluster=text, origin=text)
    content = {"cluster": text, "completion": f"{text}.", "messages": [], "prompt": text}
    written = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    assert line_of(example) == f"{written}\t{json.dumps(text, ensure_ascii=False)}\n".encode()
    assert example_of(line_of(example)) == example
    words = "\0".join(" ".join(unicodedata.normalize("NFC", part).split()) for part in (text, f"{text}."))
    assert identity(example) == hashlib.sha256(words.encode()).digest()
