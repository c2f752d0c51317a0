"""From text to token ids, with the marks that a loss on completions needs.

Uses the `tokenizers` library alone, so that `plan` counts tokens without loading transformers or
torch; the trainer calls the same functions, so that what is planned is what is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.tokenizer import TextTokenizer
from bios_sweep.errors import DataError

CHUNK = 2000  # examples encoded at a time; bounds memory on files of millions of lines

Ids = tuple[int, ...] | np.ndarray
Ranges = tuple[tuple[int, int], ...]  # first and one behind the last


class Rendered(NamedTuple):
    """A conversation as text. ended: whether the completion has its end already.

    asides: characters of the completion that are read and not learned, such as later questions.
    """

    prompt: str
    completion: str
    ended: bool = True
    asides: Ranges = ()


# Writes a conversation as (prompt, completion) text with the model's chat template.
Render = Callable[[Example], tuple[str, str] | Rendered]


@dataclass(frozen=True, kw_only=True)
class TokenizedExample:
    """One training sequence.

    input_ids: prompt, completion and end token, at most `max_length` ids.
    prompt_length: the loss covers the positions from here to the end, but for asides. At least 1, for nothing
        predicts the first token of a sequence.
    completion_bytes: UTF-8 bytes of the completion text under the loss; the end token has none.
    asides: positions behind the prompt that are read and not learned.
    """

    input_ids: Ids
    prompt_length: int
    completion_bytes: int
    cluster: str
    asides: Ranges = ()

    @property
    def supervised_tokens(self) -> int:
        """How many tokens are under the loss."""
        return sum(end - begin for begin, end in self.learned)

    @property
    def learned(self) -> Ranges:
        """The positions under the loss."""
        begins = (self.prompt_length, *(end for _, end in self.asides))
        ends = (*(begin for begin, _ in self.asides), len(self.input_ids))
        return tuple((begin, end) for begin, end in zip(begins, ends, strict=True) if end > begin)


class Lengths(NamedTuple):
    """Tokens of an example before it is cut. text: of the completion, without an end that is appended.

    first: of the first answer, which is the completion where there are no asides.
    """

    prompt: int
    completion: int
    text: int
    first: int
    asides: Ranges = ()


def kept(prompt: Any, completion: Any, first: Any, max_length: int) -> tuple[Any, Any]:
    """Prompt and completion tokens that fit together: the prompt makes room, down to one token.

    Room is made for the first answer; what is said later is cut on the right. Numbers, or arrays of them.
    """
    before = np.minimum(prompt, np.maximum(max_length - first, np.minimum(1, prompt)))
    return before, np.minimum(completion, max_length - before)


def unlearnable(name: str, max_length: int) -> DataError:
    """Of a completion's text no token is left that anything predicts."""
    return DataError(
        f"{name}: the completion has no token that can be predicted within "
        f"max_length={max_length}; remove the example, or write it with a prompt"
    )


def name_of(example: Example, index: int) -> str:
    """What to call an example in a message."""
    return example.origin or f"example {index}"


@dataclass(frozen=True, kw_only=True)
class EncodedExample:
    """An example's ids before it is cut.

    text: the completion; spans: where its ids, but for an end that is appended, stand in it. name: what to
    call the example in a message. asides: ids of the completion that are read and not learned, aside_texts:
    where they stand in it. joined: a token reaches over the border, and the ids are those of the whole.
    """

    prompt: list[int]
    completion: list[int]
    spans: list[tuple[int, int]]
    text: str
    cluster: str
    name: str
    asides: Ranges = ()
    aside_texts: Ranges = ()
    joined: bool = False

    @property
    def lengths(self) -> Lengths:
        """How long it is."""
        first = self.asides[0][0] if self.asides else len(self.completion)
        return Lengths(len(self.prompt), len(self.completion), len(self.spans), first, self.asides)


def tokenize_all(
    examples: Iterable[Example], tokenizer: TextTokenizer, max_length: int, render: Render | None = None
) -> Iterator[TokenizedExample]:
    """Prompt with the tokenizer's leading special tokens, completion without, then the end of a text.

    What is too long loses prompt tokens on the left (a leading special token stays), then completion
    tokens on the right. Rendered conversations hold their special tokens already and get none; their end
    is what the chat template writes.

    Raises:
        DataError: a conversation without `render`, or an example whose completion has no token that
            can be predicted.
    """
    for encoded in encode_all(examples, tokenizer, render):
        yield _cut(encoded, tokenizer, max_length)


