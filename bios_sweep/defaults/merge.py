"""Many tuned-defaults files become one collection, in which each key has one entry.

Two studies of one model, method and data that judged different factors belong together: their findings
are combined where that says no more than was shown. Everything else about one key is a conflict, and
a conflict is refused unless the caller prefers the later study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bios_sweep.checks import one_of
from bios_sweep.claims import possible_claims
from bios_sweep.defaults.tuned import BETTER, REPEAT, Provenance, TunedDefaults, TunedKey
from bios_sweep.errors import DefaultsError

REFUSE = "refuse"
NEWEST = "newest"
CONFLICTS = (REFUSE, NEWEST)


class AskedTwiceError(DefaultsError):
    """Two studies answer one question. leave_out: the source without which the others may be merged."""

    def __init__(self, message: str, leave_out: str = "") -> None:
        super().__init__(message)
        self.leave_out = leave_out


def merge(
    sources: Sequence[tuple[str, TunedDefaults]], *, on_conflict: str = REFUSE
) -> tuple[TunedDefaults, ...]:
    """One entry per key, in the order in which the keys were first met.

    sources: a name for messages (a file) with each entry. on_conflict: `refuse`, or `newest` to keep the
    entry with the later date where two entries for one key cannot be combined; of two studies that asked the
    same, no date says which is right. An entry without a word about
    any setting, which a control alone once left, is passed over, and so is what was withdrawn.

    Raises:
        AskedTwiceError: two studies judged one claim of a setting.
        DefaultsError: an unknown word for conflicts, or another conflict, naming the key, both sources and
            why.
    """
    one_of("on_conflict", on_conflict, CONFLICTS, DefaultsError)
    kept: dict[TunedKey, tuple[str, TunedDefaults]] = {}
    standing = [(name, entry.without(entry.withdrawn or ())) for name, entry in sources]
    for name, entry in _once([pair for pair in standing if pair[1].tells]):
        if entry.key not in kept:
            kept[entry.key] = (name, entry)
            continue
        other, before = kept[entry.key]
        reason = why_apart(before, entry)
        if not reason:
            kept[entry.key] = (f"{other} and {name}", combined(before, entry))
        elif asked_twice := _asked_twice(before, entry):
            raise AskedTwiceError(
                f"{other} and {name} both judge {', '.join(asked_twice)} on the same data "
                f"({entry.key.words}), and the later one is not the better one; leave one out",
                name,
            )
        elif on_conflict == NEWEST:
            later = entry.provenance.date > before.provenance.date
            kept[entry.key] = (name, entry) if later else (other, before)
        else:
            raise DefaultsError(
                f"{other} and {name} have entries for one key ({entry.key.words}) that cannot be "
                f"combined: {reason}; leave one out, or keep the later one (--newest)"
            )
    return tuple(entry for _, entry in kept.values())


def _once(sources: Sequence[tuple[str, TunedDefaults]]) -> list[tuple[str, TunedDefaults]]:
    """The sources without copies of an earlier one, which may by then be part of a combination."""
    entries = [entry for _, entry in sources]
    return [pair for index, pair in enumerate(sources) if pair[1] not in entries[:index]]


def why_apart(first: TunedDefaults, second: TunedDefaults) -> str:
    """Why two entries of one key cannot be combined; empty where they can.

    Refined values are combined with confirmed ones alone: two values refined one by one were never
    tried together.
    """
    if first.provenance.data_fingerprint != second.provenance.data_fingerprint:
        return "they were made on different data"
    if first.baseline != second.baseline:
        return "their baselines differ"
    metrics = [(one.metric.name, one.metric.direction) for one in (first, second) if one.metric]
    if len(set(metrics)) > 1:
        return f"they were judged on different metrics ({first.judged_on}; {second.judged_on})"
    if first.told != second.told:
        return "their scripts were told different settings"
    if both := _judged_by_both(first, second):
        return f"both judge {', '.join(both)}"
    first, second = _parts(first, second)
    if _refines(first) and _refines(second):
        return "both refine a value, and the two were never tried together"
    return ""


def _asked_twice(first: TunedDefaults, second: TunedDefaults) -> list[str]:
    """The claims that two studies judged in the same circumstances."""
    one, other = (
        (entry.provenance.data_fingerprint, entry.baseline, entry.told, entry.judged_on)
        for entry in (first, second)
    )
    return _judged_by_both(first, second) if one == other else []


def _judged_by_both(first: TunedDefaults, second: TunedDefaults) -> list[str]:
    """Factors of which both judged one claim; an old file, which does not say, may have judged any."""
    claims = [_claims(entry) for entry in (first, second)]
    return [
        factor
        for factor in sorted(set(claims[0]) & set(claims[1]) - {REPEAT})
        if claims[0][factor] & claims[1][factor] or "" in claims[0][factor] | claims[1][factor]
    ]


def _claims(entry: TunedDefaults) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in entry.evidence.values():
        found.setdefault(item.factor, set()).add(item.claim)
    return found


def combined(first: TunedDefaults, second: TunedDefaults) -> TunedDefaults:
    """The findings of two studies that `why_apart` lets stand together. Of two controls the later stays.

    Where they judged different claims of one setting, the claim that its default makes of itself gives the
    value, if it is decided. Where one does not say what it was judged on, the whole does not.
    """
    older, newer = sorted(_parts(first, second), key=lambda entry: entry.provenance.date)
    profiles = {
        name: {**older.profiles.get(name, {}), **newer.profiles.get(name, {})}
        for name in (*older.profiles, *newer.profiles)
    }
    evidence = {**older.evidence, **newer.evidence}
    first_claims_first = sorted(evidence, key=lambda name: name != evidence[name].factor)
    return replace(
        newer,
        values={**older.values, **newer.values},
        profiles=profiles,
        evidence={name: evidence[name] for name in first_claims_first},
        provenance=_together(older.provenance, newer.provenance),
        metric=older.metric if newer.metric is not None else None,
    )


def _parts(first: TunedDefaults, second: TunedDefaults) -> tuple[TunedDefaults, TunedDefaults]:
    """Two entries without the values and names that the other has a better right to."""
    for factor in set(_claims(first)) & set(_claims(second)) - {REPEAT}:
        if _right(first, factor) <= _right(second, factor):
            second = _beside(second, factor, first)
        else:
            first = _beside(first, factor, second)
    return first, second


def _right(entry: TunedDefaults, factor: str) -> tuple[bool, int]:
    """Of two the smaller one gives a setting's value: a decided one, by the claim that comes first."""
    claims = [claim.name for claim in possible_claims(factor)]
    places = [claims.index(item.claim) for item in entry.about(factor) if item.claim in claims]
    return factor not in entry.values, min(places, default=len(claims))


