"""`{"messages": [{"role", "content"}, ...]}`: the loss covers what the assistant says."""

from __future__ import annotations

from bios_sweep.engines.training.data import Example, Message
from bios_sweep.engines.training.refusals import refuse_untrained_turn
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.values import text_of
from bios_sweep.errors import DataError

HELP = '{"messages": [{"role", "content"}, ...]}'


def _read(row: Row, place: str) -> Example:
    messages = _messages(row["messages"], place)
    return Example(prompt="", completion=messages[-1].content, cluster="", messages=messages, origin=place)


def _messages(value: object, place: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{place}: messages must be a list of at least one {{role, content}} object")
    messages = []
    for index, turn in enumerate(value):
        where = f"messages[{index}]"
        if not isinstance(turn, dict):
            raise DataError(f"{place}: {where} must be a {{role, content}} object")
        refuse_untrained_turn(turn, index, place)
        role, content = (text_of(turn, key, place, f"{where}.", help=HELP) for key in ("role", "content"))
        messages.append(Message(role=role, content=content))
    if messages[-1].role != "assistant":
        raise DataError(
            f"{place}: the last message is of role {messages[-1].role!r}; it must be the assistant's, "
            "whose words are learned"
        )
    for index, message in enumerate(messages[:-1]):
        if message.role == "assistant" and not message.content.strip():
            raise DataError(
                f"{place}: messages[{index}].content is empty; a turn of the assistant says something, "
                "remove the conversation or the turn"
            )
    return tuple(messages)


MESSAGES = Shape(name="messages", keys=("messages",), help=HELP, read=_read)
