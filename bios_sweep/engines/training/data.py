"""Examples, data sets and the one file in which a data set travels to the workers.

A data set is judged by its fingerprints: two trials may be compared only if both saw the same
training examples and were measured on the same evaluation examples, in the same order.
"""

from __future__ import annotations

import hashlib
import json
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from json.encoder import encode_basestring as _text  # a text as JSON, its letters as they are
from pathlib import Path
from typing import Any

import numpy as np

from bios_sweep.atomic import write_atomically
from bios_sweep.engines.training.cache import content_digest, remembered_of
from bios_sweep.errors import DataError
from bios_sweep.sealed import PREFIX, digest

_log = logging.getLogger(__name__)

ASSISTANT = "assistant"
ANSWERS = 2  # of a preference pair, each of which is a sequence
FILE_FORMAT = "bios_sweep data set 2"  # raise it when the lines below change their meaning
BEFORE = "bios_sweep data set 1"  # an example's origin stood within its object
TAB = b"\t"
CONVERSATION, SEVERAL_ANSWERS = 1, 2  # what an example may be, together


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn of a conversation.

    more: what a chat template is given of the turn beside them (calls of tools, reasoning, a name, content
    that is null), as JSON of an object; empty where there is nothing. learned: whether the loss may cover the
    turn, where it is the assistant's.
    """

    role: str
    content: str
    more: str = ""
    learned: bool = True

    @property
    def keys(self) -> dict[str, Any]:
        """The turn as a chat template is given it."""
        return {"role": self.role, "content": self.content, **(json.loads(self.more) if self.more else {})}


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """What the model reads (`prompt`), what it must say (`completion`), and its origin.

    cluster: examples of one cluster are not independent (same module, same document); the
        statistics resample clusters, never examples.
    messages: the conversation this example was written as. Then `prompt` is empty and `completion`
        is the last assistant message; the trainer renders both with the model's chat template.
    origin: file and line or a name, for messages only; part of no fingerprint.
    tools: what the conversation may call, as the chat template is given it: JSON of a list, empty for none.
    goes_on: the completion is a piece of a longer text, so that no end is written behind it.
    rejected, rejected_messages: of a preference pair what should not be said instead of the completion.
        Supervised training does not read it.
    """

    prompt: str
    completion: str
    cluster: str
    messages: tuple[Message, ...] = ()
    origin: str = ""
    tools: str = ""
    goes_on: bool = False
    rejected: str = ""
    rejected_messages: tuple[Message, ...] = ()

    @property
    def answers(self) -> int:
        """How many turns of the assistant's the loss may cover."""
        return sum(message.role == ASSISTANT and message.learned for message in self.messages)


class ExamplesInFile(Sequence[Example]):
    """Examples that lie in a file and are read when they are asked for; see `stored.StoredExamples`.

    What is asked of all of them together is known without reading them, or found once and remembered.
    """

    @abstractmethod
    def lines(self) -> Iterator[bytes]:
        """Each example as `line_of` writes it."""

    @abstractmethod
    def pieces(self) -> Iterator[bytes]:
        """What `lines` gives one behind the other, in pieces of any length."""

    @abstractmethod
    def subset(self, rows: np.ndarray) -> ExamplesInFile:
        """The examples at these places, in their order."""

    @abstractmethod
    def remembered(self, what: str, find: Callable[[], Any]) -> Any:
        """A small value in JSON that these examples decide, found by the first who asks."""

    @property
    @abstractmethod
    def kinds(self) -> np.ndarray:
        """`kind_of` each, shape (examples,)."""

    @property
    @abstractmethod
    def identities(self) -> np.ndarray:
        """`split.identity` of each as four big-endian numbers, shape (examples, 4)."""


def name_of(example: Example, index: int) -> str:
    """What to call an example in a message."""
    return example.origin or f"example {index}"


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Training and evaluation examples with a name to show and the source they came from.

    told: what reading them found, in words: their shape, what was skipped, what both sides share.
    """

    name: str
    train: Sequence[Example]
    evaluation: Sequence[Example]
    source: str
    told: tuple[str, ...] = ()

    @cached_property
    def train_fingerprint(self) -> str:
        """sha256 (hex) of the training examples in their order."""
        return fingerprint_of(self.train)

    @cached_property
    def evaluation_fingerprint(self) -> str:
        """sha256 (hex) of the evaluation examples in their order: what results are measured on."""
        return fingerprint_of(self.evaluation)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of both sides; name and source are labels and have no part in it."""
        sides = self.train_fingerprint + self.evaluation_fingerprint
        return hashlib.sha256(sides.encode()).hexdigest()

    @cached_property
    def eval_clusters(self) -> int:
        """How many clusters the evaluation examples are of."""
        side = self.evaluation

        def count() -> int:
            return len({example.cluster for example in side})

        return int(side.remembered("clusters", count)) if isinstance(side, ExamplesInFile) else count()

    @cached_property
    def kinds(self) -> np.ndarray:
        """`kind_of` each example, the evaluation's behind the others; shape (examples,), uint8."""
        return np.concatenate([kinds_of(self.train), kinds_of(self.evaluation)])

    def any(self, kind: int) -> bool:
        """Whether an example is of that kind."""
        return bool((self.kinds & kind).any())

    def first(self, kind: int) -> Example | None:
        """The first example of that kind, of both sides."""
        found = np.flatnonzero(self.kinds & kind)
        if not len(found):
            return None
        place, trained = int(found[0]), len(self.train)
        return self.train[place] if place < trained else self.evaluation[place - trained]


