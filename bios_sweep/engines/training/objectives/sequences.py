"""The two answers of a preference pair, each as an example of its own: what plan and trainer read alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import overload

from bios_sweep.engines.training.data import ANSWERS, ASSISTANT, Example, Message
from bios_sweep.engines.training.tokenizer import TextTokenizer
from bios_sweep.engines.training.tokens import Render, TokenizedExample, cut, encode_all


class BothAnswers(Sequence[Example]):
    """Of every pair the chosen answer as an example, then the rejected one."""

    def __init__(self, pairs: Sequence[Example]) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return ANSWERS * len(self._pairs)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        pair = self._pairs[index // ANSWERS]
        return rejected_of(pair) if index % ANSWERS else pair

    def __iter__(self) -> Iterator[Example]:
        return both_answers(self._pairs)


def both_answers(pairs: Iterable[Example]) -> Iterator[Example]:
    """As `BothAnswers`, of pairs that come one by one."""
    for pair in pairs:
        yield pair
        yield rejected_of(pair)


def rejected_of(pair: Example) -> Example:
    """The rejected answer to a pair's prompt as an example."""
    if not pair.messages:
        return replace(pair, completion=pair.rejected, rejected="")
    prompt = tuple(takewhile(lambda turn: not turn.learned, pair.messages))
    answer = pair.rejected_messages or (Message(role=ASSISTANT, content=pair.rejected),)
    said = answer[-1].content or pair.rejected
    return replace(pair, completion=said, messages=(*prompt, *answer), rejected="", rejected_messages=())


def tokenize_pairs(
    pairs: Iterable[Example], tokenizer: TextTokenizer, max_length: int, render: Render | None = None
) -> Iterator[TokenizedExample]:
    """Both sequences of every pair, the chosen one first; see `tokens.tokenize_all`.

    What is too long loses prompt tokens on the left, alike for both answers so that both answer the same
    prompt: room is made for the longer one. Then each answer loses its end.
    """
    encoded = encode_all(both_answers(pairs), tokenizer, render)
    for chosen in encoded:
        rejected = next(encoded)
        first = max(chosen.lengths.first, rejected.lengths.first)
        yield cut(chosen, tokenizer, max_length, first)
        yield cut(rejected, tokenizer, max_length, first)
