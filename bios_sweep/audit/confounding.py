"""Settings that never moved alone: what an effect of theirs belongs to, nobody can tell. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bios_sweep.audit.runs import JOINED, ArmRuns, ArmSet, RunTable
from bios_sweep.vocabulary import Status


@dataclass(frozen=True, kw_only=True)
class Confounding:
    """Groups of settings that moved together in an arm, at least one of which no arm moved alone.

    arms: those arms. unasked: settings that only their behaviour tells; of a group the others are told first.
    """

    groups: tuple[tuple[str, ...], ...] = ()
    arms: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()

    def of(self, factor: str) -> tuple[str, tuple[str, ...]]:
        """The setting that a factor is about, and those that moved with it; none where it moved alone."""
        joint = next((group for group in self.groups if JOINED.join(group) == factor), None)
        if joint is not None:
            main = next((name for name in joint if name not in self.unasked), joint[0])
            return main, tuple(name for name in joint if name != main)
        others = dict.fromkeys(name for group in self.groups if factor in group for name in group)
        return factor, tuple(name for name in others if name != factor)


def confounding_of(arms: ArmSet, table: RunTable) -> Confounding:
    """What moves together among the arms that ran; a table of ours says itself what each arm is about."""
    if table.ours:
        return Confounding()
    ran = {arm for arm, status in zip(arms.of_run, table.statuses, strict=True) if status != Status.FAILED}
    own = [arm for arm in arms.arms[1:] if arm.name in ran]
    alone = {arm.factor for arm in own if not arm.confounded}
    joint = [arm for arm in own if _is_confounded(arm, alone)]
    return Confounding(
        groups=tuple(dict.fromkeys(arm.confounded for arm in joint)),
        arms=tuple(arm.name for arm in joint),
        unasked=tuple(
            name for name, column in table.columns.settings.items() if column in table.columns.behaved
        ),
    )


def _is_confounded(arm: ArmRuns, alone: Collection[str]) -> bool:
    """A combination of settings that were also changed alone, each, is one alternative and no confounding."""
    return any(name not in alone for name in arm.confounded)
