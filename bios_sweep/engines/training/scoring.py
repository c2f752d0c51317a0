"""Answers to the evaluation examples, generated greedily and in batches, and their score.

It is done once per trial, after its last step, and once of the untouched model. Batches are padded on the
left; where that moves a model's logits (an architecture that does not mask what it is told to), prompts of
one length go together instead.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from bios_sweep.atomic import write_atomically
from bios_sweep.engines.training.chat import ChatTemplate
from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.model import TOLERANCE, BaseModel
from bios_sweep.engines.training.scorers import Scorer
from bios_sweep.engines.training.tokenizer import TextTokenizer
from bios_sweep.engines.training.tokens import Render, encode_all, shortened
from bios_sweep.sealed import digest
from bios_sweep.study.trials import ANSWERS_FILE, SCORE_FILE


@dataclass(frozen=True, kw_only=True)
class Question:
    """One item: what the model reads, as ids and as text, and what it should say."""

    ids: tuple[int, ...]
    prompt: str
    reference: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The answers of one model. values: per item, shape (items,), float64. seconds: what it took."""

    values: np.ndarray
    answers: tuple[str, ...]
    seconds: float

    @property
    def mean(self) -> float:
        """The metric."""
        return float(self.values.mean())


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The items, made once, and how they are answered and scored.

    cluster: number per item, shape (items,). ends: tokens that end an answer, stop: texts that do. size:
    answers that are generated in one piece; padded: whether prompts of several lengths may go together.
    """

    metric: str
    scorer: Scorer
    questions: tuple[Question, ...]
    cluster: np.ndarray
    tokenizer: TextTokenizer
    new_tokens: int
    ends: tuple[int, ...]
    stop: tuple[str, ...]
    size: int
    padded: bool

    def measure(self, base: BaseModel) -> Scored:
        """Answer every item with the model as it stands, adapter and all."""
        begin = time.perf_counter()
        answers = [""] * len(self.questions)
        for rows in self._batches():
            prompts = [self.questions[row].ids for row in rows]
            for row, ids in zip(rows, generated(base, prompts, self.ends, self.new_tokens), strict=True):
                answers[row] = self._text(ids)
        values = [
            self.scorer(asked.prompt, answer, asked.reference)
            for asked, answer in zip(self.questions, answers, strict=True)
        ]
        seconds = time.perf_counter() - begin
        return Scored(values=np.array(values, dtype=np.float64), answers=tuple(answers), seconds=seconds)

    def save(self, scored: Scored, directory: Path) -> dict[str, str]:
        """Write the values per item, whose digest comes back by name, and the answers, for people."""
        rows = zip(self.questions, scored.answers, scored.values.tolist(), strict=True)
        lines = (
            {"item": asked.origin, "answer": answer, "reference": asked.reference, "score": value}
            for asked, answer, value in rows
        )
        written = [json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines]
        write_atomically(directory / ANSWERS_FILE, written)
        buffer = io.BytesIO()
        np.savez(buffer, score=scored.values, cluster=self.cluster)
        write_atomically(directory / SCORE_FILE, [buffer.getvalue()])
        return {SCORE_FILE: digest([buffer.getvalue()])}

    def _batches(self) -> Iterator[list[int]]:
        """Items of similar length, at most `size` together, the shortest first."""
        order = sorted(range(len(self.questions)), key=lambda row: (len(self.questions[row].ids), row))
        alike = groupby(order, key=lambda row: 0 if self.padded else len(self.questions[row].ids))
        for _, rows in alike:
            listed = list(rows)
            yield from (listed[start : start + self.size] for start in range(0, len(listed), self.size))

    def _text(self, ids: Sequence[int]) -> str:
        text = str(self.tokenizer.encoder.decode(list(ids), skip_special_tokens=True))
        cuts = [place for one in self.stop if (place := text.find(one)) >= 0]
        return text[: min(cuts, default=len(text))]


def questions_of(
    examples: Sequence[Example], tokenizer: TextTokenizer, render: Render | None, room: int
) -> tuple[Question, ...]:
    """The examples as items. room: most tokens of a prompt, which loses those on its left beyond it."""
    encoded = encode_all(examples, tokenizer, render)
    return tuple(
        Question(
            ids=tuple(shortened(one.prompt, room, tokenizer)),
            prompt=render(example)[0] if example.messages and render else example.prompt,
            reference=example.completion,
            origin=one.name,
        )
        for example, one in zip(examples, encoded, strict=True)
    )


def ends_of_answers(
    examples: Sequence[Example], tokenizer: TextTokenizer, template: ChatTemplate | None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The tokens that may end an answer, that of a completion first, and the texts that do.

    A chat template may end its turns with what no file of the model calls an end.
    """
    known = (tokenizer.end.id, *sorted(tokenizer.end.known - {tokenizer.end.id}))
    talk = next((example for example in examples if example.messages), None)
    mark = "" if talk is None or template is None else template.end(talk).strip()
    if not mark:
        return known, ()
    ids = tokenizer.encoder.encode(mark, add_special_tokens=False).ids
    return ((*known, *ids), ()) if len(ids) == 1 else (known, (mark,))


def cluster_numbers(examples: Sequence[Example]) -> np.ndarray:
    """A number per example's cluster, in the order in which they first appear, shape (examples,)."""
    numbers = {name: place for place, name in enumerate(dict.fromkeys(one.cluster for one in examples))}
    return np.array([numbers[example.cluster] for example in examples])


@torch.no_grad()
def generated(
    base: BaseModel, prompts: Sequence[Sequence[int]], ends: Sequence[int], new_tokens: int
) -> list[list[int]]:
    """The likeliest next token, again and again, for each prompt; without the token that ends it."""
    rows = _generate(base, prompts, ends, new_tokens).sequences[:, max(map(len, prompts)) :].tolist()
    return [
        row[: next((place for place, token in enumerate(row) if token in ends), len(row))] for row in rows
    ]


def pads_safely(base: BaseModel, prompts: Sequence[Sequence[int]], ends: Sequence[int], dtype: str) -> bool:
    """Whether padding on the left leaves a model's logits as they are, tried on two prompts."""
    short, *_, longer = sorted(prompts, key=len) if len(prompts) > 1 else [*prompts, *prompts]
    if len(short) == len(longer):
        return True
    alone, beside = (_first_logits(base, some, ends)[0] for some in ([short], [short, longer]))
    gap = (alone - beside).abs().max() / alone.abs().max().clamp(min=1.0)
    return bool(gap.item() <= TOLERANCE[dtype])


@torch.no_grad()
def _first_logits(base: BaseModel, prompts: Sequence[Sequence[int]], ends: Sequence[int]) -> torch.Tensor:
    """Of the first generated token, shape (prompts, vocabulary)."""
    return _generate(base, prompts, ends, 1).logits[0].float()  # type: ignore[no-any-return]


def _generate(base: BaseModel, prompts: Sequence[Sequence[int]], ends: Sequence[int], new_tokens: int) -> Any:
    """The argmax and no more: what the model's own generation config wishes is put aside."""
    width = max(map(len, prompts))
    ids = np.full((len(prompts), width), ends[0], dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = prompt
        mask[row, width - len(prompt) :] = 1
    model: Any = base.model
    greedy = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=new_tokens,
        eos_token_id=list(ends),
        pad_token_id=ends[0],
        use_cache=True,
        return_dict_in_generate=True,
        output_logits=new_tokens == 1,
    )
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        return model.generate(
            torch.from_numpy(ids).to(base.device),
            attention_mask=torch.from_numpy(mask).to(base.device),
            generation_config=greedy,
        )
    finally:
        model.generation_config = own
