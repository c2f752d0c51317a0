"""Examples, data sets and the one file in which a data set travels to the workers.

A data set is judged by its fingerprints: two trials may be compared only if both saw the same
training examples and were measured on the same evaluation examples, in the same order.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import DataError
from bios_sweep.sealed import digest, file_digest

_log = logging.getLogger(__name__)

ASSISTANT = "assistant"
FILE_FORMAT = "bios_sweep data set 1"  # raise it when the lines below change their meaning


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


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Training and evaluation examples with a name to show and the source they came from."""

    name: str
    train: tuple[Example, ...]
    evaluation: tuple[Example, ...]
    source: str

    @cached_property
    def evaluation_fingerprint(self) -> str:
        """sha256 (hex) of the evaluation examples in their order: what results are measured on."""
        return _fingerprint(self.evaluation)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of both sides; name and source are labels and have no part in it."""
        sides = _fingerprint(self.train) + self.evaluation_fingerprint
        return hashlib.sha256(sides.encode()).hexdigest()


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
        sides = [_fingerprint(self.examples(held_out=held_out)) for held_out in (False, True)]
        found = hashlib.sha256("".join(sides).encode()).hexdigest()
        if found != self.fingerprint or sum(1 for _ in _rows(self.path)) > 1 + self.train + self.evaluation:
            raise DataError(
                f"{self.path}: content has fingerprint {found[:12]}, its header says "
                f"{self.fingerprint[:12]}; delete the file and run again"
            )
        return self


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
    if not isinstance(header, dict) or header.get("format") != FILE_FORMAT:
        raise DataError(f"{path}: not a data set file of format {FILE_FORMAT!r}; delete it and run again")
    return header


def _parsed(line: bytes, path: Path) -> Example:
    try:
        return _example(json.loads(line))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: a line is malformed ({error}); delete the file and run again") from error


def _fingerprint(examples: Iterable[Example]) -> str:
    """Over the canonical content of examples, order included, origin left out."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(_canonical(_content(example)) + b"\n")
    return digest.hexdigest()


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
        if file_digest(path) == digest(_written(dataset)):
            return
        if read_dataset(path).fingerprint != dataset.fingerprint:
            _log.warning("%s: does not hold the examples it is named after; it is written again", path)
    except FileNotFoundError:
        pass
    except (OSError, DataError) as error:
        _log.warning("%s: is damaged and written again (%s)", path, error)
    write_dataset(dataset, path)


def _written(dataset: DataSet) -> Iterator[bytes]:
    header = {
        "format": FILE_FORMAT,
        "name": dataset.name,
        "source": dataset.source,
        "train": len(dataset.train),
        "evaluation": len(dataset.evaluation),
        "fingerprint": dataset.fingerprint,
    }
    examples = (*dataset.train, *dataset.evaluation)
    rows = ({**_content(example), "origin": example.origin} for example in examples)
    return (_canonical(line) + b"\n" for line in (header, *rows))


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
