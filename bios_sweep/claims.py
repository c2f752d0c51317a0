"""What a default may claim of itself: a value per claim, in the one list of them. Standard library only.

A claim's facts stand here, where a study, a tuned file and a configuration can read them without any
statistics. How it is judged, told and planted stands in `bios_sweep/decision/claims/NAME.py`, found by the
claim's name: a new claim is that file and one entry below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bios_sweep.vocabulary import Goal

REPEAT = "repeat"  # the A/A factor: the same settings run again under another name
FEW_STEPS = 100  # Bios guide: 100 steps are the minimum; a trial below it is flagged


class Against(StrEnum):
    """What a candidate of a claim is held against."""

    DEFAULT = "the default"
    AS_LONG = "the default trained for the same cost"
    CLAIMED = "the level that is claimed"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a default says of itself; every verdict is about one claim of one factor.

    settings: those whose default makes the claim unasked; a claim without any may be asked of every setting.
    role: what kind of default that makes a setting whose first claim it is. level: the level that the claim
    is about, from the default's, where it is another. against: what a candidate meets on fresh seeds.
    weighs_cost: loss against the measured cost of a step. for_everyone: its value holds whatever matters
    most. goal: the wish whose profile takes the value. by_loss: judged by loss alone, which a setting that
    costs has said. by_gain: one gain leaves it open, so that more seeds would settle it. retuned: levels may
    be compared at their best nuisance value. judged_by: keys of `decision` that it is judged by.
    """

    name: str
    settings: tuple[str, ...] = ()
    role: str = "optimum"
    level: Callable[[Any], Any] | None = None
    against: Against = Against.DEFAULT
    weighs_cost: bool = False
    for_everyone: bool = False
    goal: Goal | None = None
    by_loss: bool = False
    by_gain: bool = False
    retuned: bool = False
    judged_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    def claimed(self, default: Any) -> Any:
        """The level that the claim is about: of most claims the default itself."""
        return default if self.level is None else self.level(default)

    @property
    def of_another_level(self) -> bool:
        """Whether the claim is about another level than the default's."""
        return self.level is not None

    @property
    def served(self) -> bool:
        """Whether somebody is to use its value; the least that will do and a control's are for nobody."""
        return self.for_everyone or self.goal is not None

    @property
    def plain(self) -> bool:
        """Whether it is said of a setting as such, for everyone and for no goal: its name adds nothing."""
        return self.for_everyone and self.goal is None


OPTIMUM = Claim(name="optimum", for_everyone=True, by_loss=True, retuned=True)
JOINT = Claim(name="joint")  # of a joint search's winner: settings that no factor claims one by one

CLAIMS: dict[str, Claim] = {
    claim.name: claim
    for claim in (
        OPTIMUM,
        Claim(
            name="balanced",
            settings=("batch_size",),
            role="trade-off",
            against=Against.AS_LONG,
            weighs_cost=True,
            for_everyone=True,
            goal=Goal.BALANCED,
            by_gain=True,
            retuned=True,
        ),
        Claim(
            name="quality",
            settings=("batch_size",),
            role="trade-off",
            level=lambda size: size // 2,  # the guide's 64 for quality is half of its balance of 128
            against=Against.CLAIMED,
            goal=Goal.QUALITY,
            by_gain=True,
        ),
        Claim(
            name="speed",
            settings=("batch_size",),
            role="trade-off",
            level=lambda size: size * 2,  # the guide's 256 for speed is twice its balance of 128
            weighs_cost=True,
            goal=Goal.SPEED,
            judged_by=("cost_ratio", "speed_loss_percent"),
        ),
        Claim(
            name="enough",
            settings=("lora_rank", "max_steps"),
            role="enough",
            weighs_cost=True,
            for_everyone=True,
            by_gain=True,
            judged_by=("cost_ratio",),
        ),
        Claim(
            name="minimum",
            settings=("max_steps",),
            role="enough",
            level=lambda _steps: FEW_STEPS,
            judged_by=("minimum_share",),
        ),
        Claim(name="identical", settings=(REPEAT,), role="control"),
    )
}


def claims_of(setting: str) -> tuple[Claim, ...]:
    """What a default of that name claims unasked; one that no claim names, to be an optimum."""
    return tuple(claim for claim in CLAIMS.values() if setting in claim.settings) or (OPTIMUM,)


def possible_claims(setting: str) -> tuple[Claim, ...]:
    """What may be asked of a setting: its own claims and those of every setting; of the control, its own."""
    own = claims_of(setting)
    asked = () if setting == REPEAT else (claim for claim in CLAIMS.values() if not claim.settings)
    return tuple(dict.fromkeys((*own, *asked)))


def role_of(setting: str) -> str:
    """What kind of default a setting has: optimum, trade-off, enough, control."""
    return claims_of(setting)[0].role


def claim_named(name: str) -> Claim:
    """The claim of that name; one that is not in the list (a search's, a later version's) serves nobody."""
    return CLAIMS.get(name) or Claim(name=name)
