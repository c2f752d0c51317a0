"""From text to token ids, with the marks that a loss on completions needs.

Uses the `tokenizers` library alone, so that `plan` counts tokens without loading transformers or
torch; the trainer calls the same functions, so that what is planned is what is trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Encoding, Tokenizer

from bios_sweep.errors import DataError, ModelError
from bios_sweep.training.data import DataSet, Example, Message

CHUNK = 2000  # examples encoded at a time; bounds memory on files of millions of lines
# Where a model folder names its end token, the first that does wins.
EOS_FILES = ("config.json", "generation_config.json", "tokenizer_config.json")

# Writes a conversation as (prompt, completion) text with the model's chat template.
Render = Callable[[Sequence[Message]], tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class TextTokenizer:
    """A model's own tokenizer and the id that ends a text."""

    encoder: Tokenizer
    eos_id: int
    vocabulary: int


@dataclass(frozen=True, kw_only=True)
class TokenizedExample:
    """One training sequence.

    input_ids: prompt, completion and end token, at most `max_length` ids.
    prompt_length: the loss covers the positions from here to the end. At least 1, for nothing
        predicts the first token of a sequence.
    completion_bytes: UTF-8 bytes of the completion text under the loss; the end token has none.
    """

    input_ids: tuple[int, ...]
    prompt_length: int
    completion_bytes: int
    cluster: str

    @property
    def supervised_tokens(self) -> int:
        """How many tokens are under the loss."""
        return len(self.input_ids) - self.prompt_length


class TokenCount(NamedTuple):
    """Tokens of a data set after truncation: each example once. longest: of any one example."""

    train: int
    supervised_train: int
    evaluation: int
    longest: int


def load_tokenizer(model_dir: Path | str) -> TextTokenizer:
    """The tokenizer in a model's folder.

    Raises:
        ModelError: there is no tokenizer.json, it cannot be read, or no file names an end token.
    """
    path = Path(model_dir) / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{model_dir}: no tokenizer.json; save the model with its fast tokenizer")
    try:
        encoder = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions for any bad file
        raise ModelError(f"{path}: cannot be read as a tokenizer ({error})") from error
    # A file may carry the truncation and padding of its training; ours are decided per example.
    encoder.no_truncation()
    encoder.no_padding()
    eos_id = _eos_id(Path(model_dir), encoder)
    return TextTokenizer(encoder=encoder, eos_id=eos_id, vocabulary=encoder.get_vocab_size())


def tokenize(
    example: Example, tokenizer: TextTokenizer, max_length: int, render: Render | None = None
) -> TokenizedExample:
    """One example; see `tokenize_all`."""
    return next(tokenize_all([example], tokenizer, max_length, render))


def tokenize_all(
    examples: Sequence[Example], tokenizer: TextTokenizer, max_length: int, render: Render | None = None
) -> Iterator[TokenizedExample]:
    """Prompt with the tokenizer's special tokens, completion without, then the end token.

    What is too long loses prompt tokens on the left (a leading special token stays), then completion
    tokens on the right. Rendered conversations hold their special tokens already and get none.

    Raises:
        DataError: a conversation without `render`, or an example whose completion has no token that
            can be predicted.
    """
    for start in range(0, len(examples), CHUNK):
        chunk = examples[start : start + CHUNK]
        texts = [_texts(example, render) for example in chunk]
        prompts = _encode_prompts(tokenizer, chunk, [prompt for prompt, _ in texts])
        completions = tokenizer.encoder.encode_batch([text for _, text in texts], add_special_tokens=False)
        for index, (example, prompt, completion) in enumerate(zip(chunk, prompts, completions, strict=True)):
            name = example.origin or f"example {start + index}"
            encoded = _Encoded(prompt=prompt, completion=completion, text=texts[index][1])
            yield _fit(encoded, tokenizer, max_length, example.cluster, name)


def count_tokens(dataset: DataSet, tokenizer: TextTokenizer, max_length: int) -> TokenCount:
    """Tokens of both sides, for a plan. Conversations count their contents without the template."""
    train = tuple(tokenize_all(dataset.train, tokenizer, max_length, contents_only))
    evaluation = tuple(tokenize_all(dataset.evaluation, tokenizer, max_length, contents_only))
    return TokenCount(
        train=sum(len(example.input_ids) for example in train),
        supervised_train=sum(example.supervised_tokens for example in train),
        evaluation=sum(len(example.input_ids) for example in evaluation),
        longest=max(len(example.input_ids) for example in (*train, *evaluation)),
    )


