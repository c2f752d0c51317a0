"""Conversations written as text with the base model's own chat template.

The template's text is compiled here as Hugging Face compiles it, so that a plan, which must not load
transformers, writes and counts the very text that is trained on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bios_sweep.engines.training.calls import FORMS, PLAIN_FORM, Form, formed
from bios_sweep.engines.training.data import ASSISTANT, Example, Message
from bios_sweep.engines.training.refusals import REASONING_KEYS
from bios_sweep.engines.training.rendered import AS_DATA, require_all, require_unlearned, require_words
from bios_sweep.engines.training.templates import template_text
from bios_sweep.engines.training.tokenizer import special_tokens
from bios_sweep.engines.training.tokens import Rendered
from bios_sweep.errors import DataError, ModelError

CLOCK = "strftime_now"  # what templates of Llama 3's kind call to write today's date into the prompt
DATE = "date_string"  # the date that they are given, in place of today's
# The day that Llama 3's own template falls back on. A clock would give each day's trials other tokens.
THE_DAY = datetime(2024, 7, 26)
PROBE = "PROBEOFTHEEND"  # an answer that no template changes
MARK = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]|.", re.DOTALL)  # a template's marks, and characters elsewhere


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How conversations are read.

    every_answer: all that the assistant says is under the loss; else the last message alone. day: the date
    that templates write; None: `THE_DAY`.
    """

    every_answer: bool = False
    day: date | None = None


AS_EVER = Reading()


def reading_of(words: Mapping[str, Any]) -> Reading:
    """As `options.EngineOptions` has it: `train_on` and `chat_date`, where they are not as ever."""
    day = words.get("chat_date")
    return Reading(
        every_answer=words.get("train_on") is not None, day=None if day is None else date.fromisoformat(day)
    )


class ChatTemplate:
    """Renders conversations: the prompt is all but the last message with the template's call for an answer.

    The completion is what the whole conversation adds to that, its end mark included, so that the loss
    covers exactly what the model would have to say. Where every answer is learned the prompt ends with the
    first one's header, and what stands between answers is an aside of the completion.
    """

    def __init__(self, text: str, special: Mapping[str, str], model: str, reading: Reading = AS_EVER) -> None:
        """text: the Jinja template. special: what it may name, such as `bos_token`. model: for messages.

        Raises:
            ModelError: the template cannot be compiled.
        """
        self._model, self._special, self._reading = model, dict(special), reading
        self._frame: tuple[str, str] | None = None
        self.dated = CLOCK in text or DATE in text
        self.day = THE_DAY if reading.day is None else datetime.combine(reading.day, THE_DAY.time())
        if reading.day is not None:
            self._special[DATE] = self.day.strftime("%d %b %Y")
        try:
            self._template = _environment(self.day).from_string(text)
        except TemplateError as error:
            raise ModelError(f"{model}: its chat template cannot be read ({error})") from error
        self._text = text
        self._form = PLAIN_FORM
        self._form = self._form_of_calls()
        self._reasons = {name: name in text and self._writes(name) for name in REASONING_KEYS}

    def __call__(self, talk: Example) -> Rendered:
        """The text of a conversation.

        Raises:
            DataError: one message only, or the template refuses them, drops one of them, or writes an
                answer differently from its prompt.
        """
        messages, tools = talk.messages, talk.tools
        if len(messages) < 2:
            raise DataError("messages: a conversation of one message has no prompt; add the turn before it")
        require_words(talk, self._text, model=self._model)
        prompt, whole = self._apply(messages[:-1], tools, call=True), self._apply(messages, tools)
        if not whole.startswith(prompt):
            raise DataError(
                f"messages: the chat template of {self._model} writes an answer differently from its "
                f"prompt; {AS_DATA}"
            )
        completion = whole[len(prompt) :]
        require_all(talk, prompt, completion, model=self._model, reasons=self._reasons)
        ended = bool(self.end(talk).strip())
        if not self._reading.every_answer:
            return Rendered(prompt, completion, ended)
        answers = [*self._earlier_answers(talk, whole), (len(prompt), len(whole))]
        first = answers[0][0]
        asides = tuple(
            (end - first, begin - first) for (_, end), (begin, _) in pairwise(answers) if begin > end
        )
        require_unlearned(talk, [whole[first + begin : first + end] for begin, end in asides], self._model)
        return Rendered(whole[:first], whole[first:], ended, asides)

    @property
    def of_the_last(self) -> ChatTemplate:
        """The same, for the last answer alone: how a question is asked."""
        other = copy(self)
        other._reading = Reading(day=self._reading.day)
        return other

    def end(self, talk: Example) -> str:
        """What the template writes behind an answer, found by rendering; the first conversation tells it."""
        return self._around(talk)[1]

    def _around(self, talk: Example) -> tuple[str, str]:
        """What the template writes between its call for an answer and the answer, and behind it."""
        if self._frame is None:
            messages, last = talk.messages, talk.messages[-1]
            text = self._apply([*messages[:-1], Message(role=last.role, content=PROBE)], talk.tools)
            before, _, end = text.rpartition(PROBE)
            call = self._apply(messages[:-1], talk.tools, call=True)
            lead = before[len(call) :] if before.startswith(call) else ""
            self._frame = (lead, end if PROBE in text else "")
        return self._frame

    def _earlier_answers(self, talk: Example, whole: str) -> list[tuple[int, int]]:
        """Where in the text each answer but the last begins and ends, its end mark included."""
        found = []
        for index, message in enumerate(talk.messages[:-1]):
            if message.role != ASSISTANT or not message.learned:
                continue
            ways = (self._by_probe, self._by_prefix)
            called = bool(message.keys.get("tool_calls"))
            places = (way(talk, index, whole) for way in (reversed(ways) if called else ways))
            place = next(filter(None, places), None)
            if place is None:
                raise DataError(
                    f"messages[{index}]: the chat template of {self._model} does not show where this answer "
                    "stands; data.train_on=last learns the last answer alone"
                )
            found.append(place)
        return found

    def _by_probe(self, talk: Example, index: int, whole: str) -> tuple[int, int] | None:
        """An answer by what another in its place would change.

        Templates strip what is said, and an answer may say what a header says.
        """
        messages = talk.messages
        probe = Message(role=ASSISTANT, content=PROBE)
        try:
            text = self._apply([*messages[:index], probe, *messages[index + 1 :]], talk.tools)
        except DataError:  # what answers a call may not stand behind another answer
            return None
        head, there, tail = text.partition(PROBE)
        fits = len(head) + len(tail) <= len(whole) and whole.startswith(head) and whole.endswith(tail)
        if not there or not fits:
            return None
        lead, end = self._around(talk)
        begin = len(head) - (len(lead) if head.endswith(lead) else 0)
        return begin, len(whole) - len(tail) + _end_within(tail, end)

    def _by_prefix(self, talk: Example, index: int, whole: str) -> tuple[int, int] | None:
        """An answer between what the turns before it write, with the call for it, and what it adds."""
        messages = talk.messages
        try:
            before = self._apply(messages[:index], talk.tools, call=True)
            behind = self._apply(messages[: index + 1], talk.tools)
        except DataError:
            return None
        fits = whole.startswith(before) and whole.startswith(behind) and len(before) < len(behind)
        return (len(before), len(behind)) if fits else None

    def _writes(self, reasoning: str) -> bool:
        """Whether the template writes reasoning that stands under this key."""
        said = Message(role=ASSISTANT, content="Yes.", more=json.dumps({reasoning: PROBE}))
        try:
            return PROBE in self._apply([Message(role="user", content="Is it?"), said])
        except DataError:
            return False

    def _form_of_calls(self) -> Form:
        """The first form of a turn that calls a tool which the template writes, and nothing else for it."""
        if "tool_calls" not in self._text:
            return PLAIN_FORM
        asked = Message(role="user", content="Is it?")
        function = {"name": PROBE, "arguments": {"it": PROBE[::-1]}}
        call = {
            "tool_calls": [{"id": "call00000", "type": "function", "function": function}],
            "content": None,
        }
        called = Message(role=ASSISTANT, content="", more=json.dumps(call))
        for form in FORMS:
            self._form = form
            with suppress(DataError):
                text = self._apply([asked, called])
                if PROBE in text and PROBE[::-1] in text and "None" not in text:
                    return form
        return PLAIN_FORM

    def _apply(self, messages: Sequence[Message], tools: str = "", *, call: bool = False) -> str:
        turns = [formed(message, self._form) for message in messages]
        try:
            return self._template.render(
                messages=turns,
                tools=json.loads(tools) if tools else None,
                documents=None,
                add_generation_prompt=call,
                **self._special,
            )
        except (TemplateError, TypeError, KeyError, ValueError, AttributeError, RecursionError) as error:
            raise DataError(
                f"messages: the chat template of {self._model} refuses them ({error}); {AS_DATA}"
            ) from error


