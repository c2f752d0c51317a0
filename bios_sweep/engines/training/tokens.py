"""From text to token ids, with the marks that a loss on completions needs.

Uses the `tokenizers` library alone, so that `plan` counts tokens without loading transformers or
torch; the trainer calls the same functions, so that what is planned is what is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Encoding

from bios_sweep.engines.training.data import Example, name_of
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


@dataclass(frozen=True, kw_only=True)
class EncodedExample:
    """An example's ids before it is cut.

    text: the completion; text_ids: how many ids it has, but for an end that is appended; find_spans: where
    each of those stands in it, which costs more than the ids. name: what to call the example in a message.
    asides: ids of the completion that are read and not learned, aside_texts: where they stand in it. joined:
    a token reaches over the border, and the ids are those of the whole.
    """

    prompt: list[int]
    completion: list[int]
    text_ids: int
    find_spans: Callable[[], list[tuple[int, int]]]
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
        return Lengths(len(self.prompt), len(self.completion), self.text_ids, first, self.asides)


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
        yield cut(encoded, tokenizer, max_length)


def encode_all(
    examples: Iterable[Example], tokenizer: TextTokenizer, render: Render | None = None
) -> Iterator[EncodedExample]:
    """Examples as ids, uncut; see `tokenize_all`."""
    start = 0
    for chunk, texts, wholes, prompts in _encoded_ahead(examples, tokenizer, render):
        for index, (example, text) in enumerate(zip(chunk, texts, strict=True)):
            name = name_of(example, start + index)
            yield _joined(tokenizer, example, text, wholes[index], prompts[index].ids, name)
        start += len(chunk)


def _encoded_ahead(
    examples: Iterable[Example], tokenizer: TextTokenizer, render: Render | None
) -> Iterator[tuple[list[Example], list[Rendered], list[Encoding], list[Encoding]]]:
    """Chunks of examples with their texts, whole and prompts encoded, while the chunk before is worked on."""

    def encode(texts: list[Rendered]) -> tuple[list[Encoding], list[Encoding]]:
        wholes = _encode(tokenizer, [text.prompt + text.completion for text in texts])
        return wholes, _encode(tokenizer, [text.prompt for text in texts])

    source = iter(examples)
    with ThreadPoolExecutor(max_workers=1) as pool:  # the encoder's own threads do the work, without the GIL
        before: tuple[list[Example], list[Rendered], Future[Any]] | None = None
        while chunk := list(islice(source, CHUNK)):
            texts = [texts_of(example, render) for example in chunk]
            coming = pool.submit(encode, texts)
            if before is not None:
                yield (*before[:2], *before[2].result())
            before = (chunk, texts, coming)
        if before is not None:
            yield (*before[:2], *before[2].result())


def _joined(
    tokenizer: TextTokenizer, example: Example, text: Rendered, whole: Encoding, prompt: list[int], name: str
) -> EncodedExample:
    """One example of its whole text's ids and its prompt's."""
    ids, first, behind = whole.ids, len(prompt), len(text.prompt)
    agrees = ids[:first] == prompt
    joined = not agrees and tokenizer.begins_with_blank
    if joined:  # a completion on its own would begin with a blank that the text has not
        first = next((place for place, span in enumerate(whole.offsets) if span[1] > behind), len(ids))
        prompt = ids[:first]
    elif not agrees:  # a token would reach over the border, where a generation begins
        [whole] = _encode(tokenizer, [text.completion])
        ids, first, behind = whole.ids, 0, 0
    start = list(tokenizer.start)
    if not example.messages and prompt[: len(start)] != start:
        if not prompt and ids[first : first + len(start)] == start:  # the text has them already
            first += len(start)
        prompt = [*start, *prompt]
    ids, spans = ids[first:], partial(_spans, whole, first, behind)
    ended = text.ended if example.messages else _is_ended(tokenizer, ids, spans, text.completion)
    ended = ended or example.goes_on
    return EncodedExample(
        prompt=prompt,
        completion=ids if ended else [*ids, tokenizer.end.id],
        text_ids=len(ids),
        find_spans=spans,
        text=text.completion,
        cluster=example.cluster,
        name=name,
        asides=_ids_within(spans(), text.asides) if text.asides else (),
        aside_texts=text.asides,
        joined=joined,
    )


def _spans(whole: Encoding, first: int, behind: int) -> list[tuple[int, int]]:
    """Where the ids from `first` on stand in the text that begins at character `behind`."""
    return [(max(0, begin - behind), max(0, end - behind)) for begin, end in whole.offsets[first:]]


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


def _encode(tokenizer: TextTokenizer, texts: list[str]) -> list[Encoding]:
    return tokenizer.encoder.encode_batch(texts, add_special_tokens=False)


def _is_ended(
    tokenizer: TextTokenizer, ids: Sequence[int], spans: Callable[[], list[tuple[int, int]]], text: str
) -> bool:
    """Whether the last token that is no blank is one that ends a text: the user wrote it."""
    if tokenizer.end.known.isdisjoint(ids):
        return False
    for token, (begin, finish) in zip(reversed(ids), reversed(spans()), strict=True):
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


def cut(
    encoded: EncodedExample, tokenizer: TextTokenizer, max_length: int, first: int | None = None
) -> TokenizedExample:
    """An example within a length. first: tokens of the answer that the prompt makes room for; None: its own.

    Raises:
        DataError: no token of the completion is left that anything predicts.
    """
    whole = encoded.lengths
    room, length = map(int, kept(whole.prompt, whole.completion, first or whole.first, max_length))
    if min(length, whole.text, whole.first) - (0 if room else 1) < 1:
        raise unlearnable(encoded.name, max_length)
    prompt = shortened(encoded.prompt, room, tokenizer)
    behind = len(prompt)
    start = max(1, behind)  # the first position that something predicts
    return TokenizedExample(
        input_ids=(*prompt, *encoded.completion[:length]),
        prompt_length=start,
        completion_bytes=_learned_bytes(encoded, start - behind, length),
        cluster=encoded.cluster,
        asides=tuple((behind + a, behind + min(b, length)) for a, b in encoded.asides if a < length),
    )


def _learned_bytes(encoded: EncodedExample, skipped: int, length: int) -> int:
    """Bytes of the text under the loss where the first ids are skipped and `length` of them are kept."""
    text, kept_ids = encoded.text, min(length, encoded.text_ids)
    begin, end = 0, len(text)
    if skipped or kept_ids < encoded.text_ids:
        spans = encoded.find_spans()
        begin = spans[skipped][0] if skipped else 0
        end = spans[kept_ids - 1][1] if kept_ids < encoded.text_ids else end
    inside = [(max(a, begin), min(b, end)) for a, b in encoded.aside_texts]
    return _bytes(text, begin, end) - sum(_bytes(text, a, b) for a, b in inside if a < b)


def _bytes(text: str, begin: int, end: int) -> int:
    return len(text[begin:end].encode())
