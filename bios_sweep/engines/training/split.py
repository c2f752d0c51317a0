"""Which examples of a file are held out: decided by content, never by position or chance."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from bios_sweep.engines.training.data import Example, Message
from bios_sweep.errors import DataError

DEFAULT_EVALUATION_FRACTION = 0.1  # chosen, not measured
AUTO_EXAMPLES = 2000  # of `data.eval_examples=auto`, at most; chosen: more cost time in every trial


def auto_count(available: int, *, apart: bool) -> int:
    """How many examples `data.eval_examples=auto` evaluates on.

    apart: of a file of their own, which may all be used; else a share of the training examples, as without
    the key.
    """
    most = available if apart else max(1, int(available * DEFAULT_EVALUATION_FRACTION))
    return min(AUTO_EXAMPLES, most)


Sides = tuple[tuple[Example, ...], tuple[Example, ...]]


def identity(example: Example) -> bytes:
    """sha256 of what an example says, whatever its spacing and Unicode form: equal means the same."""
    turns = [text for one in example.messages for text in _said(one)]
    more = [text for text in (example.tools, example.rejected) if text]
    more += [text for one in example.rejected_messages for text in _said(one)]
    said = (*turns, example.prompt, example.completion, *more)
    parts = [unicodedata.normalize("NFC", part) for part in said]
    return hashlib.sha256("\0".join(" ".join(part.split()) for part in parts).encode()).digest()


def _said(turn: Message) -> tuple[str, ...]:
    return (turn.role, turn.content, *([turn.more] if turn.more else []))


def check_options(eval_path: object, eval_fraction: float | None, eval_examples: object) -> None:
    """Refuse options that contradict each other or cannot hold anything out."""
    if eval_fraction is not None:
        other = "data.eval_path" if eval_path is not None else "data.eval_examples"
        if eval_path is not None or eval_examples is not None:
            raise DataError(f"data.eval_fraction and {other} are both given; keep one of them")
        if not 0 < eval_fraction < 1:
            raise DataError(f"data.eval_fraction: {eval_fraction} must be above 0 and below 1")
    if isinstance(eval_examples, int) and eval_examples < 1:
        raise DataError(f"data.eval_examples: {eval_examples} must be at least 1")


def split_by_fraction(examples: Sequence[Example], fraction: float, path: Path) -> Sides:
    """Training examples in file order, evaluation examples in hash order.

    An example is held out if its hash falls below the fraction, whatever else is in the file. The
    share is met on average: a small file may hold out more or less.

    Raises:
        DataError: one side is empty.
    """
    limit = fraction * 2**64
    held_out: list[Example] = []
    train: list[Example] = []
    for example in examples:
        falls_below = int.from_bytes(identity(example)[:8], "big") < limit
        (held_out if falls_below else train).append(example)
    if not held_out or not train:
        raise DataError(
            f"{path}: data.eval_fraction={fraction:g} of {len(examples)} examples holds out "
            f"{len(held_out)} and leaves {len(train)} for training; give data.eval_examples instead"
        )
    return tuple(train), by_hash(held_out)


def split_by_count(examples: Sequence[Example], count: int, path: Path) -> Sides:
    """Hold out `count` examples: the first in hash order, equal ones together or not at all.

    Raises:
        DataError: nothing would be left for training, or equal examples leave no such split.
    """
    if count >= len(examples):
        raise DataError(
            f"{path}: data.eval_examples={count} of {len(examples)} examples leaves none for training; "
            f"choose at most {len(examples) - 1}"
        )
    held_out: list[Example] = []
    for _, same in groupby(by_hash(examples), key=identity):
        group = list(same)
        if len(held_out) + len(group) <= count:
            held_out.extend(group)
    if len(held_out) < count:
        raise DataError(
            f"{path}: data.eval_examples={count} cannot be held out exactly without an example being on "
            f"both sides, because many are equal; remove the repeated lines or choose {len(held_out)}"
        )
    chosen = {identity(example) for example in held_out}
    return tuple(example for example in examples if identity(example) not in chosen), tuple(held_out)


def first_by_hash(examples: Sequence[Example], count: int | None, path: Path) -> tuple[Example, ...]:
    """The first `count` examples in hash order, all for None: larger counts contain smaller ones.

    Raises:
        DataError: there are fewer.
    """
    if count is not None and count > len(examples):
        raise DataError(
            f"{path}: data.eval_examples={count}, but the file has {len(examples)} examples; "
            f"choose at most {len(examples)}"
        )
    return by_hash(examples)[:count]


def by_hash(examples: Sequence[Example]) -> tuple[Example, ...]:
    """In the order of their identities, in which any prefix is a fair sample."""
    return tuple(sorted(examples, key=identity))


def refuse_overlap(train: Sequence[Example], evaluation: Sequence[Example]) -> None:
    """An evaluation example that was trained on measures memory.

    Raises:
        DataError: an example is on both sides; names the first pair of lines and how many there are.
    """
    trained = {identity(example): example for example in reversed(train)}
    both = [example for example in evaluation if identity(example) in trained]
    if both:
        # The lowest line of the one file: its origins differ in the number at their end only.
        first = min(both, key=lambda example: (len(example.origin), example.origin))
        raise DataError(
            f"{trained[identity(first)].origin} and {first.origin} are the same example "
            f"({len(both)} of {len(evaluation)} evaluation examples are also in training); "
            "remove them from one file"
        )
