"""`{"conversations": [{"from", "value"}, ...]}`: ShareGPT's form, whatever its speakers are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bios_sweep.engines.training.data import ASSISTANT, Example, Message
from bios_sweep.engines.training.refusals import refuse_untrained_turn
from bios_sweep.engines.training.shapes.messages import EVERY_ANSWER
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.tools import TOOL_KEYS, call_of, parsed, tools_of
from bios_sweep.engines.training.shapes.turns import ANSWERING, TOOL, message_of, switched, talk_of, turns_of
from bios_sweep.engines.training.shapes.values import json_text, text_of, text_or_nothing
from bios_sweep.errors import DataError

LIST = "conversations"
TURN = '{"from", "value"}'
CALLS = ("function_call", "tool_call")
SPEAKERS = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(ANSWERING, ASSISTANT),
    **dict.fromkeys(CALLS, ASSISTANT),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "observation", "tool_response", "function_response", "function"), TOOL),
}


def _read(row: Row, place: str) -> Example:
    messages = turns_of(row[LIST], place, LIST, turn_of, TURN)
    system = text_or_nothing(row, "system", place)
    if system:
        if messages[0].role == "system":
            raise DataError(f"{place}: has a system text and a first turn of the system's; keep one of them")
        messages = (Message(role="system", content=system), *messages)
    return talk_of(messages, place, LIST, tools_of(row, place))


def turn_of(turn: Mapping[str, Any], place: str, where: str) -> Message:
    """A turn in ShareGPT's form, or in OpenAI's.

    Raises:
        DataError: nobody is known by that name, or the turn says nothing.
    """
    if "from" not in turn and "role" in turn:
        return message_of(turn, place, where)
    refuse_untrained_turn(turn, where, place)
    speaker, said = (text_of(turn, key, place, f"{where}.", help=TURN) for key in ("from", "value"))
    role = SPEAKERS.get(speaker.strip().casefold())
    if role is None:
        allowed = ", ".join(SPEAKERS)
        raise DataError(f"{place}: {where}.from is {speaker!r}; it must be one of {allowed}")
    learned = switched(turn, role, place, where)
    if speaker.strip().casefold() not in CALLS:
        return Message(role=role, content=said, learned=learned)
    called = parsed(said, place, f"{where}.value")
    calls = [
        call_of(one, place, f"{where}.value") for one in (called if isinstance(called, list) else [called])
    ]
    return Message(
        role=role, content="", more=json_text({"tool_calls": calls, "content": None}), learned=learned
    )


SHAREGPT = Shape(
    name="sharegpt",
    keys=(LIST,),
    more=("system", *TOOL_KEYS),
    help='{"conversations": [{"from", "value"}, ...]}',
    learned=EVERY_ANSWER,
    read=_read,
)
