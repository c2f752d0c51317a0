"""Records as people write them: which shape they have, what is learned of them, and what is refused."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from bios_sweep.containers.record import Record
from bios_sweep.engines.training.chunks import chunked
from bios_sweep.engines.training.contamination import contamination, lines_of
from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.groups import KEYS, normalised, split_groups
from bios_sweep.engines.training.jsonl import Reading, jsonl_examples
from bios_sweep.engines.training.shapes.asked import SKIP, Asked, columns_of
from bios_sweep.engines.training.shapes.reading import Reader
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.errors import BiosSweepError, ConfigError, DataError

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"town": 0}'}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


def user(said: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": said, **more}


def answer(said: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": said, **more}


def read(*rows: Any, **asked: Any) -> tuple[list[Example], Reader]:
    reader = Reader(Asked(**asked))
    records = [Record(f"f:{number}", row) for number, row in enumerate(rows, start=1)]
    return list(reader(records)), reader


def one(row: Any, **asked: Any) -> Example:
    return read(row, **asked)[0][0]


def turns(example: Example) -> list[tuple[str, str, bool]]:
    return [(turn.role, turn.content, turn.learned) for turn in example.messages]


def test_alpaca_is_a_conversation_or_text_by_headings_where_the_model_writes_none():
    row = {"instruction": "Translate.", "input": "bonjour", "output": "hello", "system": "Be brief."}
    row["history"] = [["Hi", "Hello"]]
    assert turns(one(row)) == [
        ("system", "Be brief.", False),
        ("user", "Hi", False),
        ("assistant", "Hello", False),
        ("user", "Translate.\nbonjour", True),
        ("assistant", "hello", True),
    ]
    text = one({"instruction": "Translate.", "input": "", "output": "hello"}, templated=False)
    assert (text.prompt, text.completion) == ("### Instruction:\nTranslate.\n\n### Response:\n", "hello")


def test_sharegpt_by_the_names_of_its_speakers_with_tools():
    talk = one(
        {
            "system": "Be brief.",
            "tools": json.dumps(TOOLS),
            "conversations": [
                {"from": "human", "value": "Weather?"},
                {"from": "function_call", "value": '{"name": "weather", "arguments": {"town": 0}}'},
                {"from": "observation", "value": "clear"},
                {"from": "gpt", "value": "Clear."},
            ],
        }
    )
    assert [turn.role for turn in talk.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert talk.messages[2].keys["tool_calls"][0]["function"]["arguments"] == {"town": 0}
    assert (json.loads(talk.tools), talk.completion) == (TOOLS, "Clear.")


def test_messages_with_calls_parts_switches_and_a_user_at_the_end():
    talk = one(
        {
            "messages": [
                user([{"type": "text", "text": "Weather "}, {"type": "text", "text": "there?"}]),
                answer(None, tool_calls=[CALL]),
                {"role": "tool", "content": "clear", "tool_call_id": "c1"},
                answer("Clear.", weight=0),
                user("Sure?"),
                answer("Yes.", train=True),
                user("Thanks."),
            ],
            "tools": TOOLS,
        }
    )
    assert talk.messages[0].content == "Weather there?"
    assert talk.messages[1].keys["content"] is None
    assert [turn.learned for turn in talk.messages] == [True, True, True, False, True, True]
    assert (talk.completion, talk.answers) == ("Yes.", 2)


def test_the_turns_of_a_prompt_are_read_and_not_learned():
    talk = one({"prompt": [user("Hi"), answer("Hello"), user("Why?")], "completion": [answer("So.")]})
    assert [turn.learned for turn in talk.messages] == [False, False, False, True]


PAIRS = [
    ({"prompt": "Q", "chosen": "good", "rejected": "bad"}, "Q", "good", "bad"),
    ({"chosen": "Q: why? so", "rejected": "Q: why? no"}, "Q: why? ", "so", "no"),
]


@pytest.mark.parametrize(("row", "prompt", "chosen", "rejected"), PAIRS)
def test_a_preference_pair_is_refused_and_its_chosen_answer_learned_where_asked(
    row, prompt, chosen, rejected
):
    with pytest.raises(DataError, match=r"^f:1: a preference pair .* data\.shape=preference_chosen"):
        one(row)
    pair = one(row, shape="preference_chosen")
    assert (pair.prompt, pair.completion, pair.rejected) == (prompt, chosen, rejected)


def test_a_pair_of_conversations_learns_what_the_chosen_one_adds():
    row = {"chosen": [user("Q"), answer("good")], "rejected": [user("Q"), answer("bad")]}
    for extra in ({}, {"prompt": "Q"}, {"prompt": [user("Q")]}):
        pair = one({**row, **extra}, shape="preference_chosen")
        assert [(turn.content, turn.learned) for turn in pair.messages] == [("Q", False), ("good", True)]
        assert [turn.content for turn in pair.rejected_messages] == ["bad"]


@pytest.mark.parametrize("shape", ["preference_chosen", "preference_pairs"])
@pytest.mark.parametrize("prompt", [None, [user("Q")], "Q"])
def test_turns_of_a_pair_that_a_table_holds_as_text_are_turns(shape, prompt):
    row = {"chosen": [user("Q"), answer("good")], "rejected": [user("Q"), answer("bad")]}
    row |= {"prompt": prompt} if prompt else {}
    cells = {key: value if value == "Q" else json.dumps(value, indent=1) for key, value in row.items()}
    assert one(cells, shape=shape) == one(row, shape=shape)


def test_a_prompt_of_turns_as_text_is_turns_under_answers_of_plain_text():
    row = {"chosen": "good", "rejected": "bad"}
    pair = one({**row, "prompt": json.dumps([user("Q")])}, shape="preference_pairs")
    assert pair == one({**row, "prompt": [user("Q")]}, shape="preference_pairs")


def test_an_answer_that_is_a_list_of_other_objects_stays_text_and_broken_turns_are_named():
    row = {"prompt": "JSON?", "chosen": '[{"name": "Ann", "role": "CEO"}]', "rejected": "[{}]"}
    assert one(row, shape="preference_chosen").completion == row["chosen"]
    with pytest.raises(DataError, match=r"chosen is text and no JSON .*json\.dumps"):
        one({**row, "chosen": str([answer("good")])}, shape="preference_chosen")


@pytest.mark.parametrize(
    "prompt", ["Q ", "Q", [user("Q")], [{"role": "system", "content": "S"}, user("Q\n")]]
)
@pytest.mark.parametrize("begin", [[], [user("Q")], [{"role": "system", "content": "S"}, user("Q")]])
def test_the_question_of_a_pair_is_asked_once_wherever_it_is_repeated(prompt, begin):
    row = {"prompt": prompt, "chosen": [*begin, answer("good")], "rejected": [*begin, answer("bad")]}
    pair = one(row, shape="preference_chosen")
    assert [turn.content.strip() for turn in pair.messages if turn.role == "user"] == ["Q"]
    assert [turn.content for turn in pair.messages if turn.learned] == ["good"]
    assert [turn.role for turn in pair.messages].count("system") <= 1
    assert [turn.content for turn in pair.rejected_messages] == ["bad"]


def test_a_prompt_and_a_system_turn_of_both_answers_stand_in_their_order():
    system = {"role": "system", "content": "S"}
    row = {"prompt": "Q", "chosen": [system, answer("good")], "rejected": [system, answer("bad")]}
    assert [turn.content for turn in one(row, shape="preference_chosen").messages] == ["S", "Q", "good"]


@pytest.mark.parametrize("begins", [("R", "R"), ("Q ", "Q")])
def test_a_pair_that_asks_two_questions_is_refused(begins):
    chosen, rejected = ([user(begin), answer(word)] for begin, word in zip(begins, "ab", strict=True))
    with pytest.raises(DataError, match=r"^f:1: prompt and the turns .* ask differently"):
        one({"prompt": "Q", "chosen": chosen, "rejected": rejected}, shape="preference_chosen")


def test_columns_of_other_names_are_read_and_what_nothing_reads_is_told():
    rows = [{"q": "2+2?", "a": "4", "context": "sums"}] * 2
    with pytest.raises(
        DataError, match=r"has the keys a, context, q; .*data\.columns=\{prompt: q, completion: a\}"
    ):
        read(*rows)
    (first, _), reader = read(*rows, columns={"prompt": "q", "completion": "a"})
    assert (first.prompt, first.completion) == ("2+2?", "4")
    assert list(reader.found.passed_over) == ["context"]
    talk = {"dialog": [{"speaker": "user", "said": "Hi"}, {"speaker": "assistant", "said": "Ho"}]}
    named = {"messages": "dialog", "role": "speaker", "content": "said"}
    assert one(talk, columns=named).completion == "Ho"
    with pytest.raises(DataError, match=r"f:1: data\.columns names 'x', and the record has a, context, q"):
        read(*rows, columns={"prompt": "x"})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("q", "'q' is not allowed; names such as"),
        ({"question": "q"}, "'question' is no key of a shape"),
        ({"prompt": "q", "completion": "q"}, "names one column for two keys"),
        ({"prompt": 3}, "3 is no name of a column"),
    ],
)
def test_columns_that_say_nothing_are_refused(value, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        columns_of(value)


def test_the_shape_is_told_by_many_records_and_two_shapes_name_both_lines():
    pair, text = {"prompt": "p", "completion": "c"}, {"text": "t"}
    assert read(pair, pair)[1].found.shape == "prompt_completion"
    with pytest.raises(DataError, match=r"^f:2 is written as .*, f:3 as .*; a file has one shape"):
        read({"odd": 1}, pair, text)
    with pytest.raises(DataError, match=r"^f:1 is written as .*, f:151 as "):
        read(*[pair] * 150, text)
    both = {**pair, **text}
    with pytest.raises(
        DataError, match=r"can be read as prompt_completion and as text; say which with data\.s"
    ):
        read(both)
    assert one(both, shape="text").completion == "t"
    assert read(both, pair)[1].found.shape == "prompt_completion", "the others tell"


def test_bad_records_are_skipped_and_counted_up_to_a_share():
    good = {"prompt": "p", "completion": "c"}
    rows = [*[good] * 99, {"prompt": "p", "completion": ""}]
    examples, reader = read(*rows, on_bad=SKIP)
    assert (len(examples), reader.found.skipped, reader.found.records) == (99, 1, 100)
    assert reader.found.bad == ["f:100: the completion is empty; there is nothing to learn, remove the line"]
    with pytest.raises(DataError, match=r"^f:1: 3 .* 2 of 3 records cannot be used, more than data\.max_bad"):
        read(DataError("f:1: 3 is no object"), good, {"text": "t"}, on_bad=SKIP)


def test_a_column_says_which_records_stay_together(tmp_path: Path):
    rows = [{"prompt": f"q {n}", "completion": f"a {n}", "user": n % 20} for n in range(200)]
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    reading = Reading(asked=Asked(cluster="user"), rule="cluster")
    data = jsonl_examples(file, eval_fraction=0.3, reading=reading)
    held_out, trained = ({example.cluster for example in side} for side in (data.evaluation, data.train))
    assert held_out
    assert not held_out & trained
    more = rows + [{**row, "prompt": "new", "user": row["user"] + 100} for row in rows]
    file.write_text("\n".join(map(json.dumps, more)))
    later = jsonl_examples(file, eval_fraction=0.3, reading=reading)
    assert held_out == {e.cluster for e in later.evaluation if int(e.cluster) < 100}, "old rows stay"
    with pytest.raises(DataError, match=r"data\.cluster=word is missing there"):
        jsonl_examples(file, reading=Reading(asked=Asked(cluster="word")))


def test_what_is_equal_but_for_case_and_signs_is_found_and_kept_on_one_side():
    assert normalised("  \uff28ello,\nWORLD! ") == "hello world"
    assert normalised("+ -") == "+"
    words = " ".join(f"word{n}" for n in range(30))
    train = [
        Example(prompt="Why is it?", completion="So!", cluster="a", origin="f:1"),
        Example(prompt=words, completion="x", cluster="b", origin="f:2"),
        Example(prompt="other " * 20, completion="y", cluster="c", origin="f:3"),
    ]
    held_out = [
        Example(prompt="why IS it", completion="so", cluster="d", origin="f:4"),
        Example(prompt=f"{words} and more", completion="z", cluster="e", origin="f:5"),
        Example(prompt="nothing of the kind " * 3, completion="z", cluster="f", origin="f:6"),
    ]
    found = contamination(train, held_out)
    assert (found.same, found.near) == ((("f:4", "f:1"),), (("f:5", "f:2"),))
    same, near = lines_of(found, one_file=True)
    assert same.startswith("1 of 3 evaluation examples are also in training, but for case, spaces")
    assert "(f:5 as f:2)" in near
    both = [*train, *held_out] * 5
    left, right = split_groups(both, KEYS["normalised"], Path("f"), fraction=None, count=10)
    assert not {normalised(e.prompt) for e in left} & {normalised(e.prompt) for e in right}


def test_a_long_text_is_cut_into_pieces_that_fit_and_only_the_last_one_ends():
    from bios_sweep.assets import base_model_path

    tokenizer = load_tokenizer(base_model_path())
    text = " ".join(f"Sentence {n} says little." for n in range(60))
    document = Example(prompt="", completion=text, cluster="doc", origin="f:1")
    pieces = list(chunked([document], tokenizer, 32))
    assert len(pieces) > 10
    assert "".join(piece.completion for piece in pieces) == text
    assert {piece.cluster for piece in pieces} == {"doc"}
    assert [piece.goes_on for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    done = list(tokenize_all(pieces, tokenizer, 32))
    assert max(len(example.input_ids) for example in done) <= 32
    assert [example.input_ids[-1] == tokenizer.end.id for example in done].count(True) == 1


SEEDS: list[Any] = [
    {"prompt": "p", "completion": "c"},
    {"text": "t"},
    {
        "messages": [
            user("Hi"),
            answer("Ho", reasoning_content="r"),
            user("?"),
            answer(None, tool_calls=[CALL]),
        ]
    },
    {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "tools": "[]"},
    {"instruction": "i", "input": "", "output": "o", "history": [["a", "b"]]},
    {"prompt": [user("Hi")], "completion": [answer("Ho")]},
    {"chosen": [user("Hi"), answer("Ho")], "rejected": [user("Hi"), answer("No")]},
]
ODD: list[Any] = [
    None,
    "",
    " ",
    0,
    1,
    -1.5,
    True,
    [],
    {},
    [None],
    [[]],
    {"a": 1},
    "\ud800",
    "x",
    ["a", "b"],
    "{}",
]


def mutated(value: Any, draw: random.Random) -> Any:
    """Another value in its place, a key lost, doubled or renamed, at any depth."""
    if draw.random() < 0.15:
        return draw.choice(ODD)
    if isinstance(value, dict):
        changed = {
            (
                draw.choice(["role", "content", "tools", "weight", key]) if draw.random() < 0.1 else key
            ): mutated(inner, draw)
            for key, inner in value.items()
            if draw.random() > 0.1
        }
        return changed
    if isinstance(value, list):
        return [mutated(inner, draw) for inner in value for _ in range(draw.choice([1, 1, 1, 2, 0]))]
    return value


def fuzz(count: int, seed: int) -> int:
    """How many of so many mutated records are read; a sentence with its place refuses the others."""
    draw, taken = random.Random(seed), 0
    for _ in range(count):
        rows = [mutated(draw.choice(SEEDS), draw) for _ in range(draw.choice([1, 2]))]
        rows = [row if isinstance(row, dict) else {"text": row} for row in rows]
        asked = Asked(
            shape=draw.choice([None, None, "mixed", "preference_chosen", "alpaca_text", "sharegpt"])
        )
        records = [Record(f"f:{n}", row) for n, row in enumerate(rows, start=1)]
        refusal, examples = "", []
        try:
            examples = list(Reader(asked)(records))
        except BiosSweepError as error:
            refusal = str(error)
        assert not refusal or refusal.startswith("f:")
        if refusal:
            continue
        for example in examples:
            assert example.completion.strip()
            assert all(
                isinstance(turn.content, str) and isinstance(turn.role, str) for turn in example.messages
            )
            assert not example.messages or example.messages[-1].role == "assistant"
        taken += 1
    return taken


def test_mutated_records_are_read_or_refused_by_a_sentence():
    assert 0 < fuzz(100, seed=1) < 100


@pytest.mark.slow
def test_two_thousand_mutated_records_are_read_or_refused_by_a_sentence():
    assert 0 < fuzz(2000, seed=2) < 2000
