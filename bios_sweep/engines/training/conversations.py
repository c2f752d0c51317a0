"""The chat template as transformers reads it from a model's folder: what the trainer writes with."""

from __future__ import annotations

from pathlib import Path

import transformers

from bios_sweep.engines.training.chat import ChatTemplate
from bios_sweep.errors import ModelError


def chat_renderer(model_path: Path) -> ChatTemplate | None:
    """How this model writes a conversation, or None when it has no chat template.

    Some tokenizers name special tokens in their code and in no file; a plan counts without those.

    Raises:
        ModelError: the model has several templates and none of them is the default.
    """
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
