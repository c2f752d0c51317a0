"""Which factors of a learning-rate law the studies tell apart; the others are refused by name. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from bios_sweep.decision.table import Floats
from bios_sweep.refit.evidence import Collected, RateStudy

REFERENCE_SIZE = 2000.0  # heuristics.json: the hidden size at which a rule's level is stated
HIDDEN = "hidden size"
FACTORS = {"lora_rank": "rank", "batch_size": "batch size", "max_steps": "steps"}  # fact -> its name in words
REFERENCES = {"lora_rank": 32.0, "batch_size": 128.0, "max_steps": 1000.0}  # the defaults of heuristics.json
Names: TypeAlias = tuple[str, ...]
TOGETHER = 0.9  # share of a factor that others explain, a variance inflation of 10 (Marquardt 1970)


@dataclass(frozen=True, kw_only=True)
class Design:
    """The columns of a law: intercept, log(2000 / hidden size), then one doubling per unit for other factors.

    matrix: shape (studies, columns). columns: names beyond the intercept, hidden size first where it is
    there. groups: index of each study's model. spare: models left over after what differs between models.
    unknown: factors whose effect is not told apart, with the reason in words. together: the names of those
    that move together, hidden size among them. refusal: why there is no law at all; empty where there is one.
    """

    matrix: Floats
    columns: tuple[str, ...]
    groups: tuple[int, ...]
    spare: int
    unknown: Mapping[str, str]
    together: tuple[Names, ...] = ()
    refusal: str = ""

    @property
    def models(self) -> int:
        """How many models there are."""
        return len(set(self.groups))


def design_of(studies: Sequence[RateStudy], *, flat: bool = False) -> Design:
    """The columns that the studies identify. flat: without hidden size, for one value that serves all sizes.

    A factor that moves with hidden size (the other columns explain 90 % of it) refuses the law: which of the
    two moves the best rate cannot be told. Factors that move together, but not with hidden size, keep one
    column between them, so that they do not bias the exponent, and no effect is reported for either.
    """
    names = tuple(dict.fromkeys(study.model for study in studies))
    groups = tuple(names.index(study.model) for study in studies)
    columns, unknown = _columns(studies)
    if not flat:
        columns = {
            HIDDEN: np.array([math.log(REFERENCE_SIZE / one.hidden_size) for one in studies]),
            **columns,
        }
    together = together_in(columns)
    refusal = "" if flat else _size_refusal(columns[HIDDEN], len(names))
    if not refusal:
        refusal, columns, unknown = untangled(columns, unknown)
    matrix = np.column_stack([np.ones(len(studies)), *columns.values()])
    spare = len(names) - _between(matrix, groups)
    if not refusal and spare < 1:
        needed = " and ".join(columns) or "a level"
        refusal = f"{len(names)} models are too few for {needed}: not identified"
    return Design(
        matrix=matrix,
        columns=tuple(columns),
        groups=groups,
        spare=spare,
        unknown=unknown,
        together=together,
        refusal=refusal,
    )


def together_over(found: Collected) -> tuple[Names, ...]:
    """What moves together over all families and methods, so that a difference between them has two causes.

    A word (family, method) moves with a number whose variance it explains to 90 %, and with another word
    where one of the two says the other. Of alphas what was left out counts too.
    """
    words = {"family": [one.family for one in found.studies], "method": [one.method for one in found.studies]}
    numbers: dict[str, list[float | None]] = {HIDDEN: [math.log(one.hidden_size) for one in found.studies]}
    for fact, name in FACTORS.items():
        known = [one.facts.get(fact) for one in found.studies]
        numbers[name] = [None if value is None else math.log2(value) for value in known]
    pairs = [
        (word, name)
        for word, values in words.items()
        for name, own in numbers.items()
        if _explained_by_word(values, own) >= TOGETHER
    ]
    seen = [*zip(*words.values(), strict=True)]
    alphas = {
        name: [(method, value) for method, own, value in found.alphas if own == name]
        for name in sorted({name for _, name, _ in found.alphas})
    }
    named = {("family", "method"): seen, **{("method", name): values for name, values in alphas.items()}}
    return (*pairs, *(names for names, values in named.items() if _one_says_the_other(values)))


def _columns(studies: Sequence[RateStudy]) -> tuple[dict[str, Floats], dict[str, str]]:
    """The factors that vary, in doublings from their defaults; the reason for each that does not."""
    columns: dict[str, Floats] = {}
    unknown: dict[str, str] = {}
    for fact, name in FACTORS.items():
        values = [study.facts.get(fact) for study in studies]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            unknown[name] = f"{name} is not known in every study: its effect is not identified"
        elif len(set(known)) == 1:
            unknown[name] = f"{name} is {known[0]:g} in every study: its effect is not identified"
        else:
            columns[name] = np.array([math.log2(value / REFERENCES[fact]) for value in known])
    return columns, unknown


def together_in(columns: Mapping[str, Floats]) -> tuple[Names, ...]:
    """The names of the columns that move together; of a group the largest alone."""
    varying = {name: column for name, column in columns.items() if np.ptp(column) > 0}
    found = dict.fromkeys(
        tuple(one for one in varying if one in (name, *partners))
        for name in varying
        if (partners := partners_of(name, varying))
    )
    return tuple(group for group in found if not any(set(group) < set(other) for other in found))


def _explained_by_word(words: Sequence[str], numbers: Sequence[float | None]) -> float:
    """Share of the numbers' variance between the words, 0-1; 0 where either does not vary."""
    known = [(word, number) for word, number in zip(words, numbers, strict=True) if number is not None]
    values = np.array([number for _, number in known])
    levels = sorted({word for word, _ in known})
    if len(levels) < 2 or np.ptp(values) == 0:
        return 0.0
    return _explained(values, [np.array([float(word == one) for word, _ in known]) for one in levels[1:]])


