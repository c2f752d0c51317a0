"""Conversations written as text with the base model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import transformers
from jinja2.exceptions import TemplateError

from bios_sweep.errors import DataError
from bios_sweep.training.data import Message
from bios_sweep.training.tokens import Render


def chat_renderer(model_path: Path) -> Render | None:
    """How this model writes a conversation, or None when it has no chat template.

    The prompt is all but the last message with the template's call for an answer; the completion is
    what the whole conversation adds to that, its end mark included. So the loss covers exactly what the
    model would have to say.
    """
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        model_path, local_files_only=True, trust_remote_code=False
    )
    if not tokenizer.chat_template:
        return None

    def render(messages: Sequence[Message]) -> tuple[str, str]:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        if len(turns) < 2:
            raise DataError("messages: a conversation of one message has no prompt; add the turn before it")
        try:
            prompt = tokenizer.apply_chat_template(turns[:-1], tokenize=False, add_generation_prompt=True)
            whole = tokenizer.apply_chat_template(turns, tokenize=False)
        except TemplateError as error:
            raise DataError(f"messages: the chat template of {model_path} refuses them ({error})") from error
        if not whole.startswith(prompt):
            raise DataError(
                f"messages: the chat template of {model_path} writes an answer differently from its prompt; "
                "write the data as prompt and completion"
            )
        return prompt, whole[len(prompt) :]

    return render
