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
    ANSWERS,
    CONVERSATION,
    SEVERAL_ANSWERS,
    DataSet,
    Example,
    name_of,
)
from bios_sweep.engines.training.facts import READERS, reads_by, software_versions
from bios_sweep.engines.training.kept import code_digest, keeps, kept_folder, mapped
from bios_sweep.engines.training.objectives.sequences import BothAnswers, both_answers
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
    reaches over. answers: sequences of an example, those of one behind one another; pairs have two.
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
    answers: int = 1

    def __len__(self) -> int:
        return len(self.prompt)

    @property
    def longest(self) -> np.ndarray:
        """Tokens of the longest sequence of each example."""
        lengths = self.prompt + self.completion
        return lengths.reshape(-1, self.answers).max(axis=1)  # type: ignore[no-any-return]

    def kept_at(self, max_length: int) -> tuple[np.ndarray, np.ndarray]:
        """Prompt and completion tokens that fit; answers of one example leave the prompt alike."""
        first = self.first.reshape(-1, self.answers).max(axis=1).repeat(self.answers)
        prompt, completion = kept(self.prompt, self.completion, first, max_length)
        return prompt, completion

    @property
    def supervised(self) -> np.ndarray:
        """Tokens under the loss, uncut."""
        return self.supervised_of(self.prompt, self.completion)

    def supervised_of(self, prompt: np.ndarray, completion: np.ndarray) -> np.ndarray:
        """Tokens under the loss where so many are kept; nothing predicts the first token of a sequence."""
        aside = np.minimum(self.end, completion[self.owner]) - self.begin
        asides = np.bincount(self.owner, weights=np.maximum(aside, 0), minlength=len(self))
        return completion - (prompt == 0) - asides.astype(np.int64)  # type: ignore[no-any-return]


def counted(
    examples: Sequence[Example],
    tokenizer: TextTokenizer,
    template: ChatTemplate | None,
    *,
    pairs: bool = False,
) -> Counted:
    """Count one side. pairs: every example is a preference pair, and both its answers count.

    Raises:
        DataError: a conversation that the model's chat template cannot write; names it.
    """
    joined = 0
    examples = BothAnswers(examples) if pairs else examples
    rows, asides = np.zeros((len(COLUMNS), len(examples)), dtype=KIND), array("i")
    for place, encoded in enumerate(encode_all(examples, tokenizer, template)):
        *numbers, ranges = encoded.lengths
        rows[:, place] = numbers
        joined += encoded.joined
        for pair in ranges:
            asides.extend((place, *pair))
    columns = dict(zip(COLUMNS, rows, strict=True))
    of_asides = dict(zip(OF_ASIDES, np.array(asides, dtype=KIND).reshape(-1, 3).T, strict=True))
    return Counted(examples=examples, joined=joined, answers=ANSWERS if pairs else 1, **columns, **of_asides)


def _kept(
    examples: Sequence[Example], fingerprint: str, reads: Mapping[str, Any], count: Callable[[], Counted]
) -> Counted:
    """The counts of one side as this node has them, or counted here; 16 bytes an example, mapped.

    reads: beside the examples' fingerprint and this package's code, all that decides how they are read.
    """

    def write(folder: Path) -> dict[str, Any]:
        found = count()
        for name in (*COLUMNS, *OF_ASIDES):
            np.ascontiguousarray(getattr(found, name), dtype=KIND).tofile(folder / name)
        return {"joined": found.joined}

    identity = {"examples": fingerprint, "code": code_digest(), **reads}
    folder, facts = kept_folder("counts", "the counts of tokens", identity, write)
    arrays = {name: mapped(folder / name, KIND) for name in (*COLUMNS, *OF_ASIDES)}
    pairs = bool(reads.get("pairs"))
    return Counted(
        examples=BothAnswers(examples) if pairs else examples,
        joined=int(facts["joined"]),
        answers=ANSWERS if pairs else 1,
        **arrays,
    )


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
        lengths = np.sort(self.train.longest)
        holds = int(lengths[math.ceil((1.0 - MOST_CUT) * len(lengths)) - 1])
        rounded = -(-holds // MULTIPLE) * MULTIPLE
        return rounded if limit is None else min(rounded, limit)


def tokens_of(
    dataset: DataSet, model_dir: Path, reading: Reading = AS_EVER, *, pairs: bool = False
) -> Tokens:
    """Count both sides. pairs: the examples are preference pairs.

    Raises:
        DataError: a conversation that the model's chat template cannot write; names it.
    """
    tokenizer, template = load_tokenizer(model_dir), chat_template(model_dir, reading)
    reads: dict[str, Any] = {
        "model": reads_by(model_dir),
        "reading": repr(reading),
        "software": software_versions(READERS),
    }
    reads |= {"pairs": True} if pairs else {}

    def of(side: Sequence[Example], fingerprint: str) -> Counted:
        def count() -> Counted:
            return counted(side, tokenizer, template, pairs=pairs)

        return _kept(side, fingerprint, reads, count) if keeps() else count()

    train = of(dataset.train, dataset.train_fingerprint)
    evaluation = of(dataset.evaluation, dataset.evaluation_fingerprint)
    ends = (*ends_of(dataset, tokenizer, template), *_answers_of(dataset, (train, evaluation), reading))
    one = dataset.train[0]
    told: tuple[str, ...] = (
        f"an example as the model reads it, learned: [[ ]]: {shown(one, tokenizer, template)}",
    )
    if pairs:
        told = tuple(
            f"a pair as the model reads it, {word}: [[ ]]: {shown(answer, tokenizer, template)}"
            for word, answer in zip(("chosen", "rejected"), both_answers([one]), strict=True)
        )
    return Tokens(train=train, evaluation=evaluation, ends=ends, shown=told)


def cut_at(split: str, side: Counted, max_length: int) -> Cut:
    """What one side loses at a length. Every example stays, however little of it is left.

    Raises:
        DataError: an example leaves nothing to learn there.
    """
    prompt, completion = side.kept_at(max_length)
    left = np.minimum(np.minimum(completion, side.text), side.first) - (prompt == 0)
    if (left < 1).any():
        index = int(np.argmax(left < 1))
        raise unlearnable(name_of(side.examples[index], index), max_length)
    gone = side.prompt + side.completion - prompt - completion
    return Cut(
        split=split,
        max_length=max_length,
        examples=len(side) // side.answers,
        truncated=int(np.count_nonzero(gone.reshape(-1, side.answers).any(axis=1))),
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
