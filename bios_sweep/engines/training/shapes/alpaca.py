"""`{"instruction", "input", "output"}`: Alpaca's form, as a conversation or as text."""

from __future__ import annotations

from typing import Any

from bios_sweep.engines.training.data import ASSISTANT, Example, Message
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.turns import talk_of, unlearned
from bios_sweep.engines.training.shapes.values import as_text, text_of, text_or_nothing
from bios_sweep.errors import DataError

HELP = '{"instruction", "input", "output"}'
KEYS = ("instruction", "output")
MORE = ("input", "system", "history")
# The headings that Alpaca's own prompts have; models trained on such data know them.
INSTRUCTION, INPUT, RESPONSE = "### Instruction:\n", "### Input:\n", "### Response:\n"


def _asked(row: Row, place: str) -> tuple[str, str, str]:
    instruction, output = (text_of(row, key, place, help=HELP) for key in KEYS)
    given = text_or_nothing(row, "input", place)
    if not instruction.strip() and not given.strip():
        raise DataError(
            f"{place}: instruction and input are empty; there is nothing to answer, remove the record"
        )
    return instruction, given, output


def _as_talk(row: Row, place: str) -> Example:
    instruction, given, output = _asked(row, place)
    system = text_or_nothing(row, "system", place)
    before: list[Message] = [Message(role="system", content=system)] if system else []
    for question, answer in _history(row, place):
        before += [Message(role="user", content=question), Message(role=ASSISTANT, content=answer)]
    question = "\n".join(part for part in (instruction, given) if part)
    turns = (Message(role="user", content=question), Message(role=ASSISTANT, content=output))
    return talk_of((*unlearned(before), *turns), place, "output")


def _as_text(row: Row, place: str) -> Example:
    instruction, given, output = _asked(row, place)
    system = text_or_nothing(row, "system", place)
    earlier = "".join(
        f"{INSTRUCTION}{question}\n\n{RESPONSE}{answer}\n\n" for question, answer in _history(row, place)
    )
    asked = f"{INSTRUCTION}{instruction}\n\n" + (f"{INPUT}{given}\n\n" if given else "")
    prompt = (f"{system}\n\n" if system else "") + earlier + asked + RESPONSE
    return Example(prompt=prompt, completion=output, cluster="", origin=place)


def _history(row: Row, place: str) -> list[tuple[str, str]]:
    value: Any = row.get("history") or []
    pairs = isinstance(value, list) and all(isinstance(one, list) and len(one) == 2 for one in value)
    if not pairs:
        raise DataError(f"{place}: history must be a list of [instruction, output] pairs of the turns before")
    return [
        (as_text(asked, place, f"history[{index}][0]"), as_text(said, place, f"history[{index}][1]"))
        for index, (asked, said) in enumerate(value)
    ]


ALPACA = Shape(
    name="alpaca",
    keys=KEYS,
    more=MORE,
    help=HELP,
    learned="the output, as the answer to instruction and input; history is read only",
    read=_as_talk,
)
ALPACA_TEXT = Shape(
    name="alpaca_text",
    keys=KEYS,
    more=MORE,
    help=HELP,
    learned="the output, behind the headings Instruction, Input and Response",
    read=_as_text,
    stated=True,
)