def _beside(entry: TunedDefaults, factor: str, other: TunedDefaults) -> TunedDefaults:
    """An entry whose evidence on a factor stands as that of further claims, and gives no value."""
    evidence = {
        f"{factor} ({item.claim})" if item.factor == factor else name: item
        for name, item in entry.evidence.items()
    }
    profiles = {
        goal: {
            name: value
            for name, value in values.items()
            if name != factor or factor not in other.profiles.get(goal, {})
        }
        for goal, values in entry.profiles.items()
    }
    values = {name: value for name, value in entry.values.items() if name != factor}
    return replace(entry, evidence=evidence, values=values, profiles=profiles)


def questions_apart(entry: TunedDefaults) -> tuple[str, ...]:
    """One sentence per setting with several claims for everyone: which one gives the value."""
    found = []
    for factor in dict.fromkeys(item.factor for item in entry.evidence.values()):
        asked = [item for item in entry.about(factor) if item.claim and item.for_everyone]
        if len(asked) > 1:
            words = [
                f"{item.claim}: {item.verdict}{f' {item.value}' if item.decided else ''}" for item in asked
            ]
            served = entry.values.get(factor)
            by = next((item.claim for item in asked if item.decided and item.value == served), None)
            value = f"{served} is served, the answer to {by}" if by else "none gives a value"
            found.append(f"{factor}: {len(asked)} questions were asked ({'; '.join(words)}); {value}")
    return tuple(found)


def directions_apart(entries: Sequence[TunedDefaults]) -> tuple[str, ...]:
    """One sentence per metric of which entries disagree on which way is better: one of them is wrong."""
    said: dict[str, dict[str, str]] = {}
    for entry in entries:
        if entry.metric is not None:
            ways, way = said.setdefault(entry.metric.name, {}), entry.metric.direction
            ways.setdefault(way, f"{BETTER[way]} ({entry.provenance.sweep or entry.key.words})")
    return tuple(
        f"{name} is judged in two ways: {', '.join(ways.values())}"
        for name, ways in said.items()
        if len(ways) > 1
    )


def _refines(entry: TunedDefaults) -> bool:
    """Whether any value it serves is not its baseline's, where settings of one's own lie apart."""
    baseline = {**entry.baseline, **entry.baseline.get("own", {})}
    served: list[Mapping[str, Any]] = [entry.values, *entry.profiles.values()]
    return any(value != baseline.get(name) for values in served for name, value in values.items())


def _together(older: Provenance, newer: Provenance) -> Provenance:
    names = [*older.versions, *(name for name in newer.versions if name not in older.versions)]
    return replace(
        newer,
        versions={name: _both(older.versions.get(name), newer.versions.get(name)) for name in names},
        sweep=_both(older.sweep, newer.sweep),
    )


def _both(older: str | None, newer: str | None) -> str:
    return ", ".join(dict.fromkeys(text for text in (older, newer) if text))
