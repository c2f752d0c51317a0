"""Long texts in pieces that fit: a document of many pages is many examples, all of one cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.tokenizer import TextTokenizer


def chunked(examples: Iterable[Example], tokenizer: TextTokenizer, size: int) -> Iterator[Example]:
    """Each text of more than `size` tokens in pieces of at most so many, begin and end marks included.

    A piece ends before a word where there is one in its second half. Only the last has the end of a text
    behind it. All are of the text's cluster. Examples with a prompt, and conversations, stay as they are.
    """
    room = max(1, size - len(tokenizer.start) - 1)
    for example in examples:
        if example.messages or example.prompt:
            yield example
            continue
        pieces = list(_pieces(example.completion, tokenizer, room))
        for number, piece in enumerate(pieces, start=1):
            origin = example.origin if len(pieces) == 1 else f"{example.origin} piece {number}"
            yield replace(example, completion=piece, origin=origin, goes_on=number < len(pieces))


def _pieces(text: str, tokenizer: TextTokenizer, room: int) -> Iterator[str]:
    spans = tokenizer.encoder.encode(text, add_special_tokens=False).offsets
    first, begin = 0, 0
    while len(spans) - first > room:
        last = next(
            (
                place
                for place in range(first + room, first + room // 2, -1)
                if _begins_word(text, spans[place][0])
            ),
            first + room,
        )
        border = spans[last][0]
        if border > begin and text[begin:border].strip():
            yield text[begin:border]
            begin = border
        first = last
    if text[begin:].strip():
        yield text[begin:]


def _begins_word(text: str, place: int) -> bool:
    return text[place : place + 1].isspace() or (place > 0 and text[place - 1].isspace())
