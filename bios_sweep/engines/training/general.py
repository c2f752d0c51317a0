"""General text, on which a model's loss before and after training says what it forgot."""

from __future__ import annotations

from dataclasses import replace

from bios_sweep.assets import general_text_path
from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.loop import EvaluationSet, evaluation_set
from bios_sweep.engines.training.model import BaseModel
from bios_sweep.engines.training.tokenizer import TextTokenizer
from bios_sweep.engines.training.tokens import tokenize_all

LONGEST = 256  # tokens of a passage, whatever `max_length` an arm has; the longest has half of that or less


def general_examples() -> tuple[Example, ...]:
    """General text, one example per passage, all of it under the loss: what was known before training.

    Short passages of several kinds (reports, letters, recipes, stories, sums) of the project's own. They ship
    with the package, so that they are the same everywhere, and so that they are in nobody's training data.
    """
    lines = general_text_path().read_text(encoding="utf-8").splitlines()
    return tuple(
        Example(prompt="", completion=line, cluster=str(place), origin=f"general text {place + 1}")
        for place, line in enumerate(lines)
    )


def general_set(base: BaseModel, tokenizer: TextTokenizer, size: int) -> EvaluationSet:
    """The passages as a model reads them, for the loss there before training and after it.

    size: examples per micro-batch.

    The end token is left out: what comes after a passage is a habit of the training data, not knowledge.
    """
    unended = []
    for example in tokenize_all(general_examples(), tokenizer, min(LONGEST, base.positions or LONGEST)):
        ended = example.input_ids[-1] == tokenizer.end.id and example.supervised_tokens > 1
        unended.append(replace(example, input_ids=example.input_ids[:-1]) if ended else example)
    return evaluation_set(unended, size, base.device)
