"""Roles that chat templates refuse."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.containers.files import lines
from tests.e2e.files_people_have.case import CHAT, STRICT, Case, each, messages, turn

case = partial(Case, kind="roles")


def asked(number: int, *before: dict[str, Any]) -> dict[str, Any]:
    return messages(*before, turn("user", f"Colour number {number}?"), turn("assistant", f"Blue {number}."))


SYSTEM = turn("system", "Answer in one word.")
CASES = (
    case(
        name="system everywhere",
        files={"m.jsonl": lines(each(lambda n: asked(n, SYSTEM)))},
        model=STRICT,
        ends="refuses them (System role not supported)",
    ),
    case(
        name="system in one",
        files={"m.jsonl": lines([*each(asked), asked(99, SYSTEM)])},
        model=STRICT,
        ends="m.jsonl:17",
    ),
    case(
        name="system in one, skipped",
        files={"m.jsonl": lines([*each(asked), asked(99, SYSTEM)])},
        words=("data.on_bad=skip", "data.max_bad=0.1"),
        model=STRICT,
    ),
    case(name="plain", files={"m.jsonl": lines(each(asked))}, model=STRICT),
    case(name="no template", files={"m.jsonl": lines(each(asked))}, ends="template"),
    case(
        name="two users in a row",
        files={"m.jsonl": lines(each(lambda n: asked(n, turn("user", "Hi"))))},
        model=STRICT,
        ends="roles must alternate",
    ),
    case(
        name="a role of one's own",
        files={"m.jsonl": lines(each(lambda n: asked(n, turn("narrator", "Once."))))},
        model=CHAT,
    ),
    case(
        name="a developer",
        files={"m.jsonl": lines(each(lambda n: asked(n, turn("developer", "Be brief."))))},
        model=CHAT,
    ),
    case(
        name="Role in capitals",
        files={"m.jsonl": lines(each(lambda n: messages(turn("User", f"{n}?"), turn("Assistant", f"{n}."))))},
        model=CHAT,
        ends="for the role 'Assistant' is not 'assistant'",
    ),
    case(
        name="role is null",
        files={"m.jsonl": lines(each(lambda n: messages(turn(None, f"{n}?"), turn("assistant", "a"))))},
        model=CHAT,
        ends="messages[0].role is a null; it must be a string",
    ),
    case(
        name="one message",
        files={"m.jsonl": lines([asked(1)])},
        model=STRICT,
        ends="holds one example, and one must be held out to judge by",
    ),
)
