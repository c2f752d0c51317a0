"""`{"prompt": [turns], "completion": [turns]}`: TRL's form; the loss covers the answers of the completion."""

from __future__ import annotations

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.tools import TOOL_KEYS, tools_of
from bios_sweep.engines.training.shapes.turns import HELP as TURN
from bios_sweep.engines.training.shapes.turns import message_of, talk_of, turns_of, unlearned

KEYS = ("prompt", "completion")


def _read(row: Row, place: str) -> Example:
    prompt, completion = (turns_of(row[key], place, key, message_of, TURN) for key in KEYS)
    return talk_of((*unlearned(prompt), *completion), place, "completion", tools_of(row, place))


def _turns(row: Row) -> bool:
    return isinstance(row["prompt"], list) and isinstance(row["completion"], list)


CONVERSATIONAL = Shape(
    name="conversational",
    keys=KEYS,
    more=TOOL_KEYS,
    help='{"prompt": [{"role", "content"}, ...], "completion": [{"role": "assistant", "content"}]}',
    learned="the assistant's turns of the completion",
    read=_read,
    fits=_turns,
)
