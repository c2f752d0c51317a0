"""From a study's verdicts to tuned defaults: nothing is served that no verdict stands for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bios_sweep.checks import one_of
from bios_sweep.claims import claim_named
from bios_sweep.defaults.tuned import (
    PROFILES,
    REPEAT,
    SEARCH,
    Evidence,
    Provenance,
    TunedDefaults,
    TunedKey,
    TunedMetric,
    factor_of,
)
from bios_sweep.errors import DefaultsError
from bios_sweep.settings import TrainingSettings
from bios_sweep.vocabulary import Goal, Word


def build_tuned(
    *,
    key: TunedKey,
    verdicts: Sequence[Mapping[str, Any]],
    baseline: TrainingSettings,
    provenance: Provenance,
    served: Mapping[str, Any] | None = None,
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
    told: Sequence[str] | None = None,
    metric: TunedMetric | None = None,
) -> TunedDefaults:
    """Turn a study's verdicts (entries of `report --json`) into tuned defaults.

    served: setting -> value to serve, where the caller knows better than the single verdicts: with two
    or more refined factors only their confirmed combination, or the best of them, may be served.
    Without it every decided factor is served. profiles: profile -> setting -> value, where it differs.
    told: the settings that the trials heard of; None: all. metric: what was judged; our loss by default.

    Raises:
        DefaultsError: a value that no confirmed or refined verdict stands for, two refined factors
            without `served`, a factor judged twice, a default that is not the baseline's, or evidence about a
            setting that the trials never heard of.
    """
    evidence, names = _evidence(verdicts, baseline), baseline.names
    values = decided_values(evidence) if served is None else dict(served)
    for name, value in values.items():
        require_served(name, value, evidence, names)
    for profile, differing in (profiles or {}).items():
        for name, value in differing.items():
            require_served(name, value, evidence, names, profile)
    refined = [
        name
        for name in evidence
        if evidence[name].verdict == Word.REFINE and name in names and _holds_everywhere(evidence[name])
    ]
    if served is None and len(refined) > 1:
        raise DefaultsError(
            f"{' and '.join(refined)} are refined one by one; say in `served` which of them hold together"
        )
    tuned = TunedDefaults(
        key=key,
        values={name: values[name] for name in names if name in values},
        profiles={name: dict(differing) for name, differing in (profiles or {}).items() if differing},
        evidence=evidence,
        provenance=replace(provenance, tracking_url=without_credentials(provenance.tracking_url)),
        baseline=baseline.to_dict(),
        told=None if told is None else tuple(name for name in names if name in told),
        metric=metric or TunedMetric(),
    )
    require_told(tuned)
    return tuned


def decided_values(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """Setting -> value for every confirmed or refined factor; controls and further claims give none."""
    return {
        name: item.value
        for name, item in evidence.items()
        if item.decided and _is_value(name) and _holds_everywhere(item)
    }


def _is_value(name: str) -> bool:
    """Whether evidence of that name is about a setting's own value: no control, search or further claim."""
    return name not in (REPEAT, SEARCH) and factor_of(name) == name


def _holds_everywhere(item: Evidence) -> bool:
    return not item.claim or claim_named(item.claim).for_everyone  # an old file does not say the claim


def require_served(
    name: str,
    value: Any,
    evidence: Mapping[str, Evidence],
    names: Sequence[str],
    profile: str = Goal.BALANCED,
) -> None:
    """Refuse a value that its evidence does not stand for. names: what may be served.

    Raises:
        DefaultsError: no setting, no evidence, an open verdict, or another value than the verdict's.
    """
    if name not in names:
        raise DefaultsError(f"{name!r} is no setting and cannot be served")
    one_of("profiles", profile, PROFILES, DefaultsError)
    items = [item for key, item in evidence.items() if factor_of(key) == name]
    if not items:
        raise DefaultsError(f"{name}: a value without evidence cannot be served")
    own = [item for item in items if _holds_everywhere(item) or claim_named(item.claim).goal == profile]
    meant = own or items
    if _searched(name, value, evidence):
        return
    decided = [item for item in meant if item.decided]
    if not decided:
        raise DefaultsError(
            f"{name}: the verdict is {meant[0].verdict!r}; only {Word.CONFIRM} and {Word.REFINE} "
            "give a value to serve"
        )
    if all(value != item.value for item in decided):
        raise DefaultsError(f"{name}: {value!r} is not what its verdict stands for ({decided[0].value!r})")


def require_told(tuned: TunedDefaults) -> None:
    """Refuse values and evidence about settings that the trials never heard of.

    Raises:
        DefaultsError: no list of settings, or the first such setting.
    """
    for name in tuned.told or ():
        if name not in tuned.names:
            raise DefaultsError(f"told: {name!r} is no setting")
    claimed = [factor_of(name) for name in tuned.evidence]
    for values in (tuned.values, *tuned.profiles.values()):
        claimed += values
    for name in claimed:
        if name in tuned.untold:
            raise DefaultsError(f"{name}: the trials were never told it, so that nothing is known of it")


def _searched(name: str, value: Any, evidence: Mapping[str, Evidence]) -> bool:
    """Whether a joint search's winner, refined as a whole, stands for the value."""
    item = evidence.get(SEARCH)
    if item is None or item.verdict != Word.REFINE or not isinstance(item.best_level, Mapping):
        return False
    return name in item.best_level and item.best_level[name] == value


def without_credentials(url: str) -> str:
    """A tracking URL that may be written down: no user, no password, no query (tokens travel there).

    A `#/...` link keeps its fragment. Where an unescaped character hides where a secret ends, only the
    scheme is left.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    if rest.startswith("/"):  # sqlite:////folder/file.db and file:///folder: a path, no host
        return url.partition("?")[0]
    try:
        parts = urlsplit(url)
        _ = parts.port  # refuses text, which is a password cut short by `/`, `?` or `#`
    except ValueError:
        return f"{scheme}://"
    if "@" in parts.path + parts.query + parts.fragment:
        return f"{scheme}://"
    return urlunsplit((scheme, parts.netloc.rpartition("@")[2], parts.path, "", parts.fragment))


def _evidence(verdicts: Sequence[Mapping[str, Any]], baseline: TrainingSettings) -> dict[str, Evidence]:
    """By factor; a factor's further claims as `factor (claim)`. Other cells of a crossed study stay out."""
    evidence: dict[str, Evidence] = {}
    names = baseline.names
    for verdict in verdicts:
        name = verdict.get("factor")
        if name not in (*names, REPEAT, SEARCH):
            raise DefaultsError(f"a verdict is about {name!r}, which is no setting")
        item = Evidence.from_verdict(verdict)
        key = f"{name} ({item.claim})" if name in evidence and item.claim else name
        if key in evidence or (name in evidence and evidence[name].claim == item.claim):
            raise DefaultsError(f"{name}: two verdicts for one factor; one study gives one")
        own = name in names and not claim_named(item.claim).of_another_level
        if own and item.default != getattr(baseline, name):
            raise DefaultsError(
                f"{name}: the verdict is about the default {item.default!r}, "
                f"the baseline has {getattr(baseline, name)!r}"
            )
        evidence[key] = item
    return evidence