def _one_says_the_other(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether both vary, and one of the two is known from the other."""
    sides = [len({pair[side] for pair in pairs}) for side in (0, 1)]
    return min(sides, default=0) > 1 and len(set(pairs)) == max(sides)


def _size_refusal(sizes: Floats, models: int) -> str:
    if np.ptp(sizes) == 0:
        size = round(REFERENCE_SIZE / math.exp(float(sizes[0])))
        return f"hidden size is {size} in every study: the exponent is not identified"
    if models < 3:
        return f"an exponent needs at least 3 models, there are {models}: not identified"
    return ""


def untangled(
    columns: dict[str, Floats], unknown: dict[str, str]
) -> tuple[str, dict[str, Floats], dict[str, str]]:
    """Refuse what moves with hidden size; of what else moves together keep one column without a name."""
    kept, told = dict(columns), dict(unknown)
    for name in [*columns][::-1]:
        if name == HIDDEN or not (partners := partners_of(name, kept)):
            continue
        sentence = f"{' and '.join([*partners, name])} move together: not identified"
        if HIDDEN in partners:
            return sentence, kept, told
        told |= dict.fromkeys((name, *partners), sentence)
        del kept[name]
    return "", kept, told


def partners_of(name: str, columns: Mapping[str, Floats]) -> list[str]:
    """The factors that a factor moves with: those alike in pairs, else all that explain it together."""
    others = {other: column for other, column in columns.items() if other != name}
    if _explained(columns[name], list(others.values())) < TOGETHER:
        return []
    pairs = [other for other, column in others.items() if _explained(columns[name], [column]) >= TOGETHER]
    return pairs or list(others)


def _explained(column: Floats, others: Sequence[Floats]) -> float:
    """Share of a column's variance that a straight line in the others explains, 0-1."""
    base = np.column_stack([np.ones(len(column)), *others])
    left = column - base @ np.linalg.lstsq(base, column, rcond=None)[0]
    return 1.0 - float(left.var() / column.var())


def _between(matrix: Floats, groups: Sequence[int]) -> int:
    """How many numbers the differences between models are spent on: the rank of the models' mean rows."""
    index = np.array(groups)
    means = np.array([matrix[index == model].mean(axis=0) for model in sorted(set(groups))])
    return int(np.linalg.matrix_rank(means, tol=1e-6))