def kind_of(example: Example) -> int:
    """`CONVERSATION` where it is one, and `SEVERAL_ANSWERS` where there are more to learn than one."""
    return CONVERSATION * bool(example.messages) + SEVERAL_ANSWERS * (example.answers > 1)


def kinds_of(examples: Sequence[Example]) -> np.ndarray:
    """`kind_of` each, shape (examples,), uint8."""
    if isinstance(examples, ExamplesInFile):
        return examples.kinds
    return np.fromiter(map(kind_of, examples), dtype=np.uint8, count=len(examples))


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """What `write_dataset` wrote, read line by line: of a million examples no process holds them all.

    fingerprint: as the header says, see `verified`. train, evaluation: how many examples each side has.
    """

    path: Path
    name: str
    source: str
    fingerprint: str
    train: int
    evaluation: int

    def examples(self, *, held_out: bool) -> Iterator[Example]:
        """One side, in its order.

        Raises:
            DataError: a line is malformed.
        """
        begin, count = (self.train, self.evaluation) if held_out else (0, self.train)
        for line in islice(_rows(self.path), 1 + begin, 1 + begin + count):
            yield _parsed(line, self.path)

    def verified(self) -> DataFile:
        """Itself, once its content is known to have the fingerprint of its header.

        Raises:
            DataError: it has not (cut off, edited, mixed up).
        """
        found, lines = remembered_of([self.path], "fingerprint", self._found)
        if found != self.fingerprint or lines > 1 + self.train + self.evaluation:
            raise DataError(
                f"{self.path}: content has fingerprint {found[:12]}, its header says "
                f"{self.fingerprint[:12]}; delete the file and run again"
            )
        return self

    def _found(self) -> tuple[str, int]:
        """The fingerprint of what is there, and how many lines that is."""
        sides, count = [hashlib.sha256(), hashlib.sha256()], 1
        for count, line in enumerate(islice(_rows(self.path), 1, None), start=2):
            if count <= 1 + self.train + self.evaluation:
                sides[count > 1 + self.train].update(_content_of(line, self.path))
        return hashlib.sha256("".join(side.hexdigest() for side in sides).encode()).hexdigest(), count