def encode_all(
    examples: Iterable[Example], tokenizer: TextTokenizer, render: Render | None = None
) -> Iterator[EncodedExample]:
    """Examples as ids, uncut; see `tokenize_all`."""
    source, start = iter(examples), 0
    while chunk := list(islice(source, CHUNK)):
        texts = [texts_of(example, render) for example in chunk]
        wholes = _encode(tokenizer, [text.prompt + text.completion for text in texts])
        prompts = _encode(tokenizer, [text.prompt for text in texts])
        for index, (example, text) in enumerate(zip(chunk, texts, strict=True)):
            prompt, (ids, spans), behind = prompts[index][0], wholes[index], len(text.prompt)
            agrees = ids[: len(prompt)] == prompt
            joined = not agrees and tokenizer.begins_with_blank
            if joined:  # a completion on its own would begin with a blank that the text has not
                border = next((place for place, span in enumerate(spans) if span[1] > behind), len(ids))
                prompt = ids[:border]
            if agrees or joined:
                ids = ids[len(prompt) :]
                spans = [(max(0, a - behind), max(0, b - behind)) for a, b in spans[len(prompt) :]]
            else:  # a token would reach over the border, where a generation begins
                [(ids, spans)] = _encode(tokenizer, [text.completion])
            ended = text.ended if example.messages else _is_ended(tokenizer, ids, spans, text.completion)
            ended = ended or example.goes_on
            if not example.messages:
                prompt, ids, spans = _started(tokenizer, prompt, ids, spans)
            yield EncodedExample(
                prompt=prompt,
                completion=ids if ended else [*ids, tokenizer.end.id],
                spans=spans,
                text=text.completion,
                cluster=example.cluster,
                name=name_of(example, start + index),
                asides=_ids_within(spans, text.asides),
                aside_texts=text.asides,
                joined=joined,
            )
        start += len(chunk)


def _ids_within(spans: Sequence[tuple[int, int]], asides: Ranges) -> Ranges:
    """The ids that stand within each aside; one that reaches into an answer is the answer's."""
    found = []
    for begin, end in asides:
        inside = [place for place, (first, last) in enumerate(spans) if begin <= first and last <= end]
        if inside:
            found.append((inside[0], inside[-1] + 1))
    return tuple(found)


def texts_of(example: Example, render: Render | None) -> Rendered:
    """An example as text.

    Raises:
        DataError: a conversation that cannot be written.
    """
    if not example.messages:
        return Rendered(example.prompt, example.completion, ended=False)
    name = example.origin or "a conversation"
    if render is None:
        raise DataError(
            f"{name}: messages need a chat template and this model has none; "
            "write the data as prompt and completion"
        )
    try:
        return Rendered(*render(example))
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _encode(tokenizer: TextTokenizer, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
    encodings = tokenizer.encoder.encode_batch(texts, add_special_tokens=False)
    return [(encoding.ids, encoding.offsets) for encoding in encodings]


def _started(
    tokenizer: TextTokenizer, prompt: list[int], ids: list[int], spans: list[tuple[int, int]]
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """The tokenizer's leading special tokens before a plain text, once where the text has them already."""
    start, count = list(tokenizer.start), len(tokenizer.start)
    if prompt[:count] == start:
        return prompt, ids, spans
    if not prompt and ids[:count] == start:
        return start, ids[count:], spans[count:]
    return [*start, *prompt], ids, spans


def _is_ended(
    tokenizer: TextTokenizer, ids: Sequence[int], spans: Sequence[tuple[int, int]], text: str
) -> bool:
    """Whether the last token that is no blank is one that ends a text: the user wrote it."""
    for token, (begin, finish) in zip(reversed(ids), reversed(spans), strict=True):
        if token in tokenizer.end.known:
            return True
        if text[begin:finish].strip():
            return False
    return False


def shortened(prompt: list[int], room: int, tokenizer: TextTokenizer) -> list[int]:
    """A prompt of at most `room` tokens: one too long loses those on the left, but a special first one."""
    if len(prompt) <= room:
        return prompt
    added = tokenizer.encoder.get_added_tokens_decoder().get(prompt[0])
    special = prompt[:1] if added is not None and added.special else []
    tail = room - len(special)
    return [*special, *prompt[len(prompt) - tail :]] if tail else special


def _cut(encoded: EncodedExample, tokenizer: TextTokenizer, max_length: int) -> TokenizedExample:
    whole = encoded.lengths
    room, length = map(int, kept(whole.prompt, whole.completion, whole.first, max_length))
    if min(length, whole.text, whole.first) - (0 if room else 1) < 1:
        raise unlearnable(encoded.name, max_length)
    prompt = shortened(encoded.prompt, room, tokenizer)
    first = max(1, len(prompt))  # the first position that something predicts
    skipped, texts = first - len(prompt), min(length, len(encoded.spans))
    spans, text = encoded.spans, encoded.text
    end = len(text) if texts == len(spans) else spans[texts - 1][1]  # all of it unless the right was cut
    begin = spans[skipped][0] if skipped else 0
    inside = [(max(a, begin), min(b, end)) for a, b in encoded.aside_texts]
    behind = len(prompt)
    return TokenizedExample(
        input_ids=(*prompt, *encoded.completion[:length]),
        prompt_length=first,
        completion_bytes=_bytes(text, begin, end) - sum(_bytes(text, a, b) for a, b in inside if a < b),
        cluster=encoded.cluster,
        asides=tuple((behind + a, behind + min(b, length)) for a, b in encoded.asides if a < length),
    )


def _bytes(text: str, begin: int, end: int) -> int:
    return len(text[begin:end].encode())
