"""What a claim's file says: how it is judged, in which words it is told, and when it is wrong. Values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from bios_sweep.claims import CLAIMS, Claim, claim_named
from bios_sweep.decision.claims.evidence import Evidence
from bios_sweep.decision.claims.said import Said
from bios_sweep.decision.claims.truth import Truth
from bios_sweep.decision.finding import FactorLevels, Finding
from bios_sweep.study.design import DecisionRule


@dataclass(frozen=True, kw_only=True)
class Words:
    """How a claim is told beside its sentence; empty where it is told as any other.

    confirmed, refined: what these words mean of it. goal: for whom it is, where it is about another level.
    advice: of a settled verdict, `{value}` being what it stands for. unmoved: advice whatever the verdict.
    turns_down: what the claimed level does that fresh seeds turn down, as `it does`, `it seems to` of a
    verdict and `it seems to` of a suggestion. margin: what its gain is held against, where not the margin.
    needs: what a table of metrics alone cannot say of it.
    """

    confirmed: str = ""
    refined: str = ""
    goal: str = ""
    advice: str = ""
    unmoved: str = ""
    turns_down: tuple[str, str, str] = ("costs too much", "cost too much", "lose too much")
    margin: str = ""
    needs: str = ""


def too_good(truth: Truth) -> bool:
    """Whether a tested level gains what matters, which a confirmation by loss would overlook."""
    return max(truth.gains.values()) >= truth.margin


def no_gain(truth: Truth, level: Any) -> bool:
    """Whether the level that would be served gains nothing."""
    return truth.gains.get(level, 0.0) <= 0


def the_margin(_rule: DecisionRule) -> None:
    """Most claims are held against the margin, and against no other percent."""


def no_larger(said: Said) -> str:
    """What a confirmation shows of most claims: no alternative is better by what matters."""
    return said.none_improves("alternative", said.compared())


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """All that belongs to one claim beyond its facts.

    judge: the finding on the shared seeds. confirmed: the sentence of a confirmation. limit: percent that its
    gain is held against, None for the margin. wrong_confirmation, wrong_refinement: whether the word, or
    serving a level, does harm where the truth is known. smaller_first: on which side of the default a
    rehearsal plants its effect first; None: on either. excludes: whether an arm that is shown to gain less
    than the margin is out for good, since nothing else is asked of it.
    """

    judge: Callable[[FactorLevels, Evidence], Finding]
    words: Words = field(default_factory=Words)
    confirmed: Callable[[Said], str] = no_larger
    limit: Callable[[DecisionRule], float | None] = the_margin
    wrong_confirmation: Callable[[Truth], bool] = too_good
    wrong_refinement: Callable[[Truth, Any], bool] = no_gain
    smaller_first: bool | None = None
    excludes: bool = False


def judgement_of(claim: Claim) -> Judgement:
    """The judgement in the claim's own file; a claim outside the list is told as an optimum is."""
    name = claim.name if claim.name in CLAIMS else "optimum"
    found = import_module(f"{__package__}.{name}").JUDGEMENT
    assert isinstance(found, Judgement)  # every file of a claim has one
    return found


def words_of(claim: str) -> Words:
    """The words of a claim by its name, as a report has it; plain ones for a claim outside the list."""
    return judgement_of(claim_named(claim)).words if claim in CLAIMS else Words()
