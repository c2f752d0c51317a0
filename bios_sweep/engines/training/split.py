"""Which examples of a file are held out: decided by content, never by position or chance."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from bios_sweep.engines.training.data import Example, ExamplesInFile, Message
from bios_sweep.errors import DataError

DEFAULT_EVALUATION_FRACTION = 0.1  # chosen, not measured
BLANKS = bytes(ord(" ") if chr(code).isspace() else code for code in range(256))  # of the ASCII characters
AUTO_EXAMPLES = 2000  # of `data.eval_examples=auto` where no noise is known; chosen: more cost time


def auto_count(available: int, *, apart: bool, wanted: int = AUTO_EXAMPLES) -> int:
    """How many examples `data.eval_examples=auto` evaluates on.

    apart: of a file of their own, which may all be used; else a share of the training examples, as without
    the key. wanted: what they should be, where there are as many.
    """
    most = available if apart else max(1, int(available * DEFAULT_EVALUATION_FRACTION))
    return min(wanted, most)


@dataclass(frozen=True, kw_only=True)
class AtMost:
    """`data.eval_examples=auto`: so many examples, or what there is."""

    examples: int = AUTO_EXAMPLES


class EmptySide(DataError):
    """A split leaves one side without examples."""


Sides = tuple[Sequence[Example], Sequence[Example]]


def identity(example: Example) -> bytes:
    """sha256 of what an example says, whatever its spacing and Unicode form: equal means the same."""
    turns = [text for one in example.messages for text in _said(one)]
    more = [text for text in (example.tools, example.rejected) if text]
    more += [text for one in example.rejected_messages for text in _said(one)]
    said = (*turns, example.prompt, example.completion, *more)
    return _digest(said)


@lru_cache(maxsize=1)  # asked for the cluster of an example, and again when it is written
def _digest(said: tuple[str, ...]) -> bytes:
    return hashlib.sha256(b"\0".join(map(_spaced, said))).digest()


def _spaced(text: str) -> bytes:
    """A text in one Unicode form, its words apart by one blank each; as UTF-8.

    Plain text is looked at as a whole, in a third of the time that its words take.
    """
    if text.isascii():
        plain = text.encode().translate(BLANKS).strip(b" ")
        return plain if b"  " not in plain else b" ".join(plain.split())
    return " ".join(unicodedata.normalize("NFC", text).split()).encode()


def own_cluster(example: Example) -> str:
    """The cluster of an example that names none: it depends on no other that is known."""
    return identity(example).hex()[:16]


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
    found = identities(examples)
    held_out, train = np.flatnonzero(below(found, fraction)), np.flatnonzero(~below(found, fraction))
    if not len(held_out) or not len(train):
        require_two(examples, path)
        raise EmptySide(
            f"{path}: data.eval_fraction={fraction:g} of {len(examples)} examples holds out "
            f"{len(held_out)} and leaves {len(train)} for training; give data.eval_examples instead"
        )
    return taken(examples, train), taken(examples, held_out[_order(found[held_out])])


def split_by_count(examples: Sequence[Example], count: int, path: Path) -> Sides:
    """Hold out `count` examples: the first in hash order, equal ones together or not at all.

    Raises:
        DataError: nothing would be left for training, or equal examples leave no such split.
    """
    require_two(examples, path)
    if count >= len(examples):
        raise DataError(
            f"{path}: data.eval_examples={count} of {len(examples)} examples leaves none for training; "
            f"choose at most {len(examples) - 1}"
        )
    found = identities(examples)
    order = _order(found)
    new = np.flatnonzero((found[order][1:] != found[order][:-1]).any(axis=1)) + 1
    held_out, left = [], count
    for begin, end in zip([0, *new.tolist()], [*new.tolist(), len(order)], strict=True):
        if end - begin <= left:
            held_out.extend(order[begin:end].tolist())
            left -= end - begin
        if not left:
            break
    if not held_out and len(new) == 0:
        raise DataError(
            f"{path}: its {len(examples)} examples are all the same, so that none can be held out; give "
            "others, or data.eval_path"
        )
    if len(held_out) < count:
        fewer = f" or choose {len(held_out)}" if held_out else ""
        raise DataError(
            f"{path}: data.eval_examples={count} cannot be held out exactly without an example being on "
            f"both sides, because many are equal; remove the repeated lines{fewer}"
        )
    return taken(examples, np.delete(np.arange(len(examples)), held_out)), taken(examples, held_out)


def require_two(examples: Sequence[Example], path: Path) -> None:
    """Refuse a file of one example, of which one side would be empty: a `DataError`."""
    if len(examples) == 1:
        raise DataError(
            f"{path}: holds one example, and one must be held out to judge by; give more, or data.eval_path"
        )


def first_by_hash(examples: Sequence[Example], count: int | None, path: Path) -> Sequence[Example]:
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


def identities(examples: Sequence[Example]) -> np.ndarray:
    """`identity` of each as four numbers, shape (examples, 4)."""
    if isinstance(examples, ExamplesInFile):
        return examples.identities.astype(np.uint64)
    raw = b"".join(map(identity, examples))
    return np.frombuffer(raw, dtype=">u8").reshape(-1, 4).astype(np.uint64)


def below(found: np.ndarray, fraction: float) -> np.ndarray:
    """Which identities fall below that share of all that there may be, shape (examples,)."""
    return np.asarray(found[:, 0] < np.uint64(math.ceil(fraction * 2**64)))


def by_hash(examples: Sequence[Example]) -> Sequence[Example]:
    """In the order of their identities, in which any prefix is a fair sample."""
    return taken(examples, _order(identities(examples)))


def _order(found: np.ndarray) -> np.ndarray:
    """Places in the order of identities."""
    return np.lexsort(found.T[::-1])


def taken(examples: Sequence[Example], rows: Sequence[int] | np.ndarray) -> Sequence[Example]:
    """The examples at these places, in their order."""
    places = np.asarray(rows, dtype=np.int64)
    if isinstance(examples, ExamplesInFile):
        return examples.subset(places)
    return tuple(examples[place] for place in places.tolist())


def refuse_overlap(train: Sequence[Example], evaluation: Sequence[Example]) -> None:
    """An evaluation example that was trained on measures memory.

    Raises:
        DataError: an example is on both sides; names the first pair of lines and how many there are.
    """
    ours, theirs = identities(train), identities(evaluation)
    likely = np.flatnonzero(np.isin(ours[:, 0], theirs[:, 0]))[::-1].tolist()
    trained = {ours[place].tobytes(): place for place in likely}
    both = [evaluation[place] for place, found in enumerate(theirs) if found.tobytes() in trained]
    if both:
        # The lowest line of the one file: its origins differ in the number at their end only.
        first = min(both, key=lambda example: (len(example.origin), example.origin))
        same = train[trained[identities([first])[0].tobytes()]]
        raise DataError(
            f"{same.origin} and {first.origin} are the same example "
            f"({len(both)} of {len(evaluation)} evaluation examples are also in training); "
            "remove them from one file"
        )
