"""What a line of data may say that training would drop or mangle: refused by name until it is supported.

A key that is passed over changes what is learned without a sign: a tool call beside empty content is an
empty answer, a rejected answer beside a completion is half of a pair. What only labels a line (an id, a
source) says nothing to the model and passes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from bios_sweep.engines.training.data import ASSISTANT
from bios_sweep.errors import DataError

_TOOLS = "no chat template is given it; write `tools` of a conversation and `tool_calls` of a turn, or text"
_REASONING = (
    "no chat template is given it; call it reasoning_content or thinking, as the template does, in a turn of "
    "the assistant's, or write it into content"
)
_WEIGHT = "all tokens under the loss weigh the same; remove it, and the lines that should not count"
_MEDIA = "only text is trained here; leave these lines out, or remove the key"
_PAIRS = "preferences are not trained here; write the line you want to be learned as prompt and completion"
_ROLE = "chat templates call it {role!r}, rename it"
_SYSTEM = "it would not be read; write it as the first message or into the prompt"
_OTHER = "it would not be read; keep one way of writing the example"
_BESIDE = "it would not be read; where the model needs it, write it into the example, else remove it"

# Of a line or of a turn: what asks for a way of training that is not there.
UNTRAINED = {
    **dict.fromkeys(("thoughts", "thought", "chain_of_thought", "cot", "rationale"), _REASONING),
    **dict.fromkeys(("weight", "weights", "sample_weight", "loss_weight", "loss_mask", "mask"), _WEIGHT),
    **dict.fromkeys(("documents", "chat_template_kwargs"), "no chat template is given it; write it as text"),
}
# The same by a word of the key, as in `available_tools` or `image_url`.
UNTRAINED_WORDS = {
    **dict.fromkeys(("tool", "tools", "function", "functions", "toolcalls"), _TOOLS),
    **dict.fromkeys(("reasoning", "thinking"), _REASONING),
    **dict.fromkeys(("image", "images", "video", "videos", "audio", "audios"), _MEDIA),
}
# Of a line: another way of writing the example, beside the one that is read.
OTHER_SHAPES = {
    **dict.fromkeys(("system", "system_prompt"), _SYSTEM),
    **dict.fromkeys(
        (
            "completion",
            "conversations",
            "conversation",
            "instruction",
            "input",
            "output",
            "response",
            "responses",
        ),
        _OTHER,
    ),
    **dict.fromkeys(("context", "suffix", "question", "answer", "target"), _BESIDE),
    "history": "it would not be read; write the earlier turns as messages",
}
PAIR_PREFIXES = ("chosen", "rejected", "preferred", "dispreferred", "non_preferred")
# Of a turn: labels that say nothing to the model.
LABELS = ("id", "uuid", "message_id", "index", "timestamp", "created_at", "date", "model", "source", "lang")
REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")  # of a turn, as chat templates call them
RESULTS = ("tool", "function", "ipython")  # roles of what a tool answers
OTHER_NAMES = {
    "human": "user",
    **dict.fromkeys(("gpt", "bot", "ai", "chatbot", "tool_call", "function_call"), "assistant"),
    **dict.fromkeys(("observation", "tool_response", "function_response"), "tool"),
}
# Of a turn: what is read, by its role.
READ = ("role", "content", "from", "value", "weight", "train", "tool_calls", "function_call")
READ_OF_RESULTS = ("name", "tool_call_id")


def refuse_untrained_keys(
    row: Mapping[str, Any], own: Collection[str | None], place: str, *, stated: bool = False
) -> None:
    """Refuse a record with a key beside those of its shape that training would have to read: a `DataError`.

    stated: the user said what is read, so that other ways of writing the example, and what is no text, are
    passed over.
    """
    for key, value in row.items():
        if key in own or _says_nothing(value):
            continue
        reason = _untrained(key, value)
        if reason is _MEDIA:
            reason = "" if stated else f"{_MEDIA}, or say with data.columns what is read beside it"
        if not stated:
            reason = reason or OTHER_SHAPES.get(key, "")
            if key.startswith(PAIR_PREFIXES) or (key == "label" and isinstance(value, bool)):
                reason = _PAIRS
        if reason:
            raise DataError(f"{place}: the key {key!r} is not trained on: {reason}")


def refuse_untrained_turn(turn: Mapping[str, Any], where: str, place: str) -> None:
    """Refuse a turn with a role or a key that training would drop or mangle: a `DataError`.

    where: which turn, such as `messages[2]`.
    """
    role = turn.get("role")
    read = (
        *READ,
        *(READ_OF_RESULTS if role in RESULTS else ()),
        *(REASONING_KEYS if role == ASSISTANT else ()),
    )
    for key, value in turn.items():
        if key in (*read, *LABELS) or _says_nothing(value):
            continue
        reason = _untrained(key, value) or "it would not be read; write it into content, or remove it"
        raise DataError(f"{place}: {where}.{key} is not trained on: {reason}")
    if isinstance(role, str) and role in OTHER_NAMES:
        raise DataError(f"{place}: {where} is of role {role!r}; {_ROLE.format(role=OTHER_NAMES[role])}")


def _untrained(key: str, value: object) -> str:
    """Why a key asks for what is not there. A word in it says nothing of a number or a switch (`n_tools`)."""
    words = [] if isinstance(value, bool | int) else re.split(r"[\W_]+", key.casefold())
    by_word = (UNTRAINED_WORDS[word] for word in (key.casefold(), *words) if word in UNTRAINED_WORDS)
    return UNTRAINED.get(key.casefold()) or next(by_word, "")


def _says_nothing(value: object) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)
