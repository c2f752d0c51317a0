"""What may stand at a key, as a value: taken from the check and the annotation that the key has anyway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bios_sweep import checks
from bios_sweep.checks import Check, Range

TEXT, WHOLE, NUMBER, TRUTH = "text", "whole number", "number", "true or false"
LIST, TEXTS, NAMES, ANY = "list", "list of texts", "names with values", "any value"
WRITTEN = {bool: TRUTH, int: WHOLE, float: NUMBER, str: TEXT, list: LIST, dict: NAMES}  # of a default
ANNOTATED = {"int": WHOLE, "float": NUMBER, "str": TEXT, "bool": TRUTH, "Mapping": NAMES}
LISTS = ("Sequence", "tuple", "list")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a value may be. range: in words; choices: the only ones, or the words beside a number.

    nullable: whether it may be left open.
    """

    type: str = ""
    nullable: bool = False
    choices: tuple[str, ...] = ()
    range: str = ""
    unit: str = ""

    @property
    def allowed(self) -> str:
        """`whole number of at least 1 | auto | null; examples`."""
        own = "" if self.type == TEXT and self.choices else f"{self.type} {self.range}".rstrip()
        words = [own, *self.choices, "null" if self.nullable else ""]
        unit = f"; {self.unit}" if self.unit else ""
        return f"{' | '.join(filter(None, words))}{unit}"


def kind_of_check(check: Check | None, annotation: str) -> Kind:
    """From a check of `checks`, as far as it is one of those; else from the field's annotation."""
    if isinstance(check, partial):
        if check.func is checks.unless_null:
            return replace(kind_of_check(check.args[0], annotation), nullable=True)
        if check.func is checks.one_of:
            return Kind(type=TEXT, choices=tuple(map(str, check.keywords["allowed"])))
        if check.func is checks.matching:
            return Kind(type=TEXT, range=f"({check.keywords['allowed']})", nullable="None" in annotation)
        if check.func is checks.whole:
            return kind_of_range(Range(whole=True, **check.keywords))
    if check is checks.mapping:
        return Kind(type=NAMES, nullable=True)
    if check is checks.whole:
        return kind_of_range(Range(whole=True, least=1))
    if check is checks.positive:
        return kind_of_range(Range(above=0))
    if check is checks.at_least_zero:
        return kind_of_range(Range(least=0))
    return kind_of_annotation(annotation)


def kind_of_range(range_: Range) -> Kind:
    """Of a number; its least, greatest and type as words."""
    limits = {"above": range_.above, "of at least": range_.least, "below": range_.below}
    told = [f"{word} {limit:g}" for word, limit in limits.items() if abs(limit) != float("inf")]
    return Kind(type=WHOLE if range_.whole else NUMBER, range=" and ".join(told))


def kind_of_annotation(annotation: str) -> Kind:
    """Of a field, by the text of its annotation: `float | None`, `Sequence[str]`."""
    first, *others = (part.strip() for part in annotation.split("|"))
    nullable = "None" in others
    if first.startswith(LISTS):
        return Kind(type=TEXTS if "[str" in first else LIST, nullable=nullable)
    return Kind(type=ANNOTATED.get(first.partition("[")[0], ""), nullable=nullable)


def kind_of_default(value: Any) -> Kind:
    """Of a key that nothing declares: its default's; where that is left open nothing is known."""
    if value is None:
        return Kind(type=ANY, nullable=True)
    return Kind(type=NAMES if isinstance(value, Mapping) else WRITTEN.get(type(value), ""))
