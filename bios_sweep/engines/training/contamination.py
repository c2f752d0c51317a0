"""Evaluation examples that training has seen: the same after normalisation, or nearly so.

The measure of `near` is that of PaLM (Chowdhery et al. 2022, section 8): the share of an example's 8-grams of
words that stand in a training example, at least 70 %. Grams that many evaluation examples have are their form
(an instruction that all of them open with), and are left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain

from bios_sweep.engines.training.data import DataSet, Example, ExamplesInFile, name_of
from bios_sweep.engines.training.groups import normalised, normalised_identity

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


def contamination_of(dataset: DataSet) -> Contamination:
    """What of a data set's evaluation stands in its training examples; found once for examples in a file."""
    train, evaluation = dataset.train, dataset.evaluation
    if not isinstance(train, ExamplesInFile):
        return contamination(train, evaluation)
    what = f"contamination 1 {dataset.evaluation_fingerprint}"
    found = train.remembered(what, lambda: asdict(contamination(train, evaluation)))
    pairs = {side: tuple((a, b) for a, b in found[side]) for side in ("same", "near")}
    return Contamination(**{**found, **pairs})


def contamination(train: Sequence[Example], evaluation: Sequence[Example]) -> Contamination:
    """What of the evaluation stands in the training examples; each example once, `same` before `near`."""
    said = {normalised_identity(one): place for place, one in reversed(list(enumerate(evaluation)))}
    grams = _grams_of(evaluation)
    sizes = Counter(place for places in grams.values() for place in places)
    same: dict[int, Pair] = {}
    near: dict[int, Pair] = {}
    words = looked = 0
    for example in train:
        if words >= MOST_WORDS:
            break
        name = name_of(example, looked)
        looked += 1
        found = said.get(normalised_identity(example))
        if found is not None:
            same.setdefault(found, (name_of(evaluation[found], found), name))
        text = _words(example)
        words += len(text)
        hits = Counter(chain.from_iterable(map(grams.__getitem__, grams.keys() & set(_grams(text)))))
        for one, count in hits.items():
            if count >= NEAR * sizes[one]:
                near.setdefault(one, (name_of(evaluation[one], one), name))
    return Contamination(
        evaluation=len(evaluation),
        train=len(train),
        looked=looked,
        same=tuple(same[one] for one in sorted(same)),
        near=tuple(near[one] for one in sorted(near) if one not in same),
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
            f"the first {found.looked:,} of {found.train:,} training examples were looked through for "
            "evaluation examples that are in them too"
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
