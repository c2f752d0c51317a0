"""What a sweep found, by names: for tests whose factors make one claim each, or are asked for their first."""

from __future__ import annotations

from bios_sweep.decision.question import Question
from bios_sweep.decision.verdicts import Asked, screen_claims


def by_factor(found):
    """Question -> anything, as factor -> the same, of a factor's first claim."""
    named = {}
    for question, value in found.items():
        named.setdefault(question.factor, value)
    return named


def answer(claim, levels, table, rule, *, ladder=None, **known):
    """The finding of one claim of one factor."""
    question = Question(factor=levels.name, claim=claim)
    asked = Asked(question=question, levels=levels, ladder=ladder)
    return screen_claims(table, [asked], rule, **known)[question]
