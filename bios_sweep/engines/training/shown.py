"""One example as a model reads it, with what is learned marked: for people, before anything is paid for."""

from __future__ import annotations

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.tokenizer import TextTokenizer
from bios_sweep.engines.training.tokens import Render, encode_all, texts_of

OPEN, CLOSE = "[[", "]]"  # around what is learned
MOST_CHARACTERS = 240  # of a part; chosen: an example stays within a screen


def shown(example: Example, tokenizer: TextTokenizer, render: Render | None) -> str:
    """The text that is trained on: `prompt[[what is learned]]`, line ends escaped, long parts cut.

    Raises:
        DataError: the conversation cannot be written.
    """
    text = texts_of(example, render)
    encoded = next(encode_all([example], tokenizer, render))
    end = tokenizer.end_text if len(encoded.completion) > encoded.text_ids else ""
    parts, place = [_short(text.prompt)], 0
    for begin, finish in (*text.asides, (len(text.completion), len(text.completion))):
        last = finish == len(text.completion)
        parts.append(f"{OPEN}{_short(text.completion[place:begin])}{end if last else ''}{CLOSE}")
        parts.append(_short(text.completion[begin:finish]))
        place = finish
    return "".join(parts)


def _short(text: str) -> str:
    if len(text) > MOST_CHARACTERS:
        half = MOST_CHARACTERS // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
