"""From a study's verdicts to tuned defaults: nothing is served that no verdict stands for. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bios_sweep.claims import claim_named
from bios_sweep.defaults.tuned import (
    BOUNDS,
    REPEAT,
    SEARCH,
    VERDICTS,
    Evidence,
    Provenance,
    TunedDefaults,
    TunedKey,
    TunedMetric,
)
from bios_sweep.defaults.tuned_checks import require_supported, without_credentials
from bios_sweep.errors import DefaultsError
from bios_sweep.settings import TrainingSettings
from bios_sweep.vocabulary import Word


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
    refined = [name for name in values if evidence[name].verdict == Word.REFINE] if served is None else []
    if len(refined) > 1:
        raise DefaultsError(
            f"{' and '.join(refined)} are refined one by one; say in `served` which of them hold together"
        )
    tuned = TunedDefaults(
        key=key,
        values={name: values[name] for name in (*names, *values) if name in values},
        profiles={name: dict(differing) for name, differing in (profiles or {}).items() if differing},
        evidence=evidence,
        provenance=replace(provenance, tracking_url=without_credentials(provenance.tracking_url)),
        baseline=baseline.to_dict(),
        told=None if told is None else tuple(name for name in names if name in told),
        metric=metric or TunedMetric(),
    )
    require_supported(tuned)
    return tuned


def decided_values(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """Setting -> value for every confirmed or refined factor; controls and further claims give none."""
    return {
        key: item.value
        for key, item in evidence.items()
        if item.decided and item.for_everyone and key == item.factor and key not in (REPEAT, SEARCH)
    }


def _evidence(verdicts: Sequence[Mapping[str, Any]], baseline: TrainingSettings) -> dict[str, Evidence]:
    """By factor; a factor's further claims as `factor (claim)`. Other cells of a crossed study stay out."""
    evidence: dict[str, Evidence] = {}
    names = baseline.names
    for verdict in verdicts:
        name = verdict.get("factor")
        if name not in (*names, REPEAT, SEARCH):
            raise DefaultsError(f"a verdict is about {name!r}, which is no setting")
        item = _item(verdict)
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


def _item(verdict: Mapping[str, Any]) -> Evidence:
    """One entry of `report --json` as evidence; bounds that are not finite become None."""
    texts = ("role", "claim", "hold", "stage", "sentence")
    found: dict[str, Any] = {name: verdict.get(name, "") for name in texts}
    try:
        found |= {name: verdict[name] for name in ("factor", "verdict", "default", "best_level", "scope")}
        found |= {name: tuple(verdict[name]) for name in ("seeds", "reasons")}
        found["levels"] = tuple(record["level"] for record in verdict["levels"])
        numbers = {name: verdict[name] for name in BOUNDS}
    except KeyError as error:
        raise DefaultsError(f"a verdict lacks {error.args[0]!r}, which its evidence needs") from error
    if found["verdict"] not in VERDICTS:
        allowed = ", ".join(VERDICTS)
        raise DefaultsError(f"verdict {found['verdict']!r} is not allowed; choose from {allowed}")
    found |= {name: None if one is None or not math.isfinite(one) else one for name, one in numbers.items()}
    found |= {name: verdict[name] for name in ("unit", "per_percent") if name in verdict}
    return Evidence(**found)
