"""What a conversation says has to stand in what a chat template made of it: templates drop without a word."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bios_sweep.engines.training.data import ASSISTANT, Example, Message
from bios_sweep.errors import DataError

AS_DATA = "write the data as prompt and completion"
NO_TOOLS = "choose a model whose template does, or leave these conversations out"


def require_all(
    talk: Example, prompt: str, completion: str, *, model: str, reasons: Mapping[str, bool]
) -> None:
    """Refuse a conversation of which the template left something out.

    Reasoning in earlier answers templates leave out on purpose; reasoning that a template never writes is
    refused. model: for messages. reasons: key of a turn -> whether the template writes reasoning under it.

    Raises:
        DataError: names the turn and what is missing.
    """
    read, said = _dense(prompt), _dense(completion)
    for index, message in enumerate(talk.messages):
        last = index == len(talk.messages) - 1
        there = said if last else read
        where = f"messages[{index}]: the chat template of {model}"
        if not _stands(message.content, there) and (last or "</think>" not in message.content):
            raise DataError(f"{where} leaves out or changes what the {message.role} says; {AS_DATA}")
        if message.more:
            _require_more(message, there, where, reasons, last=last)
    for name in _names(json.loads(talk.tools) if talk.tools else []):
        if _dense(name) not in read:
            raise DataError(f"tools: the chat template of {model} does not write {name!r}; {NO_TOOLS}")


def require_words(talk: Example, template: str, *, model: str) -> None:
    """Refuse tools and calls of them where the template has no word for them: it would refuse or drop them.

    Raises:
        DataError: names what it has no word for.
    """
    calls = next((index for index, one in enumerate(talk.messages) if "tool_calls" in one.keys), None)
    if calls is not None and "tool_calls" not in template:
        raise DataError(
            f"messages[{calls}]: the chat template of {model} writes no calls of tools; {NO_TOOLS}"
        )
    if talk.tools and "tools" not in template:
        raise DataError(f"tools: the chat template of {model} writes no tools; {NO_TOOLS}")


def require_unlearned(talk: Example, asides: Sequence[str], model: str) -> None:
    """Refuse a conversation in which what others say would be learned, because it stands within an answer.

    asides: what is read and not learned behind the first answer.

    Raises:
        DataError: names the turn.
    """
    read = _dense("".join(asides))
    learned = [index for index, one in enumerate(talk.messages) if one.role == ASSISTANT and one.learned]
    for index, message in enumerate(talk.messages[learned[0] :], start=learned[0]):
        if index not in learned and not _stands(message.content, read) and "</think>" not in message.content:
            raise DataError(
                f"messages[{index}]: the chat template of {model} does not show where the answers beside it "
                "end; data.train_on=last learns the last answer alone"
            )


def _require_more(
    message: Message, there: str, where: str, reasons: Mapping[str, bool], *, last: bool
) -> None:
    keys = message.keys
    for call in keys.get("tool_calls", ()):
        words = [call["function"]["name"], *_texts(call["function"].get("arguments"))]
        for word in words:
            if not _stands(word, there):
                raise DataError(f"{where} leaves out or changes the call of {words[0]!r}; {NO_TOOLS}")
    for name, writes in reasons.items():
        if name not in keys:
            continue
        other = next((key for key, does in reasons.items() if does), None)
        if not writes:
            way_out = (
                f"it writes {other!r}: rename the key" if other else "write it into content, or remove it"
            )
            raise DataError(f"{where} does not write {name!r}; {way_out}")
        if last and _dense(keys[name]) not in there:
            raise DataError(f"{where} leaves out or changes {name!r}; write it into content, or remove it")


def _stands(word: str, there: str) -> bool:
    """Whether a word stands there, as text or within JSON."""
    spellings = (word, *(json.dumps(word, ensure_ascii=ascii)[1:-1] for ascii in (False, True)))
    return any(_dense(one) in there for one in spellings)


def _texts(value: Any) -> Iterator[str]:
    """The texts within the arguments of a call."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _names(tools: list[Any]) -> Iterator[str]:
    for tool in tools:
        yield str((tool.get("function") or tool).get("name", ""))


def _dense(text: str) -> str:
    return "".join(text.split())
