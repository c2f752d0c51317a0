"""`{"messages": [{"role", "content"}, ...]}`: OpenAI's form, with tools, calls, parts and switches."""

from __future__ import annotations

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.tools import TOOL_KEYS, tools_of
from bios_sweep.engines.training.shapes.turns import HELP as TURN
from bios_sweep.engines.training.shapes.turns import message_of, talk_of, turns_of

EVERY_ANSWER = "every answer of the assistant, its calls of tools included; turns after the last are left out"


def _read(row: Row, place: str) -> Example:
    messages = turns_of(row["messages"], place, "messages", message_of, TURN)
    return talk_of(messages, place, "messages", tools_of(row, place))


MESSAGES = Shape(
    name="messages",
    keys=("messages",),
    more=TOOL_KEYS,
    help='{"messages": [{"role", "content"}, ...]}',
    learned=EVERY_ANSWER,
    read=_read,
)