def chat_template(model_dir: Path, reading: Reading = AS_EVER) -> ChatTemplate | None:
    """The template of a model's folder by its files alone; None where it has none."""
    text = template_text(model_dir)
    if text is None:
        return None
    return ChatTemplate(text, special_tokens(model_dir), str(model_dir), reading)


def chat_renderer(model_path: Path, reading: Reading = AS_EVER) -> ChatTemplate | None:
    """The template as transformers reads it, with which the trainer writes; None where the model has none.

    Some tokenizers name special tokens in their code and in no file; a plan counts without those.

    Raises:
        ModelError: the model has several templates and none of them is the default.
    """
    import transformers  # a plan must not

    tokenizer = transformers.AutoTokenizer.from_pretrained(
        model_path, local_files_only=True, trust_remote_code=False
    )
    if not tokenizer.chat_template:
        return None
    try:
        text = tokenizer.get_chat_template()
    except ValueError as error:
        raise ModelError(f"model {model_path}: {str(error).splitlines()[0]}") from error
    return ChatTemplate(text, tokenizer.special_tokens_map, str(model_path), reading)


def _end_within(tail: str, end: str) -> int:
    """Characters of what follows an earlier answer that end it, by what ends the last one.

    Marks such as `<|user|>` count whole, for they are one token. Where two marks end answers, one in between
    and one at the end (`<|end|>` and `<|return|>` of gpt-oss), the first in between is the answer's.
    """
    ours, last = MARK.findall(tail), MARK.findall(end)
    both = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, last, strict=False))]
    if not both and ours and last and len(ours[0]) > 1 and len(last[0]) > 1:
        both = ours[:1]
    return sum(map(len, both))


def _environment(day: datetime) -> ImmutableSandboxedEnvironment:
    """As Hugging Face's, but for the clock, which stands still."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    environment.globals[CLOCK] = day.strftime
    return environment


class _Generation(Extension):
    """The block `generation`, by which templates mark what an assistant says: its content and no more."""

    tags = {"generation"}  # noqa: RUF012  # as jinja declares it

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own would escape HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _refuse(message: str) -> str:
    raise TemplateError(message)
