"""A file, how `run` ends with it, and what such files are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.containers.files import Rows, lines

COUNT = 16  # records of a file: four of them are held out
PLAIN, CHAT, STRICT = (
    "plain",
    "chat",
    "strict",
)  # the model: without a template, with one, one that refuses system
VERDICT = "verdict"
Content = bytes | Callable[[Path], None]  # a callable writes a folder

# one of the rich kind: system, tools, calls, results, reasoning
CHAT_TEMPLATE = (
    "{% if tools %}<tools>{% for t in tools %}{{ t | tojson }}\n{% endfor %}</tools>\n{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{% if m.reasoning_content %}"
    "<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content if m.content is string else '' }}"
    "{% for c in m.tool_calls or [] %}<call>"
    "{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}</call>{% endfor %}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
STRICT_TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


TEMPLATES = {CHAT: CHAT_TEMPLATE, STRICT: STRICT_TEMPLATE}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file and how `run` ends with it.

    files: path -> content. words: of the command line, `data.path` among them where it is not the one file.
    ends: `VERDICT`, or what stands in the sentence of its refusal.
    """

    kind: str
    name: str
    files: Mapping[str, Content]
    words: tuple[str, ...] = ()
    model: str = PLAIN
    ends: str = VERDICT
    quick: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"

    @property
    def given(self) -> tuple[str, ...]:
        """The words of the command line."""
        if any(word.startswith("data.path=") for word in self.words):
            return self.words
        return (f"data.path={next(iter(self.files))}", *self.words)

    def write(self, folder: Path) -> None:
        """Put its files into a folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if callable(content):
                content(path)
            else:
                path.write_bytes(content)


def each(make: Callable[[int], dict[str, Any]]) -> Rows:
    return [make(number) for number in range(COUNT)]


def turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def said(speaker: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"from": speaker, "value": value, **more}


def pair(number: int) -> dict[str, Any]:
    return {"prompt": f"Question {number}?", "completion": f"Answer {number}."}


PAIRS = each(pair)
WEATHER = {
    "name": "weather",
    "description": "Of a town",
    "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
}
TOOL = {"type": "function", "function": WEATHER}


def one_line(**rows: Any) -> bytes:
    return lines([*PAIRS, rows])


def array(rows: Rows, **how: Any) -> bytes:
    return json.dumps(rows, ensure_ascii=False, **how).encode()


def messages(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(turns), **more}
