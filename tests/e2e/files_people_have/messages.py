"""OpenAI's messages: calls of tools, parts, switches, reasoning."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.containers.files import CONTAINERS, lines, separated
from tests.e2e.files_people_have.case import CHAT, STRICT, TOOL, WEATHER, Case, each, messages, turn

case = partial(Case, kind="messages")


def calling(number: int, arguments: Any, **more: Any) -> dict[str, Any]:
    call = {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": "weather", "arguments": arguments},
    }
    return messages(
        turn("system", "Tools are there."),
        turn("user", f"Weather in T{number}?"),
        turn("assistant", None, tool_calls=[call]),
        turn("tool", '{"sky": "clear"}', tool_call_id=f"call_{number}"),
        turn("assistant", f"Clear in T{number}."),
        tools=[TOOL],
        **more,
    )


def _parts(*kinds: dict[str, Any]) -> Callable[[int], dict[str, Any]]:
    return lambda n: messages(
        turn("user", [{"type": "text", "text": f"Hi {n}"}, *kinds]),
        turn("assistant", [{"type": "text", "text": f"Hello {n}"}]),
    )


def _weighted(number: int) -> dict[str, Any]:
    return messages(
        turn("user", f"{number}?"),
        turn("assistant", "bad", weight=0),
        turn("user", "again"),
        turn("assistant", f"good {number}", weight=1),
    )


CASES = (
    case(
        name="calls with arguments as text",
        files={"m.jsonl": lines(each(lambda n: calling(n, f'{{"town": "T{n}"}}')))},
        model=CHAT,
        quick=True,
    ),
    case(
        name="calls with arguments as objects",
        files={"m.jsonl": lines(each(lambda n: calling(n, {"town": f"T{n}"})))},
        model=CHAT,
    ),
    case(
        name="calls, as parquet",
        files={"m.parquet": CONTAINERS["a.parquet"](each(lambda n: calling(n, f'{{"town": "T{n}"}}')))},
        model=CHAT,
    ),
    case(
        name="calls with broken arguments",
        files={"m.jsonl": lines(each(lambda n: calling(n, '{"town": ')))},
        model=CHAT,
        ends="arguments is text and no JSON",
    ),
    case(
        name="calls for a template without tools",
        files={"m.jsonl": lines(each(lambda n: messages(*calling(n, {})["messages"][1:], tools=[TOOL])))},
        model=STRICT,
        ends="template",
    ),
    case(
        name="content is null",
        files={"m.jsonl": lines(each(lambda n: messages(turn("user", f"{n}?"), turn("assistant", None))))},
        model=CHAT,
        ends="content is null",
    ),
    case(name="parts of text", files={"m.jsonl": lines(each(_parts()))}, model=CHAT),
    case(
        name="a picture",
        files={"m.jsonl": lines(each(_parts({"type": "image_url", "image_url": {"url": "data:..."}})))},
        model=CHAT,
        ends="only text is trained here",
    ),
    case(name="weights per turn", files={"m.jsonl": lines(each(_weighted))}, model=CHAT),
    case(
        name="a weight of a half",
        files={
            "m.jsonl": lines(
                each(lambda n: messages(turn("user", f"{n}?"), turn("assistant", "a", weight=0.5)))
            )
        },
        model=CHAT,
        ends="weight is 0.5",
    ),
    case(
        name="all answers off",
        files={
            "m.jsonl": lines(
                each(lambda n: messages(turn("user", f"{n}?"), turn("assistant", "a", weight=0)))
            )
        },
        model=CHAT,
        ends="no answer is learned",
    ),
    case(
        name="reasoning",
        files={
            "m.jsonl": lines(
                each(
                    lambda n: messages(
                        turn("user", f"{n}?"), turn("assistant", f"{n}.", reasoning_content="Let me see.")
                    )
                )
            )
        },
        model=CHAT,
    ),
    case(
        name="reasoning for a template without",
        files={
            "m.jsonl": lines(
                each(
                    lambda n: messages(
                        turn("user", f"{n}?"), turn("assistant", f"{n}.", reasoning_content="Let me see.")
                    )
                )
            )
        },
        model=STRICT,
        ends="reasoning_content",
    ),
    case(
        name="user last",
        files={
            "m.jsonl": lines(
                each(
                    lambda n: messages(turn("user", f"{n}?"), turn("assistant", f"{n}."), turn("user", "Bye"))
                )
            )
        },
        model=CHAT,
    ),
    case(
        name="nobody answers",
        files={"m.jsonl": lines(each(lambda n: messages(turn("user", f"{n}?"))))},
        model=CHAT,
        ends="there is no turn of the assistant's",
    ),
    case(
        name="messages as text",
        files={
            "m.csv": separated(",")(
                each(lambda n: {"messages": json.dumps([turn("user", f"{n}?"), turn("assistant", f"{n}.")])})
            )
        },
        model=CHAT,
    ),
    case(
        name="old functions",
        files={
            "m.jsonl": lines(
                each(
                    lambda n: messages(
                        turn("user", f"{n}?"),
                        turn("assistant", None, function_call={"name": "weather", "arguments": "{}"}),
                        turn("function", "clear", name="weather"),
                        turn("assistant", f"Clear {n}"),
                        functions=[WEATHER],
                    )
                )
            )
        },
        model=CHAT,
    ),
    case(
        name="tools and a picture of the tool",
        files={
            "m.jsonl": lines(
                each(lambda n: messages(turn("user", f"{n}?", images=["a.png"]), turn("assistant", "a")))
            )
        },
        model=CHAT,
        ends="images",
    ),
    case(
        name="empty list",
        files={
            "m.jsonl": lines(
                [*each(lambda n: messages(turn("user", f"{n}?"), turn("assistant", "a"))), messages()]
            )
        },
        model=CHAT,
        ends="must be a list of at least one",
    ),
)
