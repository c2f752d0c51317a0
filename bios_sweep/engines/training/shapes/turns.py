"""Turns of a conversation: who says what, which of it is learned, and what else a chat template is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bios_sweep.engines.training.data import ASSISTANT, Example, Message
from bios_sweep.engines.training.refusals import REASONING_KEYS, refuse_untrained_turn
from bios_sweep.engines.training.shapes.tools import calls_of, parsed
from bios_sweep.engines.training.shapes.values import as_text, json_text, text_of
from bios_sweep.errors import DataError

HELP = '{"role", "content"}'
TOOL = "tool"
OLD_TOOL = "function"  # the role of a result before there were tools
SWITCHES = ("weight", "train")  # of a turn: whether it is learned
# what else people call the one that answers
ANSWERING = ("assistant", "gpt", "chatgpt", "bing", "bard", "bot", "model", "ai", "chatbot")
TEXT_PARTS = ("text", "input_text", "output_text")
ReadTurn = Callable[[Mapping[str, Any], str, str], Message]


def turns_of(value: Any, place: str, name: str, read: ReadTurn, help: str) -> tuple[Message, ...]:
    """A list of turns. name: of the list, for messages; read: (turn, place, where) -> message.

    Raises:
        DataError: it is no list of turns, or one of them cannot be used.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):  # a table has text alone
        value = parsed(value, place, name)
    if not isinstance(value, list) or not value:
        raise DataError(f"{place}: {name} must be a list of at least one {help} object")
    for index, turn in enumerate(value):
        if not isinstance(turn, dict):
            raise DataError(f"{place}: {name}[{index}] must be a {help} object")
    return tuple(read(turn, place, f"{name}[{index}]") for index, turn in enumerate(value))


def message_of(turn: Mapping[str, Any], place: str, where: str) -> Message:
    """A turn in OpenAI's form.

    Raises:
        DataError: it holds what would not be read, or says nothing.
    """
    refuse_untrained_turn(turn, where, place)
    role = text_of(turn, "role", place, f"{where}.", help=HELP)
    calls = calls_of(turn, place, where)
    if calls and role != ASSISTANT:
        raise DataError(f"{place}: {where} is of role {role!r} and calls tools; only the assistant does")
    more: dict[str, Any] = {"tool_calls": calls} if calls else {}
    names = ("name", "tool_call_id") if role in (TOOL, OLD_TOOL) else REASONING_KEYS
    more |= {key: as_text(turn[key], place, f"{where}.{key}") for key in names if turn.get(key)}
    content = turn.get("content")
    if content is None and calls:
        more["content"], content = None, ""
    elif content is None and "content" in turn:
        raise DataError(f"{place}: {where}.content is null; a turn without a call of a tool says something")
    else:
        content = _content(turn, place, where)
    return Message(
        role=TOOL if role == OLD_TOOL else role,
        content=content,
        more=json_text(more) if more else "",
        learned=switched(turn, role, place, where),
    )


def _content(turn: Mapping[str, Any], place: str, where: str) -> str:
    """Text, or parts of it, which are joined as they stand."""
    value = turn.get("content")
    if not isinstance(value, list):
        return text_of(turn, "content", place, f"{where}.", help=HELP)
    return "".join(_part(one, place, f"{where}.content[{index}]") for index, one in enumerate(value))


def _part(value: Any, place: str, where: str) -> str:
    if isinstance(value, str):
        return as_text(value, place, where)
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in TEXT_PARTS:
        found = f"a part of type {kind!r}" if kind else "no part of a text"
        raise DataError(
            f'{place}: {where} is {found}; only text is trained here: {{"type": "text", "text": ...}}, so '
            "leave these conversations out"
        )
    return text_of(value, "text", place, f"{where}.", help='{"type": "text", "text": ...}')


def switched(turn: Mapping[str, Any], role: str, place: str, where: str) -> bool:
    """Of the assistant's turns all are learned that no switch turns off; nobody else's ever are."""
    told = {key: turn[key] for key in SWITCHES if turn.get(key) is not None}
    for key, value in told.items():
        if value not in (0, 1):
            raise DataError(
                f"{place}: {where}.{key} is {value!r}; a turn counts or not: 1 or 0, true or false"
            )
        if value and role != ASSISTANT:
            raise DataError(f"{place}: {where}.{key} is {value!r}; only the assistant's words are learned")
    if len(set(map(bool, told.values()))) > 1:
        raise DataError(f"{place}: {where} has weight and train, which contradict each other; keep one")
    return all(told.values())


def talk_of(messages: Sequence[Message], place: str, name: str, tools: str = "") -> Example:
    """A conversation as an example. What comes after the last answer that is learned is left out.

    Raises:
        DataError: no answer is learned, or an answer is empty.
    """
    said = [index for index, one in enumerate(messages) if one.role == ASSISTANT]
    learned = [index for index in said if messages[index].learned]
    if not learned:
        raise DataError(f"{place}: {name}: no answer is learned, {_why_none(messages)}")
    kept = tuple(messages[: learned[-1] + 1])
    for index, message in enumerate(kept):
        if message.role == ASSISTANT and not message.content.strip() and not message.keys.get("tool_calls"):
            raise DataError(
                f"{place}: {name}[{index}] says nothing; a turn of the assistant says something, "
                "remove the conversation or the turn"
            )
    last = kept[-1]
    said_last = last.content if last.content.strip() else json_text(last.keys["tool_calls"])
    return Example(prompt="", completion=said_last, cluster="", messages=kept, origin=place, tools=tools)


def _why_none(messages: Sequence[Message]) -> str:
    """Why a conversation has nothing to learn, and the way out."""
    roles = list(dict.fromkeys(message.role for message in messages))
    if ASSISTANT in roles:
        return "weight or train turns all of them off; remove the conversation"
    meant = [role for role in roles if role.strip().casefold() in ANSWERING]
    if meant:
        return f"for the role {meant[0]!r} is not {ASSISTANT!r}, as chat templates call it; rename it"
    return f"there is no turn of the {ASSISTANT}'s (roles: {', '.join(roles)}); remove the conversation"


def unlearned(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same turns, read and not learned: those of a prompt."""
    return tuple(replace(one, learned=False) for one in messages)
