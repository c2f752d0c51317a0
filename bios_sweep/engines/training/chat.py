"""Conversations written as text with the base model's own chat template.

The template's text is compiled here as Hugging Face compiles it, so that a plan, which must not load
transformers, writes and counts the very text that is trained on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bios_sweep.engines.training.data import Message
from bios_sweep.engines.training.tokenizer import read_json, special_tokens
from bios_sweep.engines.training.tokens import Rendered
from bios_sweep.errors import DataError, ModelError

TEMPLATE_FILE = "chat_template.jinja"
CLOCK = "strftime_now"  # what templates of Llama 3's kind call to write today's date into the prompt
# The day that Llama 3's own template falls back on. A clock would give each day's trials other tokens.
THE_DAY = datetime(2024, 7, 26)
PROBE = "PROBEOFTHEEND"  # an answer that no template changes
AS_DATA = "write the data as prompt and completion"


class ChatTemplate:
    """Renders conversations: the prompt is all but the last message with the template's call for an answer.

    The completion is what the whole conversation adds to that, its end mark included, so that the loss
    covers exactly what the model would have to say.
    """

    def __init__(self, text: str, special: Mapping[str, str], model: str) -> None:
        """text: the Jinja template. special: what it may name, such as `bos_token`. model: for messages.

        Raises:
            ModelError: the template cannot be compiled.
        """
        self._model, self._special = model, dict(special)
        self._end: str | None = None
        self.dated = CLOCK in text
        try:
            self._template = _environment().from_string(text)
        except TemplateError as error:
            raise ModelError(f"{model}: its chat template cannot be read ({error})") from error

    def __call__(self, messages: Sequence[Message]) -> Rendered:
        """The text of a conversation.

        Raises:
            DataError: one message only, or the template refuses them, drops one of them, or writes an
                answer differently from its prompt.
        """
        if len(messages) < 2:
            raise DataError("messages: a conversation of one message has no prompt; add the turn before it")
        prompt, whole = self._apply(messages[:-1], call=True), self._apply(messages)
        if not whole.startswith(prompt):
            raise DataError(
                f"messages: the chat template of {self._model} writes an answer differently from its "
                f"prompt; {AS_DATA}"
            )
        completion = whole[len(prompt) :]
        self._require_all(messages, prompt, completion)
        return Rendered(prompt, completion, ended=bool(self.end(messages).strip()))

    def end(self, messages: Sequence[Message]) -> str:
        """What the template writes behind an answer, found by rendering; the first conversation tells it."""
        if self._end is None:
            text = self._apply([*messages[:-1], Message(role=messages[-1].role, content=PROBE)])
            self._end = text.rpartition(PROBE)[2] if PROBE in text else ""
        return self._end

    def _apply(self, messages: Sequence[Message], *, call: bool = False) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._template.render(
                messages=turns, tools=None, documents=None, add_generation_prompt=call, **self._special
            )
        except (TemplateError, TypeError) as error:
            raise DataError(
                f"messages: the chat template of {self._model} refuses them ({error}); {AS_DATA}"
            ) from error

    def _require_all(self, messages: Sequence[Message], prompt: str, completion: str) -> None:
        """Templates may drop a role without a word; of reasoning in earlier answers they do on purpose."""
        read, said = _dense(prompt), _dense(completion)
        for index, message in enumerate(messages):
            last = index == len(messages) - 1
            if _dense(message.content) not in (said if last else read) and (
                last or "</think>" not in message.content
            ):
                raise DataError(
                    f"messages[{index}]: the chat template of {self._model} leaves out or changes what the "
                    f"{message.role} says; {AS_DATA}"
                )


def chat_template(model_dir: Path) -> ChatTemplate | None:
    """The template of a model's folder by its files alone; None where it has none."""
    config = read_json(model_dir / "tokenizer_config.json")
    given = config.get("chat_template")
    if isinstance(given, list):
        given = {one.get("name"): one.get("template") for one in given if isinstance(one, dict)}.get(
            "default"
        )
    file = model_dir / TEMPLATE_FILE
    text = file.read_text(encoding="utf-8") if file.is_file() else given
    if not isinstance(text, str) or not text:
        return None
    return ChatTemplate(text, special_tokens(model_dir), str(model_dir))


def chat_renderer(model_path: Path) -> ChatTemplate | None:
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
    return ChatTemplate(text, tokenizer.special_tokens_map, str(model_path))


def _dense(text: str) -> str:
    return "".join(text.split())


def _environment() -> ImmutableSandboxedEnvironment:
    """As Hugging Face's, but for the clock, which stands still."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    environment.globals[CLOCK] = THE_DAY.strftime
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