def open_dataset(path: Path) -> DataFile:
    """The file by its header alone.

    Raises:
        DataError: it is missing or no data set of this version.
    """
    header = _header(next(_rows(path), b""), path)
    try:
        return DataFile(
            path=path,
            name=header["name"],
            source=header["source"],
            fingerprint=str(header["fingerprint"]),
            train=int(header["train"]),
            evaluation=int(header["evaluation"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: a line is malformed ({error}); delete the file and run again") from error


def _rows(path: Path) -> Iterator[bytes]:
    """The lines of the file."""
    try:
        with path.open("rb") as file:  # a line ends with \n alone: text may hold other separators
            yield from file
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such data set file; run again from the driver to write it") from error
    except OSError as error:
        raise DataError(f"{path}: not a readable data set file; delete it and run again") from error


def _header(line: bytes, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError as error:
        raise DataError(f"{path}: not a readable data set file; delete it and run again") from error
    if not isinstance(header, dict) or header.get("format") not in (FILE_FORMAT, BEFORE):
        raise DataError(f"{path}: not a data set file of format {FILE_FORMAT!r}; delete it and run again")
    return header


def _parsed(line: bytes, path: Path) -> Example:
    try:
        return example_of(line)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: a line is malformed ({error}); delete the file and run again") from error


def _content_of(line: bytes, path: Path) -> bytes:
    """The part of a line that counts for the fingerprint, with its end."""
    content, tab, _ = line.partition(TAB)
    return (content if tab else _canonical(_content(_parsed(line, path)))) + b"\n"


def line_of(example: Example) -> bytes:
    """One spelling per example: its content, a tab, its origin; JSON has no tab. Read by `example_of`.

    Most are a prompt and a completion: they are written in half of the time that an encoder takes.
    """
    if example.messages or example.tools or example.goes_on or example.rejected or example.rejected_messages:
        return _canonical(_content(example)) + TAB + _text(example.origin).encode() + b"\n"
    plain = f'"completion":{_text(example.completion)},"messages":[],"prompt":{_text(example.prompt)}'
    return f'{{"cluster":{_text(example.cluster)},{plain}}}\t{_text(example.origin)}\n'.encode()


def example_of(line: bytes) -> Example:
    """What `line_of` wrote, or the version before."""
    content, tab, origin = line.partition(TAB)
    row = json.loads(content)
    return _example({**row, "origin": json.loads(origin)} if tab else row)


def lines_of(examples: Iterable[Example]) -> Iterator[bytes]:
    """Each as `line_of` writes it."""
    return examples.lines() if isinstance(examples, ExamplesInFile) else map(line_of, examples)


def _bytes_of(examples: Iterable[Example]) -> Iterator[bytes]:
    """The same lines in pieces of any length."""
    return examples.pieces() if isinstance(examples, ExamplesInFile) else map(line_of, examples)


def fingerprint_of(examples: Sequence[Example]) -> str:
    """sha256 (hex) over the canonical content of examples, order included, origin left out."""

    def find() -> str:
        digest = hashlib.sha256()
        for line in lines_of(examples):
            digest.update(line[: line.index(TAB)] + b"\n")
        return digest.hexdigest()

    return str(examples.remembered("fingerprint", find)) if isinstance(examples, ExamplesInFile) else find()


def write_dataset(dataset: DataSet, path: Path) -> None:
    """Write a data set as one JSONL file: a header line, then the examples.

    Atomic: a worker sees the whole file or none, also when two drivers write the same one.

    Raises:
        StorageError: the folder cannot be written.
    """
    write_atomically(path, _written(dataset))


def keep_dataset(dataset: DataSet, path: Path) -> None:
    """As `write_dataset`, unless the file holds just that; one that holds other examples is named.

    Raises:
        StorageError: the folder cannot be written.
    """
    try:
        if PREFIX + content_digest(path) == _digest_written(dataset):
            return
        if read_dataset(path).fingerprint != dataset.fingerprint:
            _log.warning("%s: does not hold the examples it is named after; it is written again", path)
    except FileNotFoundError:
        pass
    except (OSError, DataError) as error:
        _log.warning("%s: is damaged and written again (%s)", path, error)
    write_dataset(dataset, path)


def _digest_written(dataset: DataSet) -> str:
    def find() -> str:
        return digest(_written(dataset))

    train = dataset.train
    if not isinstance(train, ExamplesInFile):
        return find()
    return str(train.remembered(f"written {_canonical(_header_of(dataset)).decode()}", find))


def _written(dataset: DataSet) -> Iterator[bytes]:
    header = _canonical(_header_of(dataset)) + b"\n"
    return chain([header], _bytes_of(dataset.train), _bytes_of(dataset.evaluation))


def _header_of(dataset: DataSet) -> dict[str, Any]:
    return {
        "format": FILE_FORMAT,
        "name": dataset.name,
        "source": dataset.source,
        "train": len(dataset.train),
        "evaluation": len(dataset.evaluation),
        "fingerprint": dataset.fingerprint,
    }


def read_dataset(path: Path) -> DataSet:
    """Read what `write_dataset` wrote and prove that it is the same data.

    Raises:
        DataError: the file is missing, is no data set of this version, or its content does not have
            the fingerprint of its header (cut off, edited, mixed up).
    """
    file = open_dataset(path).verified()
    return DataSet(
        name=file.name,
        train=tuple(file.examples(held_out=False)),
        evaluation=tuple(file.examples(held_out=True)),
        source=file.source,
    )


def _content(example: Example) -> dict[str, Any]:
    """What came later is written where it is there, so that fingerprints stay."""
    pair = {"rejected": example.rejected, "rejected_messages": _turns(example.rejected_messages)}
    later = {"tools": example.tools, "goes_on": example.goes_on, **pair}
    return {
        "prompt": example.prompt,
        "completion": example.completion,
        "cluster": example.cluster,
        "messages": _turns(example.messages),
        **{name: value for name, value in later.items() if value},
    }


def _turns(messages: Iterable[Message]) -> list[list[Any]]:
    return [
        [one.role, one.content, *([one.more, one.learned] if one.more or not one.learned else [])]
        for one in messages
    ]


def _example(row: dict[str, Any]) -> Example:
    kept = {name: row[name] for name in ("prompt", "completion", "cluster", "origin")}
    later = {name: row[name] for name in ("tools", "goes_on", "rejected") if name in row}
    return Example(
        **kept,
        **later,
        messages=_messages(row["messages"]),
        rejected_messages=_messages(row.get("rejected_messages", ())),
    )


def _messages(turns: Iterable[Any]) -> tuple[Message, ...]:
    return tuple(
        Message(role=role, content=content, **dict(zip(("more", "learned"), later, strict=False)))
        for role, content, *later in turns
    )


def _canonical(value: dict[str, Any]) -> bytes:
    """One spelling per value: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
