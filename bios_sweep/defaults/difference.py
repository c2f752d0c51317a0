"""What tuning changed: defaults against tuned values, with the verdict behind each, as plain rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bios_sweep.defaults.measured import evidence_of
from bios_sweep.defaults.tuned import BOUNDS, Evidence, TunedDefaults
from bios_sweep.jsonable import to_json
from bios_sweep.settings import TrainingSettings
from bios_sweep.vocabulary import Goal

FACTS = ("verdict", *BOUNDS, "seeds", "levels", "scope")


def differences(
    tuned: TunedDefaults, before: TrainingSettings, after: TrainingSettings, profile: str = Goal.BALANCED
) -> list[dict[str, Any]]:
    """A row for every setting that was judged or that changed with one that was.

    before: the defaults. after: what is served instead, for `profile`. Keys: setting, default, tuned,
    changed, verdict, effect_percent, lower, upper, margin (percent, positive = better), seeds, levels,
    scope; of a score also in what these are told, unit and per_percent. A setting whose question is open has
    its verdict, and keeps its default.
    """
    rows = []
    olds, news = before.by_name(), after.by_name()
    for name in dict.fromkeys((*olds, *news)):
        old, new = olds.get(name), news.get(name)
        item = _judged(tuned, name, new, profile)
        if item is None and old == new:
            continue
        rows.append({"setting": name, "default": old, "tuned": new, "changed": old != new, **_facts(item)})
    return rows


def file_differences(
    old: Sequence[TunedDefaults], new: Sequence[TunedDefaults], profile: str = Goal.BALANCED
) -> list[dict[str, Any]]:
    """A row for every value or verdict that two files have differently, by key.

    Keys: key, setting, old, new, old_verdict, new_verdict; None where a file has none.
    """
    before, after = ({entry.key: entry for entry in entries} for entries in (old, new))
    rows = []
    for key in dict.fromkeys((*before, *after)):
        named = [entry.names for entry in (before.get(key), after.get(key)) if entry is not None]
        for name in dict.fromkeys(name for names in named for name in names):
            left, right = (_served(entries.get(key), name, profile) for entries in (before, after))
            if left != right:
                found = {"old": left[0], "new": right[0], "old_verdict": left[1], "new_verdict": right[1]}
                rows.append({"key": key.words, "setting": name, **found})
    return rows


def _served(entry: TunedDefaults | None, name: str, profile: str) -> tuple[Any, str | None]:
    if entry is None:
        return None, None
    value = entry.served(profile).get(name)
    item = _judged(entry, name, value, profile)
    return value, None if item is None else item.verdict


def _judged(tuned: TunedDefaults, name: str, value: Any, profile: str) -> Evidence | None:
    """The evidence behind the value, else what was found of the setting without deciding it."""
    served = tuned.served(profile)
    if name in served:
        return evidence_of(tuned, name, served[name], profile)
    found = tuned.about(name)
    own = [item for item in found if item.claim == profile]
    return next(iter((*own, *found)), None)


def _facts(item: Evidence | None) -> dict[str, Any]:
    if item is None:
        return {**dict.fromkeys(FACTS), "seeds": [], "levels": [], "scope": "follows another setting"}
    return {**{name: to_json(getattr(item, name)) for name in FACTS}, **item.scale.kept}
