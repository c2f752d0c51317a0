"""What cutting examples at a length takes from each side of a data set: counted once, for every length."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bios_sweep.engines.training.chat import AS_EVER, ChatTemplate, Reading, chat_template
from bios_sweep.engines.training.data import (
    CONVERSATION,
    SEVERAL_ANSWERS,
    DataSet,
    Example,
    ExamplesInFile,
    fingerprint_of,
    name_of,
)
from bios_sweep.engines.training.facts import READERS, reads_by, software_versions
from bios_sweep.engines.training.kept import code_digest, kept_folder, mapped
from bios_sweep.engines.training.shown import shown
from bios_sweep.engines.training.tokenizer import TextTokenizer, load_tokenizer
from bios_sweep.engines.training.tokens import encode_all, kept, unlearnable
from bios_sweep.errors import DataError
from bios_sweep.study.scenario import EVALUATION, TRAIN, Cut

MOST_CUT = 0.01  # share of the examples that `method.max_length=auto` leaves to be cut
MULTIPLE = 8  # of tokens, as GPUs like it
KIND = "int32"
COLUMNS, OF_ASIDES = ("prompt", "completion", "text", "first"), ("owner", "begin", "end")


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Tokens per example of one side before it is cut, arrays of shape (examples,); see `Lengths`.

    owner, begin, end: the asides of all examples, shape (asides,). joined: examples whose border a token
    reaches over.
    """

    examples: Sequence[Example]
    prompt: np.ndarray
    completion: np.ndarray
    text: np.ndarray
    first: np.ndarray
    owner: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    joined: int = 0

    def __len__(self) -> int:
        return len(self.prompt)

    @property
    def supervised(self) -> np.ndarray:
        """Tokens under the loss, uncut."""
        return self.supervised_of(self.prompt, self.completion)

    def supervised_of(self, prompt: np.ndarray, completion: np.ndarray) -> np.ndarray:
        """Tokens under the loss where so many are kept; nothing predicts the first token of a sequence."""
        aside = np.minimum(self.end, completion[self.owner]) - self.begin
        asides = np.bincount(self.owner, weights=np.maximum(aside, 0), minlength=len(self))
        return completion - (prompt == 0) - asides.astype(np.int64)  # type: ignore[no-any-return]


def counted(examples: Sequence[Example], tokenizer: TextTokenizer, template: ChatTemplate | None) -> Counted:
    """Count one side.

    Raises:
        DataError: a conversation that the model's chat template cannot write; names it.
    """
    joined = 0
    rows, asides = np.zeros((len(COLUMNS), len(examples)), dtype=KIND), array("i")
    for place, encoded in enumerate(encode_all(examples, tokenizer, template)):
        *numbers, ranges = encoded.lengths
        rows[:, place] = numbers
        joined += encoded.joined
        for pair in ranges:
            asides.extend((place, *pair))
    columns = dict(zip(COLUMNS, rows, strict=True))
    of_asides = dict(zip(OF_ASIDES, np.array(asides, dtype=KIND).reshape(-1, 3).T, strict=True))
    return Counted(examples=examples, joined=joined, **columns, **of_asides)


