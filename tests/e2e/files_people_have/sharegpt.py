"""ShareGPT's conversations, whatever the speakers are called."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from tests.containers.files import lines
from tests.e2e.files_people_have.case import CHAT, STRICT, WEATHER, Case, array, each, said, turn

case = partial(Case, kind="sharegpt")


def sharegpt(number: int, **more: Any) -> dict[str, Any]:
    turns = [said("human", f"What is {number} + 1?"), said("gpt", f"{number + 1}")]
    return {"id": f"c{number}", "conversations": turns, **more}


def _called(number: int) -> dict[str, Any]:
    call = json.dumps({"name": "weather", "arguments": {"town": f"T{number}"}})
    return {
        "conversations": [
            said("system", "Tools are there."),
            said("human", f"Weather in T{number}?"),
            said("function_call", call),
            said("observation", '{"sky": "clear"}'),
            said("gpt", f"Clear in T{number}."),
        ],
        "system": "",
        "tools": json.dumps([WEATHER]),
    }


def _odd_names(number: int) -> dict[str, Any]:
    names = (("User", "ChatGPT"), ("USER", "assistant"), ("human", "bing"), ("prompter", "bard"))[number % 4]
    return {"conversations": [said(names[0], f"Hi {number}?"), said(names[1], f"Hello {number}.")]}


CASES = (
    case(
        name="array",
        files={"s.json": array(each(sharegpt), indent=1)},
        model=CHAT,
    ),
    case(name="calls and observations", files={"s.json": array(each(_called))}, model=CHAT),
    case(name="odd speakers", files={"s.jsonl": lines(each(_odd_names))}, model=CHAT),
    case(
        name="role and content inside",
        files={
            "s.jsonl": lines(
                each(lambda n: {"conversations": [turn("user", f"{n}?"), turn("assistant", f"{n}.")]})
            )
        },
        model=CHAT,
    ),
    case(
        name="a speaker nobody knows",
        files={
            "s.jsonl": lines(each(lambda n: {"conversations": [said("Alice", "Hi"), said("Bob", f"{n}")]}))
        },
        model=CHAT,
        ends="conversations[0].from is 'Alice'; it must be one of",
    ),
    case(
        name="begins with gpt",
        files={
            "s.jsonl": lines(
                each(
                    lambda n: {
                        "conversations": [
                            said("gpt", f"Welcome {n}"),
                            said("human", "Hi"),
                            said("gpt", "Yes?"),
                        ]
                    }
                )
            )
        },
        model=STRICT,
        ends="Conversation roles must alternate",
    ),
    case(
        name="one empty answer",
        files={
            "s.jsonl": lines([*each(sharegpt), {"conversations": [said("human", "Hi"), said("gpt", "")]}])
        },
        model=CHAT,
        ends="conversations[1] says nothing; a turn of the assistant says something",
    ),
    case(
        name="one empty answer, skipped",
        files={
            "s.jsonl": lines([*each(sharegpt), {"conversations": [said("human", "Hi"), said("gpt", "")]}])
        },
        words=("data.on_bad=skip", "data.max_bad=0.1"),
        model=CHAT,
    ),
    case(
        name="no template",
        files={"s.json": array(each(sharegpt))},
        ends="template",
    ),
    case(
        name="the key conversation",
        files={"s.jsonl": lines(each(lambda n: {"conversation": sharegpt(n)["conversations"]}))},
        model=CHAT,
        ends="'data.columns={conversations: conversation}' reads it",
    ),
    case(
        name="user and text named",
        files={
            "s.jsonl": lines(
                each(
                    lambda n: {
                        "dialog": [
                            {"speaker": "user", "text": f"{n}?"},
                            {"speaker": "assistant", "text": "Yes."},
                        ]
                    }
                )
            )
        },
        words=("data.columns={messages: dialog, role: speaker, content: text}",),
        model=CHAT,
    ),
    case(
        name="value is a list",
        files={
            "s.jsonl": lines(each(lambda n: {"conversations": [said("human", ["a"]), said("gpt", f"{n}")]}))
        },
        model=CHAT,
        ends="conversations[0].value is a list; it must be a string",
    ),
)
