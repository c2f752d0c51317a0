"""The stable part of a schedule: arms that differ in its end alone share it, and it is trained once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bios_sweep.settings import WSD, TrainingSettings, decay_steps, warmup_steps
from bios_sweep.study.trials import TrialSpec, as_hashed, short_hash

ENDS = ("max_steps", "decay_fraction", "warmup_fraction")  # what arms of one stable part may have otherwise


def stable_part(settings: TrainingSettings) -> str | None:
    """What arms have in common that share a stable part; None without one.

    The warm-up counts by its steps: a share of other steps is another warm-up, and nothing is shared then.
    """
    if settings.schedule != WSD:
        return None
    rest = {name: value for name, value in as_hashed(settings).items() if name not in ENDS}
    return short_hash({**rest, "warmup_steps": warmup_steps(settings)})


def stable_steps(settings: TrainingSettings) -> int:
    """Steps before the decay: all that a longer arm has in common with this one."""
    return settings.max_steps - decay_steps(settings)


def may_share(settings: TrainingSettings) -> bool:
    """Whether it has a stable part, and goes on by itself behind it."""
    return stable_part(settings) is not None and 0 < stable_steps(settings) < settings.max_steps


def ends_of(settings: TrainingSettings) -> dict[str, Any]:
    """What of an arm is not its stable part."""
    return {name: getattr(settings, name) for name in ENDS}


def longest(arms: Iterable[TrainingSettings]) -> TrainingSettings:
    """The arm that trains the stable part for the others, one alone of those that are as long."""
    return max(arms, key=lambda one: (stable_steps(one), *ends_of(one).values()))


def followers(leader: TrainingSettings, ends: Sequence[Mapping[str, Any]]) -> tuple[TrainingSettings, ...]:
    """The arms of those ends whose stable part is within the leader's; none where another arm leads.

    ends: of all arms that may share, as `ends_of` has them.
    """
    part = stable_part(leader)
    arms = [leader.changed(end) for end in ends]
    same = [one for one in arms if may_share(one) and stable_part(one) == part]
    if leader != longest([leader, *same]):
        return ()
    return tuple(one for one in dict.fromkeys(same) if one != leader)


def shared_ends(arms: Iterable[TrainingSettings]) -> list[dict[str, Any]]:
    """The ends of arms that may share a stable part and do with another; none where no two do."""
    parts: dict[str, list[TrainingSettings]] = {}
    for one in dict.fromkeys(arms):
        if (part := stable_part(one)) is not None:
            parts.setdefault(part, []).append(one)
    sharing = [(longest(group), list(filter(may_share, group))) for group in parts.values()]
    found = [ends_of(one) for leader, may in sharing if any(one != leader for one in may) for one in may]
    return [end for place, end in enumerate(found) if end not in found[:place]]


def leader_of(trial: TrialSpec, others: Iterable[TrialSpec]) -> TrialSpec | None:
    """Of other trials the one that trains this trial's stable part; None where there is none, or it leads."""
    part = stable_part(trial.settings)
    if trial.repeat or not may_share(trial.settings):
        return None
    same = [
        one for one in others if (one.seed, one.repeat, stable_part(one.settings)) == (trial.seed, 0, part)
    ]
    leader = longest([trial.settings, *(one.settings for one in same)])
    return next((one for one in same if one.settings == leader and one.settings != trial.settings), None)


def steps_saved(trials: Sequence[TrialSpec]) -> dict[str, int]:
    """Trial key -> steps that another of these trials trains for it."""
    leaders = {trial.key: leader_of(trial, trials) for trial in trials if stable_part(trial.settings)}
    return {trial.key: stable_steps(trial.settings) for trial in trials if leaders.get(trial.key) is not None}