def _kept(examples: ExamplesInFile, reads: Mapping[str, Any], count: Callable[[], Counted]) -> Counted:
    """The counts of one side as this node has them, or counted here; 16 bytes an example, mapped.

    reads: beside the examples' fingerprint and this package's code, all that decides how they are read.
    """

    def write(folder: Path) -> dict[str, Any]:
        found = count()
        for name in (*COLUMNS, *OF_ASIDES):
            np.ascontiguousarray(getattr(found, name), dtype=KIND).tofile(folder / name)
        return {"joined": found.joined}

    identity = {"examples": fingerprint_of(examples), "code": code_digest(), **reads}
    folder, facts = kept_folder("counts", "the counts of tokens", identity, write)
    arrays = {name: mapped(folder / name, KIND) for name in (*COLUMNS, *OF_ASIDES)}
    return Counted(examples=examples, joined=int(facts["joined"]), **arrays)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Both sides of a data set as a model reads them.

    ends: how answers end, in words. shown: an example with what is learned marked, in words.
    """

    train: Counted
    evaluation: Counted
    ends: tuple[str, ...]
    shown: tuple[str, ...] = ()

    @property
    def joined(self) -> int:
        """Examples whose border a token reaches over."""
        return self.train.joined + self.evaluation.joined

    def cuts(self, train_lengths: Iterable[int], eval_length: int) -> tuple[Cut, ...]:
        """Per length of an arm what the training examples lose, then the evaluation's loss.

        Raises:
            DataError: an example leaves nothing to learn at one of the lengths; names it.
        """
        train = [cut_at(TRAIN, self.train, length) for length in train_lengths]
        return (*train, cut_at(EVALUATION, self.evaluation, eval_length))

    def auto_length(self, limit: int | None) -> int:
        """The `max_length` that holds all but `MOST_CUT` of the training examples; at most `limit`."""
        lengths = np.sort(self.train.prompt + self.train.completion)
        holds = int(lengths[math.ceil((1.0 - MOST_CUT) * len(lengths)) - 1])
        rounded = -(-holds // MULTIPLE) * MULTIPLE
        return rounded if limit is None else min(rounded, limit)


def tokens_of(dataset: DataSet, model_dir: Path, reading: Reading = AS_EVER) -> Tokens:
    """Count both sides.

    Raises:
        DataError: a conversation that the model's chat template cannot write; names it.
    """
    tokenizer, template = load_tokenizer(model_dir), chat_template(model_dir, reading)
    reads = {"model": reads_by(model_dir), "reading": repr(reading), "software": software_versions(READERS)}

    def of(side: Sequence[Example]) -> Counted:
        if not isinstance(side, ExamplesInFile):
            return counted(side, tokenizer, template)
        return _kept(side, reads, lambda: counted(side, tokenizer, template))

    train, evaluation = of(dataset.train), of(dataset.evaluation)
    ends = (*ends_of(dataset, tokenizer, template), *_answers_of(dataset, (train, evaluation), reading))
    first = (
        f"an example as the model reads it, learned: [[ ]]: {shown(dataset.train[0], tokenizer, template)}"
    )
    return Tokens(train=train, evaluation=evaluation, ends=ends, shown=(first,))


def cut_at(split: str, side: Counted, max_length: int) -> Cut:
    """What one side loses at a length. Every example stays, however little of it is left.

    Raises:
        DataError: an example leaves nothing to learn there.
    """
    prompt, completion = kept(side.prompt, side.completion, side.first, max_length)
    left = np.minimum(np.minimum(completion, side.text), side.first) - (prompt == 0)
    if (left < 1).any():
        index = int(np.argmax(left < 1))
        raise unlearnable(name_of(side.examples[index], index), max_length)
    gone = side.prompt + side.completion - prompt - completion
    return Cut(
        split=split,
        max_length=max_length,
        examples=len(side),
        truncated=int(np.count_nonzero(gone)),
        tokens=int((side.prompt + side.completion).sum()),
        lost=int(gone.sum()),
        supervised=int(side.supervised.sum()),
        lost_supervised=int((side.supervised - side.supervised_of(prompt, completion)).sum()),
        longest=int((prompt + completion).max()),
    )


def _answers_of(dataset: DataSet, sides: Sequence[Counted], reading: Reading) -> tuple[str, ...]:
    """Which answers of conversations of several are learned, in words."""
    talks = int(np.count_nonzero(dataset.kinds & SEVERAL_ANSWERS))
    if not talks:
        return ()
    supervised = sum(int(side.supervised.sum()) for side in sides)
    tokens = sum(int((side.prompt + side.completion).sum()) for side in sides)
    which = "every answer is" if reading.every_answer else "the last answer alone is"
    return (
        f"of {talks:,} conversations with several answers {which} learned: {supervised:,} of {tokens:,} "
        "tokens are under the loss",
    )


def ends_of(dataset: DataSet, tokenizer: TextTokenizer, template: ChatTemplate | None) -> tuple[str, ...]:
    """How answers end, in words: by the chat template, or by what is appended."""
    talk = dataset.first(CONVERSATION)
    appended = f"{tokenizer.end_text!r}, the end in {tokenizer.end.source}"
    told = []
    if talk is not None and template is not None:
        end = template.end(talk)
        told.append(
            f"an answer in messages ends with {end!r}, as the chat template writes it"
            if end.strip()
            else f"the chat template writes no end behind an answer, so {appended}, is appended to it"
        )
        if template.dated:
            told.append(f"the chat template writes the date; it is {template.day:%d %b %Y} in every trial")
    if not (dataset.kinds & CONVERSATION).all():
        told.append(f"a completion or text ends with {appended}")
    return tuple(told)


def require_positions(cuts: Sequence[Cut], model: str, limit: int | None, baseline: int) -> None:
    """Refuse sequences that are longer than what the model reads.

    Raises:
        DataError: names the length and what to use instead.
    """
    for cut in cuts:
        if limit is None or cut.longest <= limit:
            continue
        key = "data.eval_max_length" if cut.split == EVALUATION else f"max_length={cut.max_length}"
        if cut.max_length == baseline:
            key = "method.max_length"
        way_out = f"use {key}={limit} or less" if "=" not in key else f"give levels of {limit} or less"
        raise DataError(
            f"{key}: an example has {cut.longest} tokens but model {model} has {limit} positions; {way_out}"
        )
