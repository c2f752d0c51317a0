"""Arms that somebody stopped by hand: rivals that nothing excludes, unless a look did so before. Pure.

docs/statistics.md, item 16: a level that is set aside for missing seeds is a rival that was not excluded.
Only the bound of a planned look excludes one: what it had trained since then was never to be looked at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.finding import Finding, Margin
from bios_sweep.decision.question import Question
from bios_sweep.procedure.questions import arms_asked
from bios_sweep.procedure.state import Results
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialSpec, as_hashed, short_hash
from bios_sweep.vocabulary import Word

UNSEEN = Kind("{level} was stopped by hand before a look, so nothing is excluded there")
OPEN = Kind(
    "{level} was stopped by hand, and a gain of {margin:.2f} is not excluded there "
    "(at most {upper:+.2f} at its last look)"
)
UNMET = Kind("{level} was stopped by hand before it had run on all fresh seeds")
STOPPED = (UNSEEN, OPEN, UNMET)


@dataclass(frozen=True, kw_only=True)
class Rival:
    """An arm that a question needs and that runs no more. level: how it is told. bound: of its last look."""

    arm: str
    level: str
    bound: Bound | None

    def reason(self, margin: Margin | None) -> Reason:
        """Why no word is left to its question."""
        if self.bound is None or margin is None:
            return UNSEEN(level=self.level)
        upper = margin.told(self.bound.upper)
        return OPEN(level=self.level, margin=margin.told(margin.percent), upper=upper)


def identity_of(arm: Arm) -> str:
    """What makes an arm the same in every study that asks its question, whatever it is called there."""
    return short_hash({"settings": as_hashed(arm.settings), "repeat": arm.repeat})


def halted_arms(trials: Sequence[TrialSpec], stopped: Collection[str], results: Results) -> frozenset[str]:
    """The arms among those stopped that lack a result; one that had all of its trials is judged by them."""
    return frozenset(trial.arm for trial in trials if trial.arm in stopped and trial.key not in results)


def rivals_of(
    plan: Plan, question: Question, gone: Collection[str], before: Finding | None
) -> tuple[Rival, ...]:
    """What a question lacks. gone: halted arms that no look excluded from it. before: its last finding."""
    lacking = [arm for arm in plan.arms if arm.name in arms_asked(plan, question) and arm.name in gone]
    bounds = {bound.arm: bound for bound in before.bounds} if before else {}
    plain = {arm.name for arm in plan.levels_of(question.factor)}
    return tuple(
        Rival(
            arm=arm.name,
            level=arm.label if arm.name in plain else arm.name,
            bound=bounds.get(arm.name),
        )
        for arm in lacking
    )


def held_against(finding: Finding, rivals: Sequence[Rival], margin: Margin | None) -> Finding:
    """A finding beside rivals that were not excluded: it settles nothing, and other levels run on."""
    if not rivals:
        return finding
    left_open = finding.state in (Word.UNDECIDED, Word.SCREENING_ONLY)
    bounds = [rival.bound for rival in rivals if rival.bound is not None]
    return dataclasses.replace(
        finding,
        state=finding.state if left_open else Word.INCONCLUSIVE,
        test=None,
        bounds=(*finding.bounds, *bounds),
        reasons=(*finding.reasons, *(rival.reason(margin) for rival in rivals)),
    )
