"""All studies of a workspace with their words, for a table over all of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bios_sweep.decision.statement import Verdict
from bios_sweep.procedure.looks import Look
from bios_sweep.vocabulary import Word

CAUTIOUS = (
    Word.INCONCLUSIVE,
    Word.REFINE,
    Word.CONFIRM,
)  # of words that nobody judged together, the first counts


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A finished study's answer to one question. stands: whether it is the one that counts."""

    sweep: str
    scenario: str
    factor: str
    claim: str
    cell: str
    verdict: str
    seeds: int
    stands: bool


@dataclass(frozen=True, kw_only=True)
class Told:
    """A verdict with the study that told it. changed: by a rule that was changed after results were seen."""

    sweep: str
    scenario: str
    verdict: Verdict
    changed: bool = False


def standing(told: Sequence[Told], looks: Sequence[Look]) -> Told | None:
    """Of the studies of one question the one that counts: the last that judged all trials together.

    told: oldest first. looks: at the question. Studies of before there was a ledger were each judged alone:
    where they disagree, the one that claims least counts. None where all changed the rule afterwards.
    """
    served = [one for one in told if not one.changed]
    judged = {look.sweep for look in looks if look.pools and not look.changed}
    together = [one for one in served if one.sweep in judged]
    if together:
        order = list(dict.fromkeys(look.sweep for look in looks))
        return max(together, key=lambda one: order.index(one.sweep))
    return min(reversed(served), key=lambda one: _caution(one.verdict), default=None)


def study_rows(asked: Mapping[str, Sequence[Told]], counting: Mapping[str, Told | None]) -> list[StudyRow]:
    """A row per study and question. asked, counting: by the question's identity."""
    return [
        StudyRow(
            sweep=one.sweep,
            scenario=one.scenario,
            factor=one.verdict.factor,
            claim=one.verdict.claim,
            cell=one.verdict.cell,
            verdict=one.verdict.verdict,
            seeds=len(one.verdict.seeds),
            stands=one == counting[question],
        )
        for question, told in asked.items()
        for one in told
    ]


def _caution(verdict: Verdict) -> int:
    return CAUTIOUS.index(Word(verdict.verdict)) if verdict.verdict in CAUTIOUS else len(CAUTIOUS)
