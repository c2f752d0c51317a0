"""Evaluation examples that training has seen: the same after normalisation, or nearly so.

The measure of `near` is that of PaLM (Chowdhery et al. 2022, section 8): the share of an example's 8-grams of
words that stand in a training example, at least 70 %. Grams that many evaluation examples have are their form
(an instruction that all of them open with), and are left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.groups import normalised, normalised_identity
from bios_sweep.engines.training.tokens import name_of

GRAM = 8  # words; PaLM, section 8
NEAR = 0.7  # share of an example's grams; PaLM, section 8
FORM = 5  # evaluation examples that share a gram which is then form; chosen, not measured
MOST_WORDS = 2_000_000  # of training text that is looked at; chosen: some seconds
NAMED = 3  # pairs that are told

Pair = tuple[str, str]  # evaluation example, training example


@dataclass(frozen=True, kw_only=True)
class Contamination:
    """same, near: pairs of lines. looked: training examples that were looked at for near ones."""

    evaluation: int
    train: int
    looked: int
    same: tuple[Pair, ...]
    near: tuple[Pair, ...]


def contamination(train: Sequence[Example], evaluation: Sequence[Example]) -> Contamination:
    """What of the evaluation stands in the training examples; each example once, `same` before `near`."""
    said = {normalised_identity(one): place for place, one in reversed(list(enumerate(evaluation)))}
    grams = _grams_of(evaluation)
    sizes = Counter(place for places in grams.values() for place in places)
    same: dict[int, int] = {}
    near: dict[int, int] = {}
    words = looked = 0
    for place, example in enumerate(train):
        found = said.get(normalised_identity(example))
        if found is not None:
            same.setdefault(found, place)
        if words < MOST_WORDS:
            text = _words(example)
            words, looked = words + len(text), looked + 1
            hits = Counter(one for gram in set(_grams(text)) for one in grams.get(gram, ()))
            for one, count in hits.items():
                if count >= NEAR * sizes[one]:
                    near.setdefault(one, place)

    def pairs(found: dict[int, int]) -> tuple[Pair, ...]:
        return tuple((name_of(evaluation[a], a), name_of(train[b], b)) for a, b in sorted(found.items()))

    return Contamination(
        evaluation=len(evaluation),
        train=len(train),
        looked=looked,
        same=pairs(same),
        near=pairs({one: place for one, place in near.items() if one not in same}),
    )


def lines_of(found: Contamination, *, one_file: bool) -> tuple[str, ...]:
    """The report, in words. one_file: whether both sides were split from one file."""
    way_out = "data.split=normalised keeps them on one side" if one_file else "remove them from one file"
    told = []
    if found.same:
        told.append(
            f"{len(found.same):,} of {found.evaluation:,} evaluation examples are also in training, but for "
            f"case, spaces or punctuation ({_shown(found.same)}); {way_out}"
        )
    if found.near:
        told.append(
            f"{len(found.near):,} of {found.evaluation:,} evaluation examples share {NEAR:.0%} of their "
            f"{GRAM}-word sequences with a training example ({_shown(found.near)}); "
            "their loss measures memory too"
        )
    if found.looked < found.train:
        told.append(
            f"the first {found.looked:,} of {found.train:,} training examples were looked through for near "
            "duplicates of evaluation examples"
        )
    return tuple(told)


def _shown(pairs: Sequence[Pair]) -> str:
    listed = "; ".join(f"{held_out} as {trained}" for held_out, trained in pairs[:NAMED])
    return listed + ("; ..." if len(pairs) > NAMED else "")


def _grams_of(evaluation: Iterable[Example]) -> dict[tuple[str, ...], list[int]]:
    """Gram -> the evaluation examples that have it, without those that are form."""
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, example in enumerate(evaluation):
        for gram in set(_grams(_words(example))):
            found[gram].append(place)
    return {gram: places for gram, places in found.items() if len(places) < FORM}


def _grams(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(GRAM)), strict=False)


def _words(example: Example) -> list[str]:
    turns = [one.content for one in example.messages if one.role != "system"]
    return normalised("\n".join([*turns, example.prompt, *([] if turns else [example.completion])])).split()
