"""What the arms of a question were seen to spend, beside what was asked of them: values and their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bios_sweep.vocabulary import Seen


@dataclass(frozen=True, kw_only=True)
class ArmSpent:
    """One arm: what it was asked to spend (None: how much is not known), and the least and most it told."""

    arm: str
    asked: float | None
    least: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """What was seen of a question's arms. quantity: one of `SPENT`, empty where nothing was seen."""

    seen: Seen
    quantity: str = ""
    arms: tuple[ArmSpent, ...] = ()


def told_words(found: Budgets) -> str:
    """`47 of 1,000 at baseline, 188 of 1,000 at batch_size=32`."""
    return ", ".join(f"{_number(arm)}{_of(arm)} at {arm.arm}" for arm in found.arms)


def spent_words(arms: Sequence[ArmSpent]) -> str:
    """`94 of 1,000` where every arm is the same, else arm by arm."""
    words = dict.fromkeys(f"{_number(arm)}{_of(arm)}" for arm in arms)
    if len(words) == 1:
        return next(iter(words))
    return ", ".join(f"{_number(arm)}{_of(arm)} at {arm.arm}" for arm in arms)


def _of(arm: ArmSpent) -> str:
    return "" if arm.asked is None else f" of {arm.asked:,.6g}"


def _number(arm: ArmSpent) -> str:
    least, most = f"{arm.least:,.10g}", f"{arm.most:,.10g}"
    return most if least == most else f"{least} to {most}"
