"""What cutting examples at a length takes from each side of a data set: counted once, for every length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bios_sweep.engines.training.chat import THE_DAY, ChatTemplate, chat_template
from bios_sweep.engines.training.data import DataSet, Example
from bios_sweep.engines.training.tokenizer import TextTokenizer, load_tokenizer
from bios_sweep.engines.training.tokens import Lengths, encode_all
from bios_sweep.errors import DataError
from bios_sweep.study.scenario import EVALUATION, TRAIN, Cut


def cuts_of(
    dataset: DataSet, model_dir: Path, train_lengths: Iterable[int], eval_length: int
) -> tuple[tuple[Cut, ...], tuple[str, ...]]:
    """Per length of an arm what the training examples lose, then the evaluation's loss; how answers end.

    Raises:
        DataError: an example leaves nothing to learn at one of the lengths, or is a conversation that the
            model's chat template cannot write; names it.
    """
    tokenizer, template = load_tokenizer(model_dir), chat_template(model_dir)
    train, evaluation = (
        [encoded.lengths for encoded in encode_all(side, tokenizer, template)]
        for side in (dataset.train, dataset.evaluation)
    )
    cuts = [cut_at(TRAIN, train, length) for length in train_lengths]
    cuts.append(cut_at(EVALUATION, evaluation, eval_length))
    return tuple(cuts), ends_of((*dataset.train, *dataset.evaluation), tokenizer, template)


def cut_at(split: str, lengths: Sequence[Lengths], max_length: int) -> Cut:
    """What one side loses at a length. Every example stays, however little of it is left.

    Raises:
        DataError: an example leaves nothing to learn there.
    """
    kept = [(one, *one.kept(max_length)) for one in lengths]
    gone = [(one.prompt - prompt, one.completion - completion) for one, prompt, completion in kept]
    return Cut(
        split=split,
        max_length=max_length,
        examples=len(kept),
        truncated=sum(any(pair) for pair in gone),
        tokens=sum(one.prompt + one.completion for one in lengths),
        lost=sum(map(sum, gone)),
        supervised=sum(_supervised(one.prompt, one.completion) for one in lengths),
        lost_supervised=sum(
            _supervised(one.prompt, one.completion) - _supervised(prompt, completion)
            for one, prompt, completion in kept
        ),
        longest=max(prompt + completion for _, prompt, completion in kept),
    )


def ends_of(
    examples: Sequence[Example], tokenizer: TextTokenizer, template: ChatTemplate | None
) -> tuple[str, ...]:
    """How answers end, in words: by the chat template, or by what is appended."""
    talk = next((example for example in examples if example.messages), None)
    appended = f"{tokenizer.end_text!r}, the end in {tokenizer.end.source}"
    told = []
    if talk is not None and template is not None:
        end = template.end(talk.messages)
        told.append(
            f"an answer in messages ends with {end!r}, as the chat template writes it"
            if end.strip()
            else f"the chat template writes no end behind an answer, so {appended}, is appended to it"
        )
        if template.dated:
            told.append(f"the chat template writes the date; it is {THE_DAY:%d %b %Y} in every trial")
    if any(not example.messages for example in examples):
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


def _supervised(prompt: int, completion: int) -> int:
    """Nothing predicts the first token of a sequence."""
    return completion if prompt else completion - 1