def contents_only(messages: Sequence[Message]) -> tuple[str, str]:
    """A conversation without any template: enough to count tokens, not to train on."""
    return "\n".join(message.content for message in messages[:-1]), messages[-1].content


@dataclass(frozen=True, kw_only=True)
class _Encoded:
    prompt: list[int]
    completion: Encoding
    text: str


def _texts(example: Example, render: Render | None) -> tuple[str, str]:
    if not example.messages:
        return example.prompt, example.completion
    if render is None:
        raise DataError(
            f"{example.origin or 'a conversation'}: messages need a chat template and this model has none; "
            "write the data as prompt and completion"
        )
    return render(example.messages)


def _encode_prompts(
    tokenizer: TextTokenizer, examples: Sequence[Example], prompts: Sequence[str]
) -> Iterator[list[int]]:
    """Ids per prompt: special tokens for plain text, none for conversations, which hold their own."""
    rendered = [bool(example.messages) for example in examples]
    encoded = {
        flag: iter(
            tokenizer.encoder.encode_batch(
                [
                    prompt
                    for prompt, is_rendered in zip(prompts, rendered, strict=True)
                    if is_rendered is flag
                ],
                add_special_tokens=not flag,
            )
        )
        for flag in (False, True)
    }
    # Some tokenizers end every text; a prompt that ended would be followed by nothing.
    ended = tokenizer.encoder.encode("a").ids[-1] == tokenizer.eos_id
    for flag in rendered:
        ids = next(encoded[flag]).ids
        yield ids[:-1] if ended and not flag else ids


def _fit(
    encoded: _Encoded, tokenizer: TextTokenizer, max_length: int, cluster: str, name: str
) -> TokenizedExample:
    prompt, completion = _cut(encoded, tokenizer, max_length)
    first = max(1, len(prompt))  # the first position that something predicts
    skipped = first - len(prompt)
    kept = min(len(completion), len(encoded.completion.ids))  # without the end token
    if kept - skipped < 1:
        raise DataError(
            f"{name}: the completion has no token that can be predicted within max_length={max_length}; "
            "remove the example, or write it with a prompt"
        )
    offsets = encoded.completion.offsets
    text = encoded.text[offsets[skipped][0] if skipped else 0 : _end(offsets, kept, encoded.text)]
    return TokenizedExample(
        input_ids=(*prompt, *completion),
        prompt_length=first,
        completion_bytes=len(text.encode()),
        cluster=cluster,
    )


def _cut(encoded: _Encoded, tokenizer: TextTokenizer, max_length: int) -> tuple[list[int], list[int]]:
    """Prompt and completion ids that fit together; the end token is the first to go on the right."""
    completion = encoded.completion.ids
    if tokenizer.eos_id not in completion:  # a template may have written it
        completion = [*completion, tokenizer.eos_id]
    prompt = encoded.prompt
    room = max(max_length - len(completion), min(1, len(prompt)))
    if len(prompt) > room:
        special = prompt[:1] if _is_special(tokenizer, prompt[0]) else []
        tail = room - len(special)
        prompt = [*special, *prompt[len(prompt) - tail :]] if tail else special
    return prompt, completion[: max_length - len(prompt)]


def _is_special(tokenizer: TextTokenizer, token_id: int) -> bool:
    added = tokenizer.encoder.get_added_tokens_decoder().get(token_id)
    return added is not None and added.special


def _end(offsets: list[tuple[int, int]], kept: int, text: str) -> int:
    """Where the kept tokens end in the text: all of it unless the right side was cut."""
    return len(text) if kept == len(offsets) else offsets[kept - 1][1]


def _eos_id(model_dir: Path, encoder: Tokenizer) -> int:
    for name in EOS_FILES:
        settings = _read_json(model_dir / name)
        value = settings.get("eos_token_id")
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, int):
            return first
        token = settings.get("eos_token")
        content = token.get("content") if isinstance(token, dict) else token
        found = encoder.token_to_id(content) if isinstance(content, str) else None
        if found is not None:
            return found
    raise ModelError(f"{model_dir}: no eos_token_id in {', '.join(EOS_FILES)}; add it to config.json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from error
    return value if isinstance(value, dict) else {}
