"""Turns that call tools, in the forms that chat templates understand them.

Content is null beside a call in OpenAI's form, and some templates write `None` for it or refuse it; arguments
are an object for most templates, and text for those that only join it on.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from bios_sweep.engines.training.data import Message

NULL, MISSING, EMPTY = "null", "missing", "empty"


class Form(NamedTuple):
    """content: what stands for content that is null. as_text: whether arguments are JSON text."""

    content: str
    as_text: bool


# as OpenAI's form has it first; then what templates in use need
FORMS = tuple(Form(content, as_text) for as_text in (False, True) for content in (NULL, MISSING, EMPTY))
PLAIN_FORM = FORMS[0]


def formed(message: Message, form: Form) -> dict[str, Any]:
    """A turn as a template of that form is given it."""
    turn = message.keys
    if not turn.get("tool_calls"):
        return turn
    if turn["content"] is None and form.content != NULL:
        del turn["content"]
        if form.content == EMPTY:
            turn["content"] = ""
    if form.as_text:
        turn["tool_calls"] = [_texted(call) for call in turn["tool_calls"]]
    return turn


def _texted(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return {**call, "function": {**function, "arguments": arguments}}
